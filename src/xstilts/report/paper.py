"""What goes into a paper: tables in LaTeX and Markdown, figures as PDF and SVG, and a paragraph on methods."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import vl_convert

from xstilts.engine import write_atomically
from xstilts.report.chart_basics import INK, Figure, standalone
from xstilts.report.console import interval, markdown, number, signed, visible
from xstilts.report.sentences import not_zero_shot
from xstilts.report.tables import artificial, slug, target_table, targets
from xstilts.runs.run_files import PAPER

Result = dict[str, Any]

COLUMNS = {"one-column": 240, "two-columns": 497}
"""Widths of figures in points: of one column and of the page of a conference paper (ACL: 3.33 and 6.9 inches)."""
CITED = {
    "phang2020": "(Phang et al. 2020)",
    "littell2017": "(Littell et al. 2017)",
    "searle1992": "(Searle et al. 1992)",
}
CITATION = re.compile(rf"\[@({'|'.join(CITED)})\]")
SPECIAL = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "†": r"$^\dagger$"}
SPECIAL |= {character: "\\" + character for character in "&%$#_{}"}
SPECIAL |= {character: f"${character}$" for character in "<>|"}
SPECIAL |= {"±": r"$\pm$", "−": "$-$", "–": "--", "×": r"$\times$"}


@dataclass(frozen=True)
class Table:
    """A table of texts, its first column of names and the others of numbers; `name` is part of file name and label."""

    name: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def latex(self) -> str:
        """As LaTeX, for the package booktabs; as wide as the page of a paper in two columns."""
        lines = [" & ".join(map(latex, row)) + r" \\" for row in (self.headings, *self.rows)]
        lines = [re.sub(r"^[\[*]", r"{\g<0>}", line) for line in lines]  # after \\ these would be its options
        columns = "l" + "r" * (len(self.headings) - 1)
        return "\n".join([
            r"\begin{table*}", r"\centering\footnotesize", r"\setlength{\tabcolsep}{3pt}",
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule", r"\end{tabular}",
            rf"\caption{{{latex(self.caption)}}}", rf"\label{{tab:{self.name}}}", r"\end{table*}", "",
        ])  # fmt: skip

    def markdown(self) -> str:
        """As Markdown."""
        rule = ["---", *(["---:"] * (len(self.headings) - 1))]
        rows = (self.headings, rule, *self.rows)
        lines = ("| " + " | ".join(map(markdown, row)) + " |" for row in rows)
        return "\n".join([*lines, "", markdown(self.caption), ""])


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped.

    >>> print(latex("english+far & 50%"))
    english+far \\& 50\\%
    """
    return "".join(SPECIAL.get(character, character) for character in visible(text))


def paper_tables(result: Result) -> list[Table]:
    """The contrasts, and the scores on each target."""
    return [_contrasts(result), *(_scores(result, target) for target in targets(result))]


def write_paper(result: Result, run: Path, figures: Sequence[Figure]) -> Path:
    """Write tables, figures, methods and references into the folder `paper` of a run; its path."""
    out = run / PAPER
    out.mkdir(parents=True, exist_ok=True)
    for table in paper_tables(result):
        write_atomically(out / f"{table.name}.tex", table.latex())
        write_atomically(out / f"{table.name}.md", table.markdown())
    for figure in figures:
        drawn = figure.svg.replace("currentColor", INK)
        write_atomically(out / f"{figure.name}.svg", standalone(drawn))
        for columns, points in COLUMNS.items():
            write_atomically(out / f"{figure.name}-{columns}.pdf", vl_convert.svg_to_pdf(_fitted(drawn, points)))
    text = methods(result)
    write_atomically(out / "methods.md", cited(markdown(text)) + "\n")
    write_atomically(out / "methods.tex", CITATION.sub(r"\\citep{\1}", latex_prose(text)) + "\n")
    write_atomically(out / "references.bib", bibliography())
    return out


def bibliography() -> str:
    """The works that `methods` cites, in BibTeX."""
    return files("xstilts.report").joinpath("references.bib").read_text(encoding="utf-8")


def cited(text: str) -> str:
    """A text with author and year in place of citations `[@key]`."""
    return CITATION.sub(lambda key: CITED[key[1]], text)


def _fitted(svg: str, points: float) -> str:
    """An SVG text that is at most so wide, with equal proportions."""
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg)
    assert size, "the renderer gives every chart a size"
    share = min(1.0, points / float(size[1]))
    width, height = (round(share * float(length), 2) for length in size.groups())
    return svg.replace(size[0], f'width="{width:g}" height="{height:g}"', 1)


def latex_prose(text: str) -> str:
    """`latex` of a text whose citations `[@key]` stay."""
    parts = CITATION.split(text)  # text and keys in turn
    return "".join(f"[@{part}]" if i % 2 else latex(part) for i, part in enumerate(parts))


def methods(result: Result) -> str:
    """A paragraph on how the numbers came about, with citations as `[@key]`."""
    study, plan = result["study"], result["plan"]
    verdicts, encoders = result["verdicts"], ", ".join(result["encoders"])
    runs = sorted(
        {row["replicates"] // len(result["encoders"]) for row in result["scores"] if row["arm"] != "baseline"}
    )
    replicates = " to ".join(str(count) for count in dict.fromkeys((runs[0], runs[-1]))) if runs else "no"
    names = ", ".join(plan["held_out"])
    made = artificial(result, study["types"])
    sentences = [
        f"We trained {encoders} in phases, an intermediate task before the target task [@phang2020], and evaluated "
        f"zero-shot in {len(plan['held_out'])} languages{made} that no compared arm was trained on"
        f"{not_zero_shot(result)} ({names}).",
        "Languages were split into a source pool and a held-out set before training; distances between languages are "
        f"based on {study['measure']} features of URIEL [@littell2017].",
        f"Each arm has {replicates} replicates per encoder, which repeat all phases with their own randomness; arms "
        "share examples, numbers of updates and randomness.",
        "The variance of a difference is that of a two-way random-effects model of replicates and test items "
        "[@searle1992].",
    ]
    if verdicts:
        sentences.append(
            f"The {len(verdicts)} contrasts were declared before the run. Their intervals hold simultaneously with "
            f"{study['level']:.0%} confidence; differences within ±{study['equivalence']:g} points count as equivalent."
        )
    sentences.append(f"Precision: {plan['precision']} on {plan['device']}; seed {study['seed']}; plan {plan['hash']}.")
    return " ".join(sentences)


def _contrasts(result: Result) -> Table:
    rows = [
        (row["contrast"], ", ".join(row["targets"]), signed(row["estimate"]), interval(row), row["verdict"],
         str(row["replicates"]))
        for family in ("verdicts", "controls") for row in result[family]
    ]  # fmt: skip
    made = artificial(result, (target for row in result["verdicts"] for target in row["targets"]))
    caption = f"Differences between arms in points{made}, with simultaneous intervals, over the held-out languages."
    return Table("contrasts", caption, ("contrast", "targets", "difference", "interval", "verdict", "replicates"), rows)


def _scores(result: Result, target: str) -> Table:
    table = target_table(result, target)
    means = {(r["arm"], r["language"]): r["mean"] for r in result["scores"] if r["target"] == target}
    headings = ("arm", *table["languages"], "held out", "above baseline", "English")
    rows = []
    for row in table["rows"]:
        name = f"baseline ({table['baseline'] or 'trivial'})" if row["arm"] == "baseline" else row["arm"]
        gain = f"{signed(row['gain']['estimate'], 1)} {interval(row['gain'], 1)}" if row["gain"] else ""
        numbers = [number(means.get((row["arm"], code))) for code in table["languages"]]
        rows.append((name, *numbers, number(row["held_out"]), gain, number(row["english"])))
    caption = (
        f"{table['title']}: mean {table['metric']} over replicates in each held-out language, near to far; the mean "
        "over these; how far it is above the baseline, with an interval; and the score in English."
    )
    return Table(f"scores-{slug(target)}", caption, headings, rows)
