"""What all figures share: colours, fonts, marks, and how a chart becomes SVG."""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cache, cached_property
from html import escape
from importlib.resources import files
from typing import Any

import altair as alt
import vl_convert

from xstilts.report.console import visible

Row = dict[str, Any]

# Okabe and Ito's palette, which all kinds of colour vision can tell apart; shapes say the same without colour.
GREY = "#7a7a7a"
BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"
COLOURS = {"better": BLUE, "worse": VERMILION, "equivalent": GREEN, "undetermined": GREY, "not interpretable": GREY}
SHAPES = dict(zip(COLOURS, ("triangle-right", "triangle-left", "square", "circle", "cross"), strict=True))
INK = "#1d1d1f"
FAINT = "#88888855"
# The renderer measures text with metrics equal to Arial's, so that nothing is cut off in a browser.
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
WIDTH = 360
"""The most that a figure takes in pixels, if it is to be read on a phone."""


@dataclass(frozen=True)
class Figure:
    """A chart with what stands around it: a caption, and the numbers that it shows as the rows of a table.

    section: where it belongs on the page; name: of its files; about: the contrast or target that it shows, if one.
    """

    section: str
    name: str
    chart: Any
    caption: str
    rows: list[Row] = field(default_factory=list)
    about: str = ""

    @cached_property
    def svg(self) -> str:
        """The chart as SVG text in the colour of the text around it, drawn once."""
        return svg(self.chart)

    @property
    def title(self) -> str:
        """The chart's title, which also describes it to screen readers."""
        return str(self.chart.description)


def svg(chart: Any) -> str:
    """A chart as SVG text that takes the colour of the text around it; one image to screen readers, with its title."""
    text = str(vl_convert.vegalite_to_svg(specification(chart)))
    text = re.sub(r' (role="graphics-\w+"|aria-roledescription="[^"]*")', "", text)  # of its parts
    name = escape(visible(chart.description))
    return text.replace("<svg ", f'<svg role="img" aria-label="{name}" ', 1)


def specification(chart: Any, ink: str = "currentColor") -> Any:
    """The Vega-Lite specification of a chart with the fonts and lines of all, in which `ink` is the colour of all text.

    Control characters are shown as escapes: the renderer aborts the whole process on some.
    """

    def cleaned(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: cleaned(value) for key, value in part.items()}
        if isinstance(part, list):
            return [cleaned(value) for value in part]
        return part if not isinstance(part, str) else ink if part == "currentColor" else visible(part)

    text = {f"{part}Color": "currentColor" for part in ("label", "title")}
    lines = {f"{part}Color": FAINT for part in ("grid", "domain", "tick")}
    sizes = {"labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 220}
    title = {"color": "currentColor", "subtitleColor": "currentColor", "anchor": "start", "frame": "group"}
    dressed = (
        chart.configure(font=FONT, background="transparent", aria=False)
        .configure_axis(**text, **lines, **sizes, labelFlush=False, tickCount=8)
        .configure_legend(labelColor="currentColor", titleColor="currentColor", labelFontSize=12)
        .configure_view(stroke=None)
        .configure_title(**title, fontSize=14, offset=12)
    )
    return cleaned(dressed.to_dict(validate=False))


def standalone(svg: str) -> str:
    """An SVG text with colours of its own: outside a page there is none to take them from."""
    return svg.replace("<svg ", f'<svg style="background:#ffffff;color:{INK}" ', 1)


def layered(title: str, *layers: Any, subtitle: str = "", height: Any, width: Any = WIDTH) -> Any:
    """Layers as one chart with a title, which also describes it to screen readers."""
    heading = alt.Title(title, subtitle=subtitle) if subtitle else title
    return alt.layer(*layers, title=heading, description=title, width=width, height=height)


def chart_of(rows: list[Row], **encoding: Any) -> Any:
    """Data, and how marks show them."""
    return alt.Chart(alt.Data(values=rows)).encode(**encoding)


def forest(rows: list[Row], name: str, x: Any, size: int, shape: Any = None, **more: Any) -> tuple[Any, list[Any]]:
    """The points `estimate` of `rows`, each with a line from `low` to `high` if it has an interval: base and layers."""
    y = alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(grid=False, ticks=False, labelPadding=8))
    base = chart_of(rows, y=y, **more)
    lines = base.transform_filter("datum.low !== null").mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q")
    points = base.mark_point(size=size, filled=True, opacity=1).encode(x="estimate:Q")
    return base, [lines, points.encode(shape=shape) if shape else points]


def differences(rows: list[Row], margin: float) -> tuple[Any, list[Any]]:
    """The axis of differences, with the equivalence margin and zero as the lowest layers.

    The axis is cut if one very wide interval would flatten all others.
    """
    ends = sorted(max(abs(row[name]) for name in ("estimate", "low", "high") if row[name] is not None) for row in rows)
    reach = max(5 * ends[(len(ends) - 1) // 2], margin)
    title = "difference in points; shaded: practically equivalent"
    axis = alt.X("low:Q", title=title)
    if ends[-1] > reach:
        axis = axis.title([title, "intervals that reach the edge continue beyond it"])
        axis = axis.scale(domain=[-reach, reach], clamp=True)
    band = chart_of([{"from": -margin, "to": margin}], x="from:Q", x2="to:Q").mark_rect(color="#888888", opacity=0.22)
    return axis, [band, zero(x="zero:Q")]


def zero(**channel: str) -> Any:
    """A line at zero."""
    return chart_of([{"zero": 0}], **channel).mark_rule(color="currentColor")


def cells(rows: list[Row], x: Any, y: Any, colour: Any, step: int) -> tuple[list[Any], dict[str, Any]]:
    """The layers of a heat map whose cells carry the `text` of their rows, and its size."""
    base = chart_of(rows, x=x, y=y)
    layers = [base.mark_rect().encode(color=colour), base.mark_text(fontSize=11, color=INK).encode(text="text:N")]
    return layers, {"width": alt.Step(step), "height": alt.Step(24)}


@cache
def _land() -> Any:
    return json.loads(files("xstilts.report").joinpath("land-110m.json").read_text(encoding="utf-8"))


def map_layers() -> list[Any]:
    """The lowest layers of a map of the world: the sphere, and the land."""
    sphere = alt.Chart(alt.sphere()).mark_geoshape(fill="#88888811", stroke=FAINT)
    land = alt.Data(values=_land(), format=alt.TopoDataFormat(feature="land", type="topojson"))
    return [sphere, alt.Chart(land).mark_geoshape(fill="#88888833", stroke=FAINT, strokeWidth=0.5)]


def free_labels(rows: Iterable[Row], width: float, height: float, always: Collection[str] = ()) -> list[Row]:
    """Rows with an empty `label` if it would cover that of an earlier one, in degrees of `longitude` and `latitude`.

    always: labels that stay.
    """
    placed: list[Row] = []
    for row in rows:
        shifts = [(p["longitude"] - row["longitude"], p["latitude"] - row["latitude"]) for p in placed if p["label"]]
        free = row["label"] in always or all(abs(x) > width or abs(y) > height for x, y in shifts)
        placed.append(row if free else {**row, "label": ""})
    return placed
