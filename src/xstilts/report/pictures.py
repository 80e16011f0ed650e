"""Pictures of distances among languages: intervals, a heat map, a map of the world, and a page with all of them."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import vl_convert

from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.languages import Distances, Selection, distance_matrix, language
from xstilts.report import chart_basics
from xstilts.report.chart_basics import (
    BLUE,
    GREEN,
    INK,
    VERMILION,
    chart_of,
    forest,
    free_labels,
    layered,
    map_layers,
    standalone,
)
from xstilts.report.score_charts import power_chart
from xstilts.report.sentences import components_line

PNG_SCALE = 2.0
MAP, INTERVALS, MATRIX = "Where the languages are", "Distances and their intervals", "All distances"
PAGE = """<!doctype html>
<html lang='en'><head><meta charset='utf-8'><title>{title}</title>\
<meta name='viewport' content='width=device-width'><style>:root{{color-scheme:light dark}}\
body{{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}}\
figure{{margin:2rem 0;overflow-x:auto}}svg{{max-width:100%;height:auto}}</style></head>
<body><h1>{title}</h1>
{figures}<p>{note}.</p></body></html>
"""
SOURCES = "Features: URIEL (Littell et al. 2017), CC BY-SA 4.0. Points: Glottolog 5.1 and URIEL"


def draw_distances(distances: Distances, path: Path, matrix: bool) -> None:
    """Write the heat map of a matrix, else the intervals, to an SVG or PNG file, or all pictures to an HTML page."""
    title = f"Distances from {language(distances.codes[0]).name} by {distances.measure}"
    _draw(distances, (), distances.codes[1:], path, title, MATRIX if matrix else INTERVALS)


def draw_selection(selection: Selection, path: Path) -> None:
    """Write a map with the chosen languages to an SVG or PNG file, or all pictures to an HTML page."""
    chosen, candidates = selection.languages, [candidate.language for candidate in selection.evidence]
    title = f"{selection.strategy} of {language(selection.anchor).name} by {selection.measure}: {' '.join(chosen)}"
    distances = distance_matrix([selection.anchor, *candidates], measure=selection.measure, intervals=True)
    _draw(distances, chosen, candidates, path, title, MAP)


def _draw(
    distances: Distances, chosen: tuple[str, ...], others: Sequence[str], path: Path, title: str, single: str
) -> None:
    pictures = {
        MAP: lambda: world_map(distances.codes[0], chosen, others),
        INTERVALS: lambda: intervals_chart(distances, chosen),
        MATRIX: lambda: matrix_chart(distances),
    }
    _write(path, title, pictures, single, SOURCES)


def intervals_chart(distances: Distances, chosen: tuple[str, ...] = ()) -> Any:
    """The distances from the first language, near to far, with their intervals; those of `chosen` stand out."""
    pairs = [distances.pair(0, i) for i in range(1, len(distances.codes))]
    rows = []
    for pair in sorted((pair for pair in pairs if not np.isnan(pair.value)), key=lambda pair: pair.value):
        numbers = {"estimate": pair.value, "low": pair.low, "high": pair.high}
        rows.append({"language": f"{language(pair.b).name} ({pair.b})", **numbers, "chosen": pair.b in chosen})
    unit = " (km)" if distances.measure == "geographic" else ""
    title = f"Distance from {language(distances.codes[0]).name}"
    x = alt.X("low:Q", title=f"{title[:1].lower()}{title[1:]} by {distances.measure}{unit}")
    colour = alt.condition(alt.datum.chosen, alt.value(VERMILION), alt.value(BLUE))
    shape = alt.condition(alt.datum.chosen, alt.value("diamond"), alt.value("circle"))
    _, layers = forest(rows, "language", x, 60, shape, color=colour)
    missing = ", ".join(pair.b for pair in pairs if np.isnan(pair.value))
    subtitle = "95% intervals" if distances.low is not None else "no intervals for this measure"
    subtitle += f"; not known: {missing}" * bool(missing)
    return layered(title, *layers, subtitle=subtitle, height=alt.Step(20))


def matrix_chart(distances: Distances) -> Any:
    """All distances as a heat map, similar languages side by side; a cell that is not known stays empty."""
    codes = [distances.codes[i] for i in dendrogram_order(distances.values)]
    rows = [
        {"a": a, "b": b, "distance": float(value)}
        for a, values in zip(distances.codes, distances.values, strict=True)
        for b, value in zip(distances.codes, values, strict=True)
        if not np.isnan(value)
    ]
    x, y = (
        channel(f"{name}:N", title=None, sort=codes, axis=alt.Axis(domain=False, ticks=False, grid=False))
        for channel, name in ((alt.X, "a"), (alt.Y, "b"))
    )
    legend = alt.Legend(title="distance", labelColor="currentColor", titleColor="currentColor")
    colour = alt.Color("distance:Q", scale=alt.Scale(scheme="viridis", reverse=True), legend=legend)
    title = f"Distances by {distances.measure}, similar languages side by side"
    cells = chart_of(rows, x=x, y=y, color=colour).mark_rect()
    return cells.properties(title=title, description=title, width=alt.Step(18), height=alt.Step(18))


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
    """The languages as points on a map: the origin, those chosen and the other candidates."""
    roles = {origin: "origin"} | dict.fromkeys(chosen, "chosen")
    roles |= {code: "candidate" for code in others if code not in roles}
    places = {code: language(code) for code in roles}
    known = [code for code in roles if places[code].latitude is not None and places[code].longitude is not None]
    rows = free_labels(
        (
            {"language": code, "role": roles[code], "label": code}
            | {"latitude": places[code].latitude, "longitude": places[code].longitude}
            for code in known
        ),
        8.0,
        5.5,
        always=(origin, *chosen),
    )
    present = [role for role in ("origin", "chosen", "candidate") if role in roles.values()]
    marks = {"origin": (GREEN, "square"), "chosen": (VERMILION, "diamond"), "candidate": (BLUE, "circle")}
    colours, shapes = (alt.Scale(domain=present, range=[marks[role][i] for role in present]) for i in (0, 1))
    legend = alt.Legend(title=None, orient="bottom", labelColor="currentColor", labelFontSize=12)
    base = chart_of(rows[::-1], latitude="latitude:Q", longitude="longitude:Q")
    points = base.mark_point(filled=True, opacity=0.9).encode(
        color=alt.Color("role:N", scale=colours, legend=legend),
        shape=alt.Shape("role:N", scale=shapes),
        size=alt.condition(alt.datum.role == "candidate", alt.value(45), alt.value(140)),
    )
    text = base.mark_text(fontSize=11, dy=-10, color="currentColor").encode(text="label:N")
    subtitle = "one point in the middle of each area; labels that would overlap are left out"
    chart = layered(MAP, *map_layers(), points, text, subtitle=subtitle, width=760, height=390)
    return chart.project("equirectangular")


def write_power(result: dict[str, Any], path: Path) -> None:
    """Write a study's power against its replicates, a line for each difference, as SVG, PNG or an HTML page."""
    _write(path, "Power", {"Power": lambda: power_chart(result)}, "Power", components_line(result))


def _write(path: Path, title: str, pictures: dict[str, Callable[[], Any]], single: str, note: str) -> None:
    """Write the chart named `single` to an SVG or PNG file, or all charts to an HTML page."""
    kind = path.suffix.lower()
    if kind == ".html":
        drawn = {escape(name): chart_basics.svg(chart()) for name, chart in pictures.items()}
        figures = "".join(f"<figure aria-label='{name}'>{text}</figure>\n" for name, text in drawn.items())
        write_atomically(path, PAGE.format(title=escape(title), figures=figures, note=escape(note)))
    elif kind == ".svg":
        write_atomically(path, standalone(chart_basics.svg(pictures[single]())))
    elif kind == ".png":
        spec = chart_basics.specification(pictures[single](), INK) | {"background": "white"}
        write_atomically(path, vl_convert.vegalite_to_png(spec, scale=PNG_SCALE))
    else:
        what, why = f"cannot draw '{path.name}'", "a picture is SVG, PNG, or an HTML page"
        raise XstiltsError("bad-argument", what, why, "end its name in .svg, .png or .html")
