"""The figures, as Altair charts made from the result of an analysis."""

from typing import Any

import altair as alt
import vl_convert

from xstilts.report.console import visible
from xstilts.report.sentences import correlation
from xstilts.report.tables import anchor, arms, by_distance, interval, language_name, metric, number, signed

Result = dict[str, Any]

# Okabe and Ito's palette, which all kinds of colour vision can tell apart; shapes say the same without colour.
COLOURS = {"better": "#0072B2", "worse": "#D55E00", "equivalent": "#009E73", "undetermined": "#7a7a7a"}
SHAPES = {"better": "triangle-right", "worse": "triangle-left", "equivalent": "square", "undetermined": "circle"}
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
    """The Vega-Lite specification of a dressed chart, in which `ink` is the colour of all text.

    Control characters are shown as escapes: the renderer aborts the whole process on some.
    """

    def cleaned(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: cleaned(value) for key, value in part.items()}
        if isinstance(part, list):
            return [cleaned(value) for value in part]
        return part if not isinstance(part, str) else ink if part == "currentColor" else visible(part)

    return cleaned(dress(chart).to_dict(validate=False))


def standalone(svg: str) -> str:
    """An SVG text with colours of its own: outside a page there is none to take them from."""
    return svg.replace("<svg ", f'<svg style="background:#ffffff;color:{INK}" ', 1)


def dress(chart: Any) -> Any:
    """A chart with the fonts and lines that all have in common."""
    ink = {"labelColor": "currentColor", "titleColor": "currentColor", "labelFontSize": 12, "titleFontSize": 12,
           "titleFontWeight": "normal", "gridColor": FAINT, "domainColor": FAINT, "tickColor": FAINT,
           "labelLimit": 220, "labelFlush": False, "tickCount": 8}  # fmt: skip
    dressed = chart.configure(font=FONT, background="transparent").configure_axis(**ink)
    dressed = dressed.configure_legend(labelColor="currentColor", labelFontSize=12)
    return dressed.configure_view(stroke=None).configure_title(
        color="currentColor", subtitleColor="currentColor", anchor="start", frame="group", fontSize=14, offset=12
    )


def forest(rows: list[Result], name: str, x: Any, size: int, shape: Any = None, **more: Any) -> tuple[Any, list[Any]]:
    """The points `estimate` of `rows`, each with a line from `low` to `high` if it has an interval: base and layers."""
    y = alt.Y(f"{name}:N", sort=None, title=None, axis=alt.Axis(grid=False, ticks=False, labelPadding=8))
    base = alt.Chart(alt.Data(values=rows)).encode(y=y, **more)
    lines = base.transform_filter("datum.low !== null").mark_rule(strokeWidth=2.5).encode(x=x, x2="high:Q")
    points = base.mark_point(size=size, filled=True, opacity=1).encode(x="estimate:Q")
    return base, [lines, points.encode(shape=shape) if shape else points]


def contrasts_chart(result: Result, family: str = "verdicts") -> Any:
    """Forest plot of the declared contrasts (or of the `controls`): the intervals that the verdicts rest on."""
    names = ("contrast", "estimate", "low", "high", "verdict")
    rows = [
        {name: row[name] for name in names} | {"text": f"{signed(row['estimate'])} {interval(row)}"}
        for row in result[family]
    ]
    colour, shape = (alt.Color("verdict:N", scale=_scale(COLOURS), legend=None),
                     alt.Shape("verdict:N", scale=_scale(SHAPES), legend=None))  # fmt: skip
    base, layers = forest(rows, "contrast", _differences(rows, result), 130, shape, color=colour)
    layers += [
        base.mark_text(align="left", fontSize=12, dy=dy).encode(
            x=alt.value(WIDTH + 14), text=name, color=alt.value("currentColor")
        )
        for name, dy in (("text:N", -8), ("verdict:N", 8))
    ]
    level = f"{result[family][0]['level']:.1%}"
    title = f"Simultaneous intervals ({level} each)" if len(rows) > 1 else f"Interval ({level})"
    layers = [_band(result["study"]["equivalence"]), _zero("x"), *layers]
    return alt.layer(*layers, title=title, description=title, width=WIDTH, height=alt.Step(46))


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
        for code in by_distance(effects, distances)
    ]
    _, layers = forest(rows, "language", _differences(rows, result), 60, color=alt.value(MARK))
    level = f"{result['study']['level']:.0%} intervals"
    title = alt.Title(f"{contrast} on {target}", subtitle=f"{level}, not adjusted for multiple comparisons")
    layers = [_band(result["study"]["equivalence"]), _zero("x"), *layers]
    return alt.layer(*layers, title=title, description=title.text, width=WIDTH, height=alt.Step(24))


def distance_chart(gains: Result) -> Any:
    """Gain of each held-out language against its distance from the sources of a contrast's left arm."""
    rows = _sided([point for point in gains["points"] if point["distance"] is not None])
    x = alt.X("distance:Q", scale=alt.Scale(zero=False), title="distance to the nearest source of the left arm")
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=alt.Y("gain:Q", title="gain in points"))
    points = base.mark_point(size=60, filled=True, opacity=0.85, color=MARK)
    text = [
        base.mark_text(align=align, dx=dx, fontSize=12, color="currentColor")
        .encode(text="language:N")
        .transform_filter(alt.datum.side == side)
        for side, align, dx in (("right", "left", 7), ("left", "right", -7))
    ]
    title = alt.Title(gains["contrast"], subtitle=correlation(gains))
    return alt.layer(_zero("y"), points, *text, title=title, description=title.text, width=WIDTH, height=280)


def _sided(points: list[Result]) -> list[Result]:
    """Points with the side of their label: left if a label on the right would cover a neighbour's."""
    width, height = (max((p[name] for p in points), default=0) - min((p[name] for p in points), default=0) or 1.0
                     for name in ("distance", "gain"))  # fmt: skip
    placed: list[Result] = []
    for point in sorted(points, key=lambda p: -p["distance"]):
        covers = any(
            other["distance"] - point["distance"] < 0.08 * width and abs(other["gain"] - point["gain"]) < 0.05 * height
            for other in placed
        )
        placed.append({**point, "side": "left" if covers else "right"})
    return placed


def heat_map(result: Result, target: str) -> Any:
    """Mean score and standard deviation over replicates, languages near to far by arms; held-out ones starred."""
    scores = [row for row in result["scores"] if row["target"] == target]
    held_out = {row["language"] for row in scores if row["held_out"]}
    order = by_distance({row["language"] for row in scores}, result["plan"]["distances"])
    order.sort(key=lambda code: code != anchor(result))
    labels = {code: f"{language_name(code)} ({code}){' *' if code in held_out else ''}" for code in order}
    low, high = min(row["mean"] for row in scores), max(row["mean"] for row in scores)
    rows = [
        {"arm": row["arm"], "language": labels[row["language"]], "mean": row["mean"],
         "text": number(row["mean"]) + (f" ±{number(row['sd'])}" if row["sd"] is not None else "")}
        for row in scores
    ]  # fmt: skip
    top = alt.Axis(orient="top", domain=False, ticks=False, labelAngle=-30, labelLimit=160)
    side = alt.Axis(domain=False, ticks=False)
    base = alt.Chart(alt.Data(values=rows)).encode(
        x=alt.X("arm:N", sort=arms(result, target), title=None, axis=top),
        y=alt.Y("language:N", sort=list(labels.values()), title=None, axis=side),
    )
    # The light half of the palette: dark text stays readable on all of it.
    palette = alt.SchemeParams(name="blues", extent=[0, 0.6])
    scale = alt.Scale(scheme=palette, domain=[low, high] if low < high else [low - 1, high])
    cells = base.mark_rect().encode(color=alt.Color("mean:Q", scale=scale, legend=None))
    text = base.mark_text(fontSize=11, color=INK).encode(text="text:N")
    heading = f"{target}: mean {metric(result, target)} ± standard deviation over replicates"
    title = alt.Title(heading, subtitle="* held out")
    return alt.layer(cells, text, title=title, description=title.text, width=alt.Step(74), height=alt.Step(24))


def power_chart(result: Result) -> Any:
    """Power against replicates, a line for each difference; the broken line is the power that is asked for."""
    rows = [
        {"replicates": row["replicates"], "power": row[f"{gain:g}"], "gain": f"{gain:g} points"}
        for row in result["curve"]
        for gain in result["gains"]
    ]
    design = result["design"]
    names = [f"{gain:g} points" for gain in result["gains"]]
    colour = alt.Color("gain:N", title=None, scale=alt.Scale(domain=names, range=["#7a7a7a", "#D55E00", MARK]))
    x = alt.X("replicates:Q", title="replicates of each encoder")
    y = alt.Y("power:Q", scale=alt.Scale(domain=[0, 1]), title="chance that the interval lies above zero")
    shape = alt.Shape("gain:N", title=None, scale=alt.Scale(domain=names))
    base = alt.Chart(alt.Data(values=rows)).encode(x=x, y=y, color=colour, shape=shape)
    asked = alt.Chart(alt.Data(values=[{"share": result["share"]}])).mark_rule(strokeDash=[5, 4], color="currentColor")
    title = f"{design['languages']} held-out languages, {design['clusters']:,} item clusters"
    layers = [asked.encode(y="share:Q"), base.mark_line(), base.mark_point(filled=True, size=60, opacity=1)]
    return alt.layer(*layers, title=title, description=title, width=WIDTH, height=260)


def _differences(rows: list[Result], result: Result) -> Any:
    """The axis of differences; it is cut if one very wide interval would flatten all others."""
    ends = sorted(max(abs(row[name]) for name in ("estimate", "low", "high") if row[name] is not None) for row in rows)
    reach = max(5 * ends[(len(ends) - 1) // 2], result["study"]["equivalence"])
    title = "difference in points; shaded: practically equivalent"
    if ends[-1] <= reach:
        return alt.X("low:Q", title=title)
    scale = alt.Scale(domain=[-reach, reach], clamp=True)
    return alt.X("low:Q", scale=scale, title=[title, "intervals that reach the edge continue beyond it"])


def _scale(meaning: dict[str, str]) -> Any:
    return alt.Scale(domain=list(meaning), range=list(meaning.values()))


def _band(equivalence: float) -> Any:
    """The equivalence margin."""
    data = alt.Data(values=[{"from": -equivalence, "to": equivalence}])
    return alt.Chart(data).mark_rect(color="#888888", opacity=0.22).encode(x="from:Q", x2="to:Q")


def _zero(axis: str) -> Any:
    channel = alt.X("zero:Q") if axis == "x" else alt.Y("zero:Q")
    return alt.Chart(alt.Data(values=[{"zero": 0}])).mark_rule(color="currentColor").encode(**{axis: channel})
