"""The report in a terminal: what a run shows, in a screen or two."""

from pathlib import Path
from typing import Any

from xstilts.report.console import VERDICT_STYLES, interval, number, print_table, say, signed
from xstilts.report.sentences import artificial_note, caveats, expectation, footnote, purpose
from xstilts.report.tables import target_table, targets
from xstilts.runs.run_files import REPORT

Result = dict[str, Any]


def print_report(result: Result, run: Path, warnings: bool = True) -> None:
    """Print question, answer, verdicts, controls, mean scores next to their baselines, and where the page is.

    warnings: whether to print the design warnings too, which `study` has printed before.
    """
    say((result["study"]["question"], "bold"), wrap=True)
    for line in (f"incomplete: {lack}" for lack in result["missing"]):
        say((line, "bold red"), wrap=True)
    for line in filter(None, [artificial_note(result), result["answer"]]):
        say(line, wrap=True)
    _print_family(result["verdicts"], "Verdicts (simultaneous intervals)")
    for row in result["verdicts"]:
        if row["decision"]:
            say(f"{row['contrast']}: {row['decision']['text']}", wrap=True)
    for row in caveats(result):
        say("warning: " * row["warning"] + row["text"], wrap=True)
    _print_family(result["controls"], f"Controls: {purpose(result)}")
    for row in result["controls"]:
        say(f"{row['contrast']}: {' '.join(expectation(result, row)).strip()}", wrap=True)
    for target in targets(result):
        _print_scores(target_table(result, target), result["study"]["level"])
    for line in [footnote(result), *(f"warning: {warning}" for warning in result["plan"]["warnings"] if warnings)]:
        say(line, wrap=True)
    say(f"Report: {run / REPORT}")


def _print_family(rows: list[Result], title: str) -> None:
    if rows:
        headings = ("contrast", ">difference", f">interval ({rows[0]['level']:.1%} each)", "verdict")
        verdicts = [(row["verdict"], VERDICT_STYLES.get(row["verdict"], "bold")) for row in rows]
        numbers = [(row["contrast"], signed(row["estimate"]), interval(row)) for row in rows]
        print_table(headings, [(*row, verdict) for row, verdict in zip(numbers, verdicts, strict=True)], title)


def _print_scores(table: Result, level: float) -> None:
    cells = []
    for row in table["rows"]:
        name = f"baseline ({table['baseline'] or 'trivial'})" if row["arm"] == "baseline" else row["arm"]
        gain = f"{signed(row['gain']['estimate'])} {interval(row['gain'])}" if row["gain"] else ""
        held_out = number(row["held_out"]) + (" †" if row["beaten"] is False else "")
        cells.append((name + " (control)" * (row["role"] == "control"), held_out, number(row["english"]), gain))
    title = f"{table['title']}: mean {table['metric']}, {len(table['languages'])} held-out languages and English"
    print_table(("arm", ">held-out", ">English", f">above baseline ({level:.0%})"), cells, title)
    if not table["baseline"]:
        say("No baseline was scored for this target.")
