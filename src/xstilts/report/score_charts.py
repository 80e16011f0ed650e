"""Figures of scores and trainings: levels, spread over replicates, learning curves, power."""

from collections import defaultdict
from collections.abc import Iterator
from statistics import fmean
from typing import Any

import altair as alt

from xstilts.report.chart_basics import BLUE, GREY, VERMILION, WIDTH, Figure, cells, chart_of, layered
from xstilts.report.console import number
from xstilts.report.tables import artificial, by_distance, columns_of, language_name, slug, target_table, targets

Result = dict[str, Any]


def scores_figure(result: Result, target: str, position: int = 1) -> Figure:
    """Heat map of mean scores, languages near to far by arms; held-out ones starred."""
    table = target_table(result, target)
    scores = [row for row in result["scores"] if row["target"] == target]
    codes = by_distance({row["language"] for row in scores}, result)
    labels = {code: f"{language_name(code)} ({code}){' *' * (code in table['languages'])}" for code in codes}
    low, high = min(row["mean"] for row in scores), max(row["mean"] for row in scores)
    arms = [row["arm"] for row in table["rows"]]
    rows = [
        {"language": labels[row["language"]], "arm": row["arm"], "mean": row["mean"], "sd": row["sd"],
         "replicates": row["replicates"], "text": number(row["mean"])}
        for row in sorted(scores, key=lambda row: (codes.index(row["language"]), arms.index(row["arm"])))
    ]  # fmt: skip
    plain = {"domain": False, "ticks": False}
    x = alt.X("arm:N", sort=arms, title=None, axis=alt.Axis(orient="top", labelAngle=-40, labelLimit=160, **plain))
    y = alt.Y("language:N", sort=list(labels.values()), title=None, axis=alt.Axis(**plain))
    # The light half of the palette: dark text stays readable on all of it.
    palette = alt.SchemeParams(name="blues", extent=[0, 0.6])
    scale = alt.Scale(scheme=palette, domain=[low, high] if low < high else [low - 1, high])
    layers, size = cells(rows, x, y, alt.Color("mean:Q", scale=scale, legend=None), 44)
    chart = layered(f"{table['title']}: mean {table['metric']}", *layers, subtitle="* held out", **size)
    caption = "Means over replicates, languages near to far; the table has their standard deviations."
    columns = ("language", "arm", "mean", "sd", "replicates")
    return Figure("scores", f"scores-{position:02d}-{slug(target)}", chart, caption, columns_of(rows, columns), target)


def spread_figure(result: Result, target: str, position: int = 1) -> Figure | None:
    """Every replicate's mean over the held-out languages, per arm; None if the target has none."""
    order = list(result["study"]["arms"])
    runs = [row for row in result["runs"] if row["target"] == target]
    if not runs:
        return None
    rows = sorted(runs, key=lambda row: (order.index(row["arm"]), row["encoder"], row["replicate"]))
    y = alt.Y("arm:N", sort=order, title=None, axis=alt.Axis(grid=True, ticks=False, labelPadding=8))
    x = alt.X("score:Q", scale=alt.Scale(zero=False), title="mean over the held-out languages")
    several = len({row["encoder"] for row in rows}) > 1
    legend = alt.Legend(title=None, orient="bottom") if several else None
    shape = alt.Shape("encoder:N", legend=legend)
    base = chart_of(rows, x=x, y=y)
    points = base.mark_point(size=60, opacity=0.7, color=BLUE).encode(shape=shape)
    mean = base.mark_tick(thickness=2.5, size=16, color=VERMILION).encode(x="mean(score):Q")
    title = f"Replicates on {target}{artificial(result, [target])}"
    chart = layered(title, points, mean, height=alt.Step(24), width=WIDTH - 100)
    caption = "One mark a replicate: its mean score over the held-out languages; the line is the mean of the arm."
    columns = ("arm", "encoder", "replicate", "score")
    return Figure("spread", f"spread-{position:02d}-{slug(target)}", chart, caption, columns_of(rows, columns), target)


def curve_figures(result: Result) -> Iterator[Figure]:
    """Loss during training, a figure per intermediate task and per target: means over the runs of each arm."""
    losses: dict[str, dict[tuple[str, int], list[float]]] = {}
    made = artificial(result, result["study"]["types"])
    for cell in result["budgets"]:
        for phase in ("intermediate", "training"):
            training = f"training on {cell['target']}{artificial(result, [cell['target']])}"
            name = training if phase == "training" else f"intermediate training{made}"
            for update, loss in cell.get(phase, {}).get("curve", ()):
                losses.setdefault(name, defaultdict(list))[cell["arm"], update].append(loss)
    for position, (name, points) in enumerate(losses.items(), 1):
        rows = [{"arm": arm, "update": update, "loss": round(fmean(v), 4)} for (arm, update), v in points.items()]
        arms = list(dict.fromkeys(row["arm"] for row in rows))
        scheme = "tableau10" if len(arms) <= 10 else "tableau20"
        legend = alt.Legend(title=None, orient="bottom", columns=3, labelLimit=110)
        colour = alt.Color("arm:N", sort=arms, scale=alt.Scale(scheme=scheme), legend=legend)
        x = alt.X("update:Q", title="update")
        y = alt.Y("loss:Q", scale=alt.Scale(zero=False), title="training loss")
        title = f"Loss in the {name}"
        chart = layered(title, chart_of(rows, x=x, y=y, color=colour).mark_line(), height=220, width=WIDTH - 40)
        caption = "Mean training loss over the runs of each arm. A flat line did not learn; a steep end is unfinished."
        yield Figure("curves", f"curves-{position:02d}-{slug(name)}", chart, caption, rows)


def power_chart(result: Result) -> Any:
    """Power against replicates, a line for each difference; the broken line is the power that is asked for."""
    names = {f"{gain:g}": f"{gain:g} points" for gain in result["gains"]}
    rows = [
        {"replicates": row["replicates"], "power": row[gain], "gain": name}
        for row in result["curve"]
        for gain, name in names.items()
    ]
    scale = alt.Scale(domain=list(names.values()), range=[GREY, VERMILION, BLUE])
    x = alt.X("replicates:Q", title="replicates of each encoder")
    y = alt.Y("power:Q", scale=alt.Scale(domain=[0, 1]), title="chance that the interval lies above zero")
    shape = alt.Shape("gain:N", title=None, scale=alt.Scale(domain=list(names.values())))
    base = chart_of(rows, x=x, y=y, color=alt.Color("gain:N", title=None, scale=scale), shape=shape)
    asked = chart_of([{"share": result["share"]}], y="share:Q").mark_rule(strokeDash=[5, 4], color="currentColor")
    title = f"{result['design']['languages']} held-out languages, {result['design']['clusters']:,} item clusters"
    return layered(title, asked, base.mark_line(), base.mark_point(filled=True, size=60, opacity=1), height=260)


def score_figures(result: Result) -> Iterator[Figure]:
    """Every figure of scores and trainings that a run has."""
    for position, target in enumerate(targets(result), 1):
        yield scores_figure(result, target, position)
        if figure := spread_figure(result, target, position):
            yield figure
    yield from curve_figures(result)
