"""The figure of a study's design: what each arm trains on, and what it is scored on."""

from typing import Any

import altair as alt

from xstilts.report.chart_basics import BLUE, FAINT, GREEN, VERMILION, Figure, chart_of, layered
from xstilts.report.tables import artificial, sources_of

Result = dict[str, Any]
COLUMNS = ("encoder", "intermediate training", "target training")
LONGEST = 34
"""Characters of a node; longer names are cut."""


def plan_figure(result: Result) -> Figure:
    """The plan's graph: encoders, the intermediate training of each arm, and the targets; a row per arm."""
    study: Result = result["study"]
    rows: list[Result] = []
    for arm, settings in study["arms"].items():
        trained = settings.get("intermediate", "")
        sources = sources_of(result, arm)
        phase = f"{trained} in {sources}" if trained else "no intermediate training"
        own = [target for target, arms in _arms_of(result).items() if not arms or arm in arms]
        rows.append({"arm": arm, "intermediate training": phase, "targets": ", ".join(own)})
    height, middle = 26 * len(rows), 26 * (len(rows) - 1) / 2
    nodes: list[Result] = [{"x": 0, "y": middle, "text": ", ".join(result["encoders"]), "kind": COLUMNS[0]}]
    edges: list[Result] = []
    for place, row in enumerate(rows):
        y = 26 * place
        nodes.append({"x": 190, "y": y, "text": row["arm"], "kind": "arm"})
        nodes.append({"x": 300, "y": y, "text": row["intermediate training"], "kind": COLUMNS[1]})
        nodes.append({"x": 545, "y": y, "text": row["targets"], "kind": COLUMNS[2]})
        edges += [{"x": 120, "y": middle, "x2": 182, "y2": y}, {"x": 527, "y": y, "x2": 540, "y2": y}]
    nodes = [node | {"text": _cut(node["text"])} for node in nodes]
    plain = {"axis": None, "scale": alt.Scale(domain=[0, 760], nice=False)}
    x, y = alt.X("x:Q", **plain), alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-13, height - 13], reverse=True))
    lines = chart_of(edges, x=x, y=y, x2="x2:Q", y2="y2:Q").mark_rule(color=FAINT, strokeWidth=1.5)
    colours = dict(zip((COLUMNS[0], "arm", *COLUMNS[1:]), (GREEN, "currentColor", BLUE, VERMILION), strict=True))
    colour = alt.Color("kind:N", legend=None, scale=alt.Scale(domain=list(colours), range=list(colours.values())))
    text = chart_of(nodes, x=x, y=y, text="text:N", color=colour).mark_text(align="left", fontSize=12)
    title = f"Encoder, arm, intermediate training, target{artificial(result, study['types'])}"
    chart = layered(title, lines, text, width=760, height=height)
    caption = "Each arm trains the encoder on its intermediate task, then on each target in the anchor language."
    return Figure("plan", "plan", chart, caption, rows)


def _arms_of(result: Result) -> dict[str, list[str]]:
    """The arms that each target has; [] for all."""
    entries = result["plan"]["study"].get("targets", {})
    return {target: list(entries.get(target, {}).get("arms", ())) for target in result["study"]["types"]}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
