"""Pictures of distances among languages: intervals, a heat map, a map of the world, and a page with all of them."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from xstilts.errors import XstiltsError
from xstilts.languages import Distances, Selection, distance_matrix, language
from xstilts.report.charts import FAINT, INK, MARK, WIDTH, power_chart, specification, standalone, svg
from xstilts.report.sentences import components_line

CHOSEN = "#D55E00"
PNG_SCALE = 2.0
SOURCES = "Features: URIEL (Littell et al. 2017), CC BY-SA 4.0. Points: Glottolog 5.1 and URIEL"


def draw_distances(found: Distances, path: Path, matrix: bool) -> None:
    """Writes the heat map of a matrix, else the intervals, to an SVG or PNG file, or all pictures to an HTML page."""
    title = f"Distances from {_name(found.codes[0])} by {found.measure}"
    charts = {
        "Distances and their intervals": lambda: intervals_chart(found),
        "All distances": lambda: matrix_chart(found),
        "Where the languages are": lambda: world_map(found.codes[0], (), found.codes[1:]),
    }
    _write(path, title, charts, "All distances" if matrix else "Distances and their intervals", SOURCES)


def draw_selection(found: Selection, path: Path) -> None:
    """Writes a map with the languages chosen to an SVG or PNG file, or all pictures to an HTML page."""
    known = [one.language for one in found.evidence]
    title = f"{found.strategy} of {_name(found.anchor)} by {found.measure}: {' '.join(found.languages)}"
    matrix = distance_matrix([found.anchor, *known], measure=found.measure, intervals=True)
    charts = {
        "Where the languages are": lambda: world_map(found.anchor, found.languages, known),
        "Distances and their intervals": lambda: intervals_chart(matrix, found.languages),
        "All distances": lambda: matrix_chart(matrix),
    }
    _write(path, title, charts, "Where the languages are", SOURCES)


def intervals_chart(found: Distances, chosen: tuple[str, ...] = ()) -> Any:
    """The distances from the first language, near to far, with their intervals; those of `chosen` stand out."""
    pairs = [pair for i in range(1, len(found.codes)) if not np.isnan((pair := found.pair(0, i)).value)]
    rows = [
        {
            "language": f"{_name(pair.b)} ({pair.b})",
            "distance": pair.value,
            "low": pair.value if pair.low is None else pair.low,
            "high": pair.value if pair.high is None else pair.high,
            "chosen": pair.b in chosen,
        }
        for pair in sorted(pairs, key=lambda pair: pair.value)
    ]
    missing = [pair.b for i in range(1, len(found.codes)) if np.isnan((pair := found.pair(0, i)).value)]
    y = alt.Y("language:N", sort=None, title=None, axis=alt.Axis(grid=False, ticks=False))
    colour = alt.condition(alt.datum.chosen, alt.value(CHOSEN), alt.value(MARK))
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, color=colour)
    unit = " (km)" if found.measure == "geographic" else ""
    lines = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=f"distance from {_name(found.codes[0])} by {found.measure}{unit}"), x2="high:Q"
    )
    points = base.mark_point(size=60, filled=True, opacity=1).encode(
        x="distance:Q",
        shape=alt.condition(alt.datum.chosen, alt.value("diamond"), alt.value("circle")),
    )
    about = "95 % intervals" if found.low is not None else "no intervals for this measure"
    subtitle = about + (f"; not known: {', '.join(missing)}" if missing else "")
    title = alt.Title(f"Distance from {_name(found.codes[0])}", subtitle=subtitle)
    return alt.layer(lines, points, title=title, description=title.text, width=WIDTH, height=alt.Step(20))


def matrix_chart(found: Distances) -> Any:
    """All distances as a heat map, similar languages side by side; a cell that is not known stays empty."""
    codes = [found.codes[i] for i in dendrogram_order(found.values)]
    place = {code: i for i, code in enumerate(found.codes)}
    rows = [
        {"a": a, "b": b, "distance": float(value)}
        for a in codes
        for b in codes
        if not np.isnan(value := found.values[place[a], place[b]])
    ]
    axis = {"title": None, "sort": codes}
    plain = alt.Axis(domain=False, ticks=False, grid=False)
    chart = alt.Chart(alt.Data(values=rows)).mark_rect()
    title = f"Distances by {found.measure}, similar languages side by side"
    legend = alt.Legend(title="distance", labelColor="currentColor", titleColor="currentColor")
    return chart.encode(
        x=alt.X("a:N", axis=plain.copy(), **axis),
        y=alt.Y("b:N", axis=plain, **axis),
        color=alt.Color("distance:Q", scale=alt.Scale(scheme="viridis", reverse=True), legend=legend),
    ).properties(title=title, description=title, width=alt.Step(18), height=alt.Step(18))


def dendrogram_order(values: np.ndarray) -> list[int]:
    """Positions in the order of the leaves of an average-linkage tree, neighbours as close as the tree allows.

    A missing distance counts as the mean of the known ones.
    """
    if len(values) < 3:
        return list(range(len(values)))
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    off = values[~np.eye(len(values), dtype=bool)]
    mean = float(np.nanmean(off)) if not np.isnan(off).all() else 0.0
    full = np.nan_to_num(values, nan=mean)
    np.fill_diagonal(full, 0.0)
    return [int(i) for i in leaves_list(linkage(squareform(full, checks=False), "average", optimal_ordering=True))]


def world_map(origin: str, chosen: tuple[str, ...], others: tuple[str, ...] | list[str]) -> Any:
    """The languages as points on a graticule: the origin, those chosen and the other candidates."""
    order = list(dict.fromkeys([origin, *chosen, *others]))
    roles = dict.fromkeys(others, "candidate") | dict.fromkeys(chosen, "chosen") | {origin: "origin"}
    rows = _labelled(
        [
            {"language": code, "role": roles[code], "latitude": one.latitude, "longitude": one.longitude}
            for code in order
            if (one := language(code)).latitude is not None
        ]
    )
    present = [role for role in ("origin", "chosen", "candidate") if role in roles.values()]
    marks = {"origin": ("#009E73", "square"), "chosen": (CHOSEN, "diamond"), "candidate": (MARK, "circle")}
    legend = alt.Legend(title=None, orient="bottom", labelColor="currentColor", labelFontSize=12)
    base = alt.Chart(alt.Data(values=rows)).encode(latitude="latitude:Q", longitude="longitude:Q")
    points = base.mark_point(filled=True, opacity=0.9).encode(
        color=alt.Color("role:N", scale=alt.Scale(domain=present, range=[marks[r][0] for r in present]), legend=legend),
        shape=alt.Shape("role:N", scale=alt.Scale(domain=present, range=[marks[r][1] for r in present])),
        size=alt.condition(alt.datum.role == "candidate", alt.value(45), alt.value(140)),
    )
    text = base.mark_text(fontSize=11, dy=-10, color="currentColor").encode(text="label:N")
    sphere = alt.Chart(alt.sphere()).mark_geoshape(fill="#88888811", stroke=FAINT)
    lines = alt.Chart(alt.graticule(step=[30, 15])).mark_geoshape(filled=False, stroke=FAINT, strokeWidth=0.7)
    title = alt.Title(
        "Where the languages are",
        subtitle="one point in the middle of each area; labels that would cover others are left out",
    )
    chart = alt.layer(sphere, lines, points, text, title=title, description=title.text, width=760, height=390)
    return chart.project("equirectangular")


def _labelled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points, last what matters most, each with its label; one that would cover an earlier label goes without."""
    wide, high = 8.0, 5.5  # degrees that a label takes
    placed: list[dict[str, Any]] = []
    for row in rows:
        free = all(
            abs(row["longitude"] - other["longitude"]) > wide or abs(row["latitude"] - other["latitude"]) > high
            for other in placed
            if other["label"]
        )
        placed.append({**row, "label": row["language"] if free or row["role"] != "candidate" else ""})
    return placed[::-1]


def write_power(result: dict[str, Any], path: Path) -> None:
    """Write a study's power against its replicates, a line for each difference, as SVG, PNG or an HTML page."""
    _write(path, "Power", {"Power": lambda: power_chart(result)}, "Power", components_line(result))


def _write(path: Path, title: str, charts: dict[str, Callable[[], Any]], single: str, note: str) -> None:
    """Write the chart named `single` to an SVG or PNG file, or all charts to an HTML page."""
    kind = path.suffix.lower()
    if kind == ".html":
        data = _page(title, charts, note).encode()
    elif kind == ".svg":
        data = standalone(svg(charts[single]())).encode()
    elif kind == ".png":
        spec = specification(charts[single](), INK) | {"background": "white"}
        data = vl_convert.vegalite_to_png(spec, scale=PNG_SCALE)
    else:
        what, why = f"cannot draw '{path.name}'", "a picture is SVG, PNG, or an HTML page"
        raise XstiltsError("bad-argument", what, why, "end its name in .svg, .png or .html")
    path.write_bytes(data)


def _page(title: str, charts: dict[str, Callable[[], Any]], note: str) -> str:
    figures = "".join(
        f"<figure aria-label='{escape(name)}'>{svg(chart())}</figure>\n" for name, chart in charts.items()
    )
    style = (
        ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;"
        "padding:0 1rem}figure{margin:2rem 0;overflow-x:auto}svg{max-width:100%;height:auto}"
    )
    return (
        f"<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<meta name='viewport' content='width=device-width'><style>{style}</style></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{figures}"
        f"<p>{escape(note)}.</p></body></html>\n"
    )


def _name(code: str) -> str:
    return language(code).name
