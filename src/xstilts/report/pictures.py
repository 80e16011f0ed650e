"""Pictures of distances among languages: intervals, a heat map, a map of the world, and a page with all of them."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from xstilts.errors import XstiltsError
from xstilts.languages import Distances, Selection, distance_matrix, language
from xstilts.report.charts import FAINT, INK, MARK, WIDTH, forest, power_chart, specification, standalone, svg
from xstilts.report.sentences import components_line

CHOSEN = "#D55E00"
PNG_SCALE = 2.0
MAP, INTERVALS, MATRIX = "Where the languages are", "Distances and their intervals", "All distances"
SOURCES = "Features: URIEL (Littell et al. 2017), CC BY-SA 4.0. Points: Glottolog 5.1 and URIEL"


def draw_distances(distances: Distances, path: Path, matrix: bool) -> None:
    """Write the heat map of a matrix, else the intervals, to an SVG or PNG file, or all pictures to an HTML page."""
    title = f"Distances from {_name(distances.codes[0])} by {distances.measure}"
    _write(path, title, _charts(distances, (), distances.codes[1:]), MATRIX if matrix else INTERVALS, SOURCES)


def draw_selection(selection: Selection, path: Path) -> None:
    """Write a map with the chosen languages to an SVG or PNG file, or all pictures to an HTML page."""
    chosen, candidates = selection.languages, [candidate.language for candidate in selection.evidence]
    title = f"{selection.strategy} of {_name(selection.anchor)} by {selection.measure}: {' '.join(chosen)}"
    distances = distance_matrix([selection.anchor, *candidates], measure=selection.measure, intervals=True)
    _write(path, title, _charts(distances, chosen, candidates), MAP, SOURCES)


def _charts(distances: Distances, chosen: tuple[str, ...], others: Sequence[str]) -> dict[str, Callable[[], Any]]:
    return {
        MAP: lambda: world_map(distances.codes[0], chosen, others),
        INTERVALS: lambda: intervals_chart(distances, chosen),
        MATRIX: lambda: matrix_chart(distances),
    }


def intervals_chart(distances: Distances, chosen: tuple[str, ...] = ()) -> Any:
    """The distances from the first language, near to far, with their intervals; those of `chosen` stand out."""
    pairs = [distances.pair(0, i) for i in range(1, len(distances.codes))]
    known = sorted((pair for pair in pairs if not np.isnan(pair.value)), key=lambda pair: pair.value)
    rows = [
        {"language": f"{_name(pair.b)} ({pair.b})", "estimate": pair.value, "low": pair.low, "high": pair.high,
         "chosen": pair.b in chosen}
        for pair in known
    ]  # fmt: skip
    unit = " (km)" if distances.measure == "geographic" else ""
    origin = _name(distances.codes[0])
    x = alt.X("low:Q", title=f"distance from {origin} by {distances.measure}{unit}")
    colour = alt.condition(alt.datum.chosen, alt.value(CHOSEN), alt.value(MARK))
    shape = alt.condition(alt.datum.chosen, alt.value("diamond"), alt.value("circle"))
    _, layers = forest(rows, "language", x, 60, shape, color=colour)
    missing = [pair.b for pair in pairs if np.isnan(pair.value)]
    subtitle = "95 % intervals" if distances.low is not None else "no intervals for this measure"
    title = alt.Title(
        f"Distance from {origin}", subtitle=subtitle + f"; not known: {', '.join(missing)}" * bool(missing)
    )
    return alt.layer(*layers, title=title, description=title.text, width=WIDTH, height=alt.Step(20))


def matrix_chart(distances: Distances) -> Any:
    """All distances as a heat map, similar languages side by side; a cell that is not known stays empty."""
    codes = [distances.codes[i] for i in dendrogram_order(distances.values)]
    place = {code: i for i, code in enumerate(distances.codes)}
    rows = [
        {"a": a, "b": b, "distance": float(value)}
        for a in codes
        for b in codes
        if not np.isnan(value := distances.values[place[a], place[b]])
    ]
    axis = {"title": None, "sort": codes}
    plain = alt.Axis(domain=False, ticks=False, grid=False)
    chart = alt.Chart(alt.Data(values=rows)).mark_rect()
    title = f"Distances by {distances.measure}, similar languages side by side"
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


def world_map(origin: str, chosen: tuple[str, ...], others: Sequence[str]) -> Any:
    """The languages as points on a graticule: the origin, those chosen and the other candidates."""
    order = list(dict.fromkeys([origin, *chosen, *others]))
    roles = dict.fromkeys(others, "candidate") | dict.fromkeys(chosen, "chosen") | {origin: "origin"}
    places = [
        {"language": code, "role": roles[code], "latitude": place.latitude, "longitude": place.longitude}
        for code in order
        if (place := language(code)).latitude is not None
    ]
    rows = _labelled(places)
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
    title = alt.Title(MAP, subtitle="one point in the middle of each area; labels that would overlap are left out")
    chart = alt.layer(sphere, lines, points, text, title=title, description=title.text, width=760, height=390)
    return chart.project("equirectangular")


def _labelled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The points, the most important last, each with its label unless it would cover that of an earlier one."""
    width, height = 8.0, 5.5  # degrees that a label takes
    placed: list[dict[str, Any]] = []
    for row in rows:
        free = all(
            abs(row["longitude"] - other["longitude"]) > width or abs(row["latitude"] - other["latitude"]) > height
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
