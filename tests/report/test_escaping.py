"""Names of studies and labels of data in Markdown, YAML, LaTeX and CSV: text, whatever they hold."""

import csv
import io
import re

import yaml

from made_results import HOSTILE
from support import invoke
from xstilts.report.console import csv_text
from xstilts.report.model_card import model_card
from xstilts.report.paper import Table, write_paper
from xstilts.report.tables import results_csv

NASTY = f"x`y | [site](http://a)\n---\nlicense: mit\n# {HOSTILE} <!-- \x1b[31m"


def test_the_card_of_a_model_holds_no_markup_of_its_labels_and_names():
    phase = {"examples": 10, "updates": 2, "tokens": 100, "loss": 1.0}
    facts = {
        "kind": "classification", "task": {"type": "classification"}, "labels": [NASTY, "b"], "language": "en",
        "for": ["sw"], "arm": NASTY, "dev_score": 50.0, "dev_baseline": 40.0, "metric": "accuracy", "scores": {},
        "shots": {"sw": [NASTY]}, "licences": {NASTY: NASTY}, "datasets": [NASTY], "compared": 1,
        "recommendation": NASTY, "training": phase, "intermediate": None, "replicate": 1,
    }  # fmt: skip
    study = {"name": NASTY, "replicates": 1, "encoders": {"encoder": {"load": f"me/{NASTY}"}}}
    card = model_card(facts, study)
    _, front, body = card.split("---\n", 2)
    settings = yaml.safe_load(front)
    assert settings["license"] == "other" and settings["datasets"] == [NASTY]
    assert not re.search(r"^(---|license:|# \")", body, re.M) and "\x1b" not in card
    bare = re.sub(r"``.*?``", "", body)  # code
    assert not re.search(r"(?<!\\)<|\]\(", bare)
    row = next(line for line in body.splitlines() if line.startswith("| x"))
    assert len(re.findall(r"(?<!\\)\|", row)) == 3


def test_tables_of_a_paper_hold_no_command_of_a_name():
    table = Table(
        "t", "caption", ("arm", "score"), [(r"[2cm] \input{/etc/passwd} $x$ 50% <a|b>", "1"), ("*", "[0, 1]")]
    )
    lines = table.latex().splitlines()
    assert r"{[}2cm] \textbackslash{}input\{/etc/passwd\} \$x\$ 50\% $<$a$|$b$>$ & 1 \\" in lines
    assert r"{*} & [0, 1] \\" in lines
    rows = Table("t", NASTY, ("arm", "n"), [(NASTY, "1")]).markdown().splitlines()
    assert len(rows) == 5 and len(re.findall(r"(?<!\\)\|", rows[2])) == 3 and not re.search(r"(?<!\\)<", rows[4])


def test_an_encoder_that_is_named_like_a_citation(result, tmp_path):
    result["encoders"] = ["[@x]"]
    out = write_paper(result, tmp_path, [])
    assert "[@x]" in (out / "methods.tex").read_text() and "[@x]" in (out / "methods.md").read_text()


def test_text_in_csv_is_no_formula_and_numbers_are_numbers(result):
    formula = '=HYPERLINK("http://a")'
    result["scores"] = [{**row, "arm": row["arm"].replace("far", formula)} for row in result["scores"]]
    rows = list(csv.DictReader(io.StringIO(results_csv(result))))
    assert "'" + formula in {row["arm"] for row in rows}
    assert not [value for row in rows for value in row.values() if value.startswith("'") and value != "'" + formula]
    cells = ["@SUM(A1)", "\t=1", "+1-2", "-3.5", "a\x1b[31m\nb"]
    assert csv_text([{"a": cell} for cell in cells], ["a"]).splitlines()[1:] == [
        "'@SUM(A1)", r"\t=1", "'+1-2", "-3.5", r"a\x1b[31m\nb",
    ]  # fmt: skip
    assert invoke("languages", "--csv").startswith("code,")
