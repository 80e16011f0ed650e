"""The figures, as Altair charts made from the result of an analysis."""

from collections.abc import Iterator
from typing import Any

import altair as alt
import vl_convert

from xstilts.report.console import interval, number, signed, visible
from xstilts.report.sentences import correlation
from xstilts.report.tables import artificial, by_distance, language_name, slug, target_table, targets

Result = dict[str, Any]

# Okabe and Ito's palette, which all kinds of colour vision can tell apart; shapes say the same without colour.
GREY = "#7a7a7a"
COLOURS = {
    "better": "#0072B2",
    "worse": "#D55E00",
    "equivalent": "#009E73",
    "undetermined": GREY,
    "not interpretable": GREY,
}
SHAPES = dict(zip(COLOURS, ("triangle-right", "triangle-left", "square", "circle", "cross"), strict=True))
MARK = "#0072B2"
INK = "#1d1d1f"
FAINT = "#88888855"
# The renderer measures text with metrics equal to Arial's, so that nothing is cut off in a browser.
FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
WIDTH = 400


def svg(chart: Any) -> str:
    """A chart as SVG text that takes the colour of the text around it."""
    return str(vl_convert.vegalite_to_svg(specification(chart)))


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
        chart.configure(font=FONT, background="transparent")
        .configure_axis(**text, **lines, **sizes, labelFlush=False, tickCount=8)
        .configure_legend(labelColor="currentColor", labelFontSize=12)
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


def chart_of(rows: list[Result], **encoding: Any) -> Any:
    """Data, and how marks show them."""
    return alt.Chart(alt.Data(values=rows)).encode(**encoding)


def forest(rows: list[Result], name: str, x: Any, size: int, shape: Any = None, **more: Any) -> tuple[Any, list[Any]]:
    """The points `estimate` of `rows`, each with a line from `low` to `high` if it has an interval: base and layers."""
    y = alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(grid=False, ticks=False, labelPadding=8))
    base = chart_of(rows, y=y, **more)
    lines = base.transform_filter("datum.low !== null").mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q")
    points = base.mark_point(size=size, filled=True, opacity=1).encode(x="estimate:Q")
    return base, [lines, points.encode(shape=shape) if shape else points]


def _differences(rows: list[Result], result: Result) -> tuple[Any, list[Any]]:
    """The axis of differences, with the equivalence margin and zero as the lowest layers.

    The axis is cut if one very wide interval would flatten all others.
    """
    margin = result["study"]["equivalence"]
    ends = sorted(max(abs(row[name]) for name in ("estimate", "low", "high") if row[name] is not None) for row in rows)
    reach = max(5 * ends[(len(ends) - 1) // 2], margin)
    title = "difference in points; shaded: practically equivalent"
    axis = alt.X("low:Q", title=title)
    if ends[-1] > reach:
        axis = axis.title([title, "intervals that reach the edge continue beyond it"])
        axis = axis.scale(domain=[-reach, reach], clamp=True)
    band = chart_of([{"from": -margin, "to": margin}], x="from:Q", x2="to:Q").mark_rect(color="#888888", opacity=0.22)
    return axis, [band, _zero(x="zero:Q")]


def _zero(**channel: str) -> Any:
    return chart_of([{"zero": 0}], **channel).mark_rule(color="currentColor")


def contrasts_chart(result: Result, family: str = "verdicts") -> Any:
    """Forest plot of the declared contrasts (or of the `controls`): the intervals that the verdicts rest on."""
    names = ("contrast", "estimate", "low", "high", "verdict")
    rows = [
        {name: row[name] for name in names} | {"text": f"{signed(row['estimate'])} {interval(row)}"}
        for row in result[family]
    ]
    colour, shape = (
        channel("verdict:N", scale=alt.Scale(domain=list(meaning), range=list(meaning.values())), legend=None)
        for channel, meaning in ((alt.Color, COLOURS), (alt.Shape, SHAPES))
    )
    x, background = _differences(rows, result)
    base, layers = forest(rows, "contrast", x, 130, shape, color=colour)
    for name, dy in (("text:N", -8), ("verdict:N", 8)):
        text = base.mark_text(align="left", fontSize=12, dy=dy)
        layers.append(text.encode(x=alt.value(WIDTH + 14), text=name, color=alt.value("currentColor")))
    level = f"{result[family][0]['level']:.1%}"
    title = f"Simultaneous intervals ({level} each)" if len(rows) > 1 else f"Interval ({level})"
    title += artificial(result, (target for row in result[family] for target in row["targets"]))
    return layered(title, *background, *layers, height=alt.Step(46))


def languages_chart(result: Result, contrast: str, target: str) -> Any:
    """Forest plot of a contrast in each held-out language of a target, near to far; not corrected for their number."""
    distances = result["plan"]["distances"]
    effects = {
        row["language"]: row
        for row in result["languages"]
        if row["contrast"] == contrast and row["target"] == target and row["held_out"]
    }
    rows = [
        {"language": f"{language_name(code)} ({code}) {number(distances.get(code), 2)}"}
        | {name: effects[code][name] for name in ("estimate", "low", "high")}
        for code in by_distance(effects, result)
    ]
    x, background = _differences(rows, result)
    _, layers = forest(rows, "language", x, 60, color=alt.value(MARK))
    subtitle = f"{result['study']['level']:.0%} intervals, not adjusted for multiple comparisons"
    title = f"{contrast} on {target}{artificial(result, [target])}"
    return layered(title, *background, *layers, subtitle=subtitle, height=alt.Step(24))


def distance_chart(gains: Result, result: Result) -> Any:
    """Gain of each held-out language against its distance from the sources of a contrast's left arm.

    A label stands on the left of its point if it would cover a neighbour's on the right.
    """
    points = sorted((p for p in gains["points"] if p["distance"] is not None), key=lambda p: -p["distance"])
    spans = {name: [point[name] for point in points] or [0] for name in ("distance", "gain")}
    width, height = (max(values) - min(values) or 1.0 for values in spans.values())
    rows: list[Result] = []
    for point in points:
        distance, gain = point["distance"] + 0.08 * width, point["gain"]
        covers = any(row["distance"] < distance and abs(row["gain"] - gain) < 0.05 * height for row in rows)
        rows.append({**point, "side": "left" if covers else "right"})
    x = alt.X("distance:Q", scale=alt.Scale(zero=False), title="distance to the nearest source of the left arm")
    base = chart_of(rows, x=x, y=alt.Y("gain:Q", title="gain in points"))
    layers = [_zero(y="zero:Q"), base.mark_point(size=60, filled=True, opacity=0.85, color=MARK)]
    for side, align, dx in (("right", "left", 7), ("left", "right", -7)):
        text = base.mark_text(align=align, dx=dx, fontSize=12, color="currentColor").encode(text="language:N")
        layers.append(text.transform_filter(alt.datum.side == side))
    title = gains["contrast"] + artificial(result, gains["targets"])
    return layered(title, *layers, subtitle=correlation(gains), height=280)


def heat_map(result: Result, target: str) -> Any:
    """Mean score and standard deviation over replicates, languages near to far by arms; held-out ones starred."""
    table = target_table(result, target)
    scores = [row for row in result["scores"] if row["target"] == target]
    codes = by_distance({row["language"] for row in scores}, result)
    labels = {code: f"{language_name(code)} ({code}){' *' * (code in table['languages'])}" for code in codes}
    low, high = min(row["mean"] for row in scores), max(row["mean"] for row in scores)
    rows = []
    for row in scores:
        spread = "" if row["sd"] is None else f" ±{number(row['sd'])}"
        place = {"arm": row["arm"], "language": labels[row["language"]]}
        rows.append(place | {"mean": row["mean"], "text": number(row["mean"]) + spread})
    plain = {"domain": False, "ticks": False}
    top = alt.Axis(orient="top", labelAngle=-30, labelLimit=160, **plain)
    x = alt.X("arm:N", sort=[row["arm"] for row in table["rows"]], title=None, axis=top)
    y = alt.Y("language:N", sort=list(labels.values()), title=None, axis=alt.Axis(**plain))
    # The light half of the palette: dark text stays readable on all of it.
    palette = alt.SchemeParams(name="blues", extent=[0, 0.6])
    scale = alt.Scale(scheme=palette, domain=[low, high] if low < high else [low - 1, high])
    base = chart_of(rows, x=x, y=y)
    cells = base.mark_rect().encode(color=alt.Color("mean:Q", scale=scale, legend=None))
    text = base.mark_text(fontSize=11, color=INK).encode(text="text:N")
    title = f"{table['title']}: mean {table['metric']} ± standard deviation over replicates"
    return layered(title, cells, text, subtitle="* held out", width=alt.Step(74), height=alt.Step(24))


def power_chart(result: Result) -> Any:
    """Power against replicates, a line for each difference; the broken line is the power that is asked for."""
    names = {f"{gain:g}": f"{gain:g} points" for gain in result["gains"]}
    rows = [
        {"replicates": row["replicates"], "power": row[gain], "gain": name}
        for row in result["curve"]
        for gain, name in names.items()
    ]
    scale = alt.Scale(domain=list(names.values()), range=["#7a7a7a", "#D55E00", MARK])
    x = alt.X("replicates:Q", title="replicates of each encoder")
    y = alt.Y("power:Q", scale=alt.Scale(domain=[0, 1]), title="chance that the interval lies above zero")
    shape = alt.Shape("gain:N", title=None, scale=alt.Scale(domain=list(names.values())))
    base = chart_of(rows, x=x, y=y, color=alt.Color("gain:N", title=None, scale=scale), shape=shape)
    asked = chart_of([{"share": result["share"]}], y="share:Q").mark_rule(strokeDash=[5, 4], color="currentColor")
    title = f"{result['design']['languages']} held-out languages, {result['design']['clusters']:,} item clusters"
    return layered(title, asked, base.mark_line(), base.mark_point(filled=True, size=60, opacity=1), height=260)


def charts_of(result: Result) -> Iterator[tuple[str, Any, str, Any]]:
    """Kind, key, file name and chart of everything that a run has to show.

    File names are numbered, because names in the study may differ only in characters that a file name cannot hold.
    """
    for family in ("verdicts", "controls"):
        if result[family]:
            yield "contrasts", family, f"contrasts-{family}", contrasts_chart(result, family)
    judged = [row["contrast"] for row in result["verdicts"]]
    rows = [row for row in result["languages"] if row["held_out"] and row["contrast"] in judged]
    shown = dict.fromkeys((row["contrast"], row["target"]) for row in rows)
    for position, (contrast, target) in enumerate(shown, 1):
        name = f"languages-{position:02d}-{slug(contrast)}-{slug(target)}"
        yield "languages", (contrast, target), name, languages_chart(result, contrast, target)
    for position, gains in enumerate(result["distance"], 1):
        if any(point["distance"] is not None for point in gains["points"]):
            name = f"distance-{position:02d}-{slug(gains['contrast'])}"
            yield "distance", gains["contrast"], name, distance_chart(gains, result)
    for position, target in enumerate(targets(result), 1):
        name = f"scores-{position:02d}-{slug(target)}"
        yield "scores", target, name, heat_map(result, target)
