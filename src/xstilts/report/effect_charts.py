"""Figures of differences between arms: verdicts, languages, distance, a map of gains."""

from collections.abc import Iterator
from typing import Any

import altair as alt

from xstilts.languages import language
from xstilts.report.chart_basics import (
    BLUE,
    COLOURS,
    GREY,
    SHAPES,
    VERMILION,
    WIDTH,
    Figure,
    cells,
    chart_of,
    differences,
    forest,
    free_labels,
    layered,
    map_layers,
    zero,
)
from xstilts.report.console import interval, number, signed
from xstilts.report.sentences import correlation
from xstilts.report.tables import artificial, by_distance, columns_of, language_name, reference_arm, slug, targets

Result = dict[str, Any]
DIVERGING = ["#f3a26d", "#f6f6f6", "#7fb9dd"]
"""Losses, none, gains: light enough for dark text."""
JUDGED = ("contrast", "estimate", "low", "high", "verdict")


def contrasts_figure(result: Result, family: str = "verdicts") -> Figure:
    """Forest plot of the declared contrasts (or of the `controls`): the intervals that the verdicts rest on."""
    judged = result[family]
    level = f"{judged[0]['level']:.1%}"
    title = f"Simultaneous {level} intervals" if len(judged) > 1 else f"{level} interval"
    title += artificial(result, (target for row in judged for target in row["targets"]))
    chart = labelled_forest(judged, result["study"]["equivalence"], title)
    kind = "declared contrasts" if family == "verdicts" else "controls"
    caption = f"Mean difference of the {kind} over the held-out languages; a verdict follows from its interval."
    return Figure("contrasts", f"contrasts-{family}", chart, caption, columns_of(judged, JUDGED))


def labelled_forest(judged: list[Result], margin: float, title: str) -> Any:
    """Forest plot of judged contrasts, each with its name and numbers above its line, so that it fits on a phone."""
    rows = [
        {name: row[name] for name in JUDGED} | {"text": f"{signed(row['estimate'])} {interval(row)}, {row['verdict']}"}
        for row in judged
    ]
    colour, shape = (
        channel("verdict:N", scale=alt.Scale(domain=list(meaning), range=list(meaning.values())), legend=None)
        for channel, meaning in ((alt.Color, COLOURS), (alt.Shape, SHAPES))
    )
    x, background = differences(rows, margin)
    base, layers = forest(rows, "contrast", x, 130, shape, color=colour)
    for name, dy, weight in (("contrast:N", -25, "bold"), ("text:N", -11, "normal")):
        text = base.mark_text(align="left", fontSize=12, dy=dy, fontWeight=weight)
        layers.append(text.encode(x=alt.value(0), text=name, color=alt.value("currentColor")))
    layers = [layer.encode(y=alt.Y("contrast:N", sort=None, axis=None)) for layer in layers]
    return layered(title, *background, *layers, height=alt.Step(62))


def languages_figure(result: Result, contrast: str, target: str, position: int = 1) -> Figure:
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
    x, background = differences(rows, result["study"]["equivalence"])
    _, layers = forest(rows, "language", x, 60, color=alt.value(BLUE))
    title = f"{contrast} on {target}{artificial(result, [target])}"
    subtitle = f"{result['study']['level']:.0%} intervals, not adjusted for multiple comparisons"
    chart = layered(title, *background, *layers, subtitle=subtitle, height=alt.Step(24), width=WIDTH - 130)
    name = f"languages-{position:02d}-{slug(contrast)}-{slug(target)}"
    caption = "Difference in each held-out language, near to far; after each its distance from the anchor language."
    return Figure("languages", name, chart, caption, columns_of(rows, rows[0]) if rows else [], contrast)


def gains_figure(result: Result, target: str, position: int = 1) -> Figure | None:
    """Heat map of each arm's difference from the arm without an intermediate phase; None if there is no such arm."""
    reference = reference_arm(result)
    means = {(r["arm"], r["language"]): r["mean"] for r in result["scores"] if r["target"] == target}
    arms = [arm for arm in result["study"]["arms"] if arm != reference and any(key[0] == arm for key in means)]
    codes = by_distance({code for arm, code in means if arm == reference}, result)
    if not arms or not codes:
        return None
    held_out = set(result["plan"]["held_out"])
    names = {code: f"{language_name(code)} ({code}){' *' * (code in held_out)}" for code in codes}
    rows = []
    for code in codes:
        for arm in arms:
            if (arm, code) in means:
                gain = round(means[arm, code] - means[reference, code], 2)
                rows.append({"language": names[code], "arm": arm, "gain": gain, "text": signed(gain, 1)})
    plain = {"domain": False, "ticks": False}
    top = alt.Axis(orient="top", labelAngle=-40, labelLimit=160, **plain)
    x = alt.X("arm:N", sort=arms, title=None, axis=top)
    y = alt.Y("language:N", sort=list(names.values()), title=None, axis=alt.Axis(**plain))
    most = max(abs(row["gain"]) for row in rows) or 1.0
    scale = alt.Scale(range=DIVERGING, domain=[-most, 0, most])
    layers, size = cells(rows, x, y, alt.Color("gain:Q", scale=scale, legend=None), 44)
    title = f"Gain over '{reference}' on {target}{artificial(result, [target])}"
    chart = layered(title, *layers, subtitle="points; * held out", **size)
    caption = f"Mean score of each arm minus that of '{reference}', languages near to far."
    name = f"gains-{position:02d}-{slug(target)}"
    return Figure("gains", name, chart, caption, columns_of(rows, ("language", "arm", "gain")), target)


def distance_figure(gains: Result, result: Result, position: int = 1) -> Figure:
    """Gain of each held-out language, with its interval, against its distance from the left arm's sources.

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
    spread = base.transform_filter("datum.low !== null").mark_rule(color=GREY, opacity=0.5)
    line = base.transform_regression("distance", "gain").mark_line(color=VERMILION, strokeDash=[5, 4])
    layers = [zero(y="zero:Q"), spread.encode(y="low:Q", y2="high:Q"), line]
    layers.append(base.mark_point(size=60, filled=True, opacity=0.85, color=BLUE))
    for side, align, dx in (("right", "left", 7), ("left", "right", -7)):
        text = base.mark_text(align=align, dx=dx, fontSize=12, color="currentColor").encode(text="language:N")
        layers.append(text.transform_filter(alt.datum.side == side))
    title = gains["contrast"] + artificial(result, gains["targets"])
    chart = layered(title, *layers, subtitle=correlation(gains), height=280, width=WIDTH - 40)
    caption = "Gain in each held-out language, with its interval, against its distance, and the least-squares line."
    name = f"distance-{position:02d}-{slug(gains['contrast'])}"
    columns = ("language", "distance", "gain", "low", "high")
    return Figure("distance", name, chart, caption, columns_of(rows, columns), gains["contrast"])


def map_figure(gains: Result, result: Result) -> Figure | None:
    """A map of the held-out languages, coloured by their gain, with the sources; None if no place is known, or if the
    languages are artificial."""
    if artificial(result, gains["targets"]):
        return None
    sources = {
        code for codes in result["plan"]["sources"][gains["contrast"].split(" - ")[0]].values() for code in codes
    }
    gained = {point["language"]: point["gain"] for point in gains["points"]}
    rows = []
    for code in [*gained, *sorted(sources - gained.keys())]:
        place = language(code)
        if place.latitude is not None:
            role = "held out" if code in gained else "source of the left arm"
            where = {"latitude": place.latitude, "longitude": place.longitude}
            rows.append({"language": code, "role": role, "gain": gained.get(code), **where, "label": code})
    if not rows:
        return None
    rows = free_labels(rows, 9.0, 6.0)
    most = max((abs(gain) for gain in gained.values()), default=1.0) or 1.0
    scale = alt.Scale(range=[VERMILION, "#bbbbbb", BLUE], domain=[-most, 0, most])
    colour = alt.Color("gain:Q", scale=scale, legend=alt.Legend(title="gain", orient="bottom", gradientLength=160))
    shape = alt.Shape("role:N", legend=alt.Legend(title=None, orient="bottom"), scale=alt.Scale(
        domain=["held out", "source of the left arm"], range=["circle", "diamond"]))  # fmt: skip
    base = chart_of(rows, latitude="latitude:Q", longitude="longitude:Q")
    points = base.mark_point(filled=True, size=110, opacity=1, stroke="currentColor", strokeWidth=0.7).encode(
        shape=shape
    )
    sources_, held_out = (points.transform_filter(f"datum.gain {sign} null") for sign in ("===", "!=="))
    text = base.mark_text(fontSize=11, dy=-11, color="currentColor").encode(text="label:N")
    title = f"Where '{gains['contrast']}' gains{artificial(result, gains['targets'])}"
    layers = (*map_layers(), sources_.encode(color=alt.value(GREY)), held_out.encode(color=colour), text)
    chart = layered(title, *layers, width=760, height=390).project("equirectangular")
    caption = "One point in the middle of each language's area; the coastline is from Natural Earth."
    return Figure("map", "map", chart, caption, columns_of(rows, ("language", "role", "gain")))


def effect_figures(result: Result) -> Iterator[Figure]:
    """Every figure of differences that a run has."""
    for family in ("verdicts", "controls"):
        if result[family]:
            yield contrasts_figure(result, family)
    judged = [row["contrast"] for row in result["verdicts"]]
    rows = [row for row in result["languages"] if row["held_out"] and row["contrast"] in judged]
    shown = dict.fromkeys((row["contrast"], row["target"]) for row in rows)
    for position, (contrast, target) in enumerate(shown, 1):
        yield languages_figure(result, contrast, target, position)
    known = [gains for gains in result["distance"] if any(p["distance"] is not None for p in gains["points"])]
    for position, gains in enumerate(known, 1):
        yield distance_figure(gains, result, position)
    if result["distance"] and (figure := map_figure(result["distance"][0], result)):
        yield figure
    for position, target in enumerate(targets(result), 1):
        if figure := gains_figure(result, target, position):
            yield figure
