"""Scores by the values of a column of the examples: a domain, a phenomenon."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np

from xstilts.analysis.effects import compare_arms, effect
from xstilts.analysis.verdicts import as_json
from xstilts.errors import XstiltsError
from xstilts.runs.reader import Run

Row = dict[str, Any]


def breakdowns(run: Run, encoders: list[str]) -> Iterator[Row]:
    """A row for each target, `breakdown` column of its task and value of that column.

    Means are over the held-out languages; over all languages if the target is scored in none of these, such as a data
    set in English alone. `arms`: mean score of each arm; `contrasts`: the difference of each declared contrast, with an
    interval at the study's level that is not adjusted for the number of rows, or None if there is none. Exploratory.
    """
    declared = [*run.study["contrasts"], *run.study["controls"]]
    for target in run.scored:
        for column, value, examples, table in run.breakdown(target):
            codes = [code for code in table.languages if code in run.plan["held_out"]] or table.languages
            arms = {
                arm: float(np.mean([table.scores(table.cells(arm), code) for code in codes]))
                for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats)
            }
            differences: dict[str, Row | None] = {}
            for contrast in declared:
                differences[contrast["contrast"]] = None
                with suppress(XstiltsError):  # an arm was not run, or too few examples have the value
                    whole = compare_arms(run, contrast["left"], contrast["right"], [target], encoders=encoders)
                    part = replace(whole, tables=(table,), languages=(tuple(codes),))
                    differences[contrast["contrast"]] = as_json(effect(part))
            facts = {"target": target, "column": column, "value": value, "languages": codes}
            yield {**facts, "examples": examples, "arms": arms, "contrasts": differences}
