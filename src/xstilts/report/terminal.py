"""The report in a terminal: what a run shows, in a screen or two."""

from pathlib import Path
from typing import Any

from rich.console import Console

from xstilts.report.console import interval, number, print_table, say, signed
from xstilts.report.sentences import caveats, expectation, footnote, purpose
from xstilts.report.tables import baseline_name, counted, metric, score_table, targets
from xstilts.runs.run_files import REPORT

Result = dict[str, Any]
STYLES = {"better": "bold green", "worse": "bold red", "equivalent": "bold cyan", "undetermined": "bold"}


def print_report(result: Result, run: Path, console: Console, warnings: bool = True) -> None:
    """Print question, answer, verdicts, controls, mean scores next to their baselines, and where the page is.

    warnings: whether to print the design warnings too, which `study` has printed before.
    """

    def lines(*texts: str) -> None:
        for text in texts:
            say(text, wrap=True, console=console)

    say((result["study"]["question"], "bold"), wrap=True, console=console)
    lines(*[result["answer"]] * bool(result["answer"]))
    _print_family(result, "verdicts", "Verdicts, by simultaneous intervals", console)
    lines(*(f"{row['contrast']}: {row['decision']['text']}" for row in result["verdicts"] if row["decision"]))
    lines(*("warning: " * row["warning"] + row["text"] for row in caveats(result)))
    if result["controls"]:
        _print_family(result, "controls", f"Controls: {purpose(result)}", console)
        lines(*(f"{row['contrast']}: {' '.join(expectation(result, row)).strip()}" for row in result["controls"]))
    for target in targets(result):
        _print_scores(result, target, console)
    lines(footnote(result), *(f"warning: {warning}" for warning in result["plan"]["warnings"] if warnings))
    say(f"Report: {run / REPORT}", console=console)


def _print_family(result: Result, family: str, title: str, console: Console) -> None:
    rows = result[family]
    if not rows:
        return
    headings = ("contrast", ">difference", f">interval ({rows[0]['level']:.1%} each)", "verdict")
    cells = [
        (row["contrast"], signed(row["estimate"]), interval(row), (row["verdict"], STYLES.get(row["verdict"], "bold")))
        for row in rows
    ]
    print_table(headings, cells, title=title, console=console)


def _print_scores(result: Result, target: str, console: Console) -> None:
    rows, baseline = score_table(result, target), baseline_name(result, target)
    title = f"{target}: mean {metric(result, target)}, {len(counted(result, target))} held-out languages and English"
    cells = []
    for row in rows:
        name = f"baseline ({baseline or 'trivial'})" if row["arm"] == "baseline" else row["arm"]
        gain = f"{signed(row['gain']['estimate'])} {interval(row['gain'])}" if row["gain"] else ""
        held_out = number(row["held_out"]) + (" †" if row["beaten"] is False else "")
        kind = " (control)" if row["role"] == "control" else ""
        cells.append((name + kind, held_out, number(row["english"]), gain))
    headings = ("arm", ">held-out", ">English", f">above baseline ({result['study']['level']:.0%})")
    print_table(headings, cells, title=title, console=console)
    if not baseline:
        say("No baseline was scored for this target.", console=console)
