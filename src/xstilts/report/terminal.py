"""The report in a terminal: what a run found, in a screen or two."""

from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from xstilts.report.sentences import UNBEATEN, doubts, expectation, purpose, second_reading
from xstilts.report.tables import baseline_name, counted, interval, metric, number, score_table, signed, targets

Result = dict[str, Any]
STYLES = {"better": "bold green", "worse": "bold red", "equivalent": "bold cyan", "undetermined": "bold"}


def print_report(result: Result, run: Path, console: Console) -> None:
    """Question, answer, verdicts, controls, and mean scores beside their baselines; where the page is."""

    def say(text: str = "", style: str = "") -> None:
        # Text of the study is never markup.
        console.print(Text(text, style=style))

    say(result["study"]["question"], "bold")
    if result["answer"]:
        say(result["answer"])
    say()
    _print_family(result, "verdicts", "Verdicts", console)
    readings: dict[str, list[str]] = {}
    for row in result["verdicts"]:
        readings.setdefault(second_reading(row), []).append(row["contrast"])
        decides = [row["decision"]["text"]] if row["decision"] else []
        for line in [*decides, *(f"Warning: {doubt}" for doubt in doubts(result, row))]:
            say(f"{row['contrast']}: {line}")
    for line, contrasts in readings.items():
        say(f"{', '.join(contrasts)}: {line}")
    if result["controls"]:
        say()
        _print_family(result, "controls", f"Controls: {purpose(result)}", console)
        for row in result["controls"]:
            say(f"{row['contrast']}: {' '.join(expectation(result, row)).strip()}")
    for target in targets(result):
        say()
        _print_scores(result, target, console)
    for warning in result["plan"]["warnings"]:
        say(f"Warning: {warning}")
    say()
    # A path broken over two lines could not be copied.
    console.print(Text(f"Report: {run / 'report.html'}"), soft_wrap=True)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for position, column in enumerate(columns):
        table.add_column(Text(column), justify="left" if position == 0 else "right", overflow="fold")
    return table


def _print_family(result: Result, family: str, title: str, console: Console) -> None:
    rows = result[family]
    if not rows:
        return
    table = _table(title, "contrast", "difference", f"simultaneous interval ({rows[0]['level']:.1%} each)", "verdict")
    for row in rows:
        word = Text(row["verdict"], style=STYLES[row["verdict"]])
        table.add_row(Text(row["contrast"]), signed(row["estimate"]), Text(interval(row)), word)
    console.print(table)


def _print_scores(result: Result, target: str, console: Console) -> None:
    rows, baseline = score_table(result, target), baseline_name(result, target)
    languages = len(counted(result, target))
    title = f"{target}: mean {metric(result, target)}, {languages} held-out languages and English"
    table = _table(title, "arm", "held-out", "", "English", f"above baseline ({result['study']['level']:.0%})")
    for row in rows:
        name = f"baseline ({baseline or 'trivial'})" if row["arm"] == "baseline" else row["arm"]
        gain = f"{signed(row['gain']['estimate'])} {interval(row['gain'])}" if row["gain"] else ""
        mark = "†" if row["beaten"] is False else ""
        kind = " (control)" if row["role"] == "control" else ""
        cells = (number(row["held_out"]), mark, number(row["english"]), gain)
        table.add_row(Text(name + kind), *(Text(cell) for cell in cells))
    console.print(table)
    if any(row["beaten"] is False for row in rows):
        console.print(Text(f"† {UNBEATEN.format(baseline=baseline)}"))
    elif not baseline:
        console.print(Text("No baseline was scored for this target."))
