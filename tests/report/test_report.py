"""The report: what a reader would miss, and what must never happen on a page that is sent to others."""

import copy
import csv
import io
import json
import os
import re
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from made_results import HOSTILE, SHIFT, effect
from made_runs import make_run
from xstilts.errors import XstiltsError
from xstilts.report import chart_basics
from xstilts.report.chart_basics import svg
from xstilts.report.charts import figures_of
from xstilts.report.console import interval, signed
from xstilts.report.effect_charts import contrasts_figure, distance_figure, languages_figure
from xstilts.report.next_step import next_step
from xstilts.report.page import write_page
from xstilts.report.paper import COLUMNS, write_paper
from xstilts.report.score_charts import scores_figure
from xstilts.report.sentences import expectation, remarks
from xstilts.report.side_by_side import write_side_by_side
from xstilts.report.tables import budget_table, by_distance, slug, target_table
from xstilts.report.terminal import print_report
from xstilts.report.write import write_report


def test_artificial_languages_are_named_as_such_wherever_a_score_stands(result, tmp_path, capsys):
    assert "rtificial" not in page_of(result, tmp_path / "real", draw=True)
    result["study"]["artificial"] = ["xnli"]
    page = page_of(result, tmp_path / "made", draw=True)
    print_report(result, tmp_path)
    assert "Artificial languages" in page[: page.index("<nav")] and "Artificial languages" in capsys.readouterr().out
    for part in re.findall(r"<h3>xnli.*?</h3>", page) + re.findall(r"<svg.*?</svg>", page, re.S):
        assert "artificial languages" in part
    rows = csv.DictReader(io.StringIO((tmp_path / "made" / "tables.csv").read_text()))
    assert {row["data"] for row in rows} == {"artificial"}


def test_a_run_writes_what_goes_into_a_paper(result, tmp_path):
    result["scores"] = [{**row, "arm": row["arm"].replace("far", "fa_r & 50%")} for row in result["scores"]]
    out = write_paper(result, tmp_path, list(figures_of(result)))
    table, markdown = ((out / f"scores-xnli.{kind}").read_text() for kind in ("tex", "md"))
    assert r"fa\_r \& 50\%" in table and "fa_r & 50%" in markdown and r"\toprule" in table
    assert len({line.count(" & ") for line in table.splitlines() if line.endswith(r"\\")}) == 1, "rows are equally long"
    assert "+3.25" in (out / "contrasts.md").read_text() and "better" in (out / "contrasts.tex").read_text()
    keys = set(re.findall(r"\\citep{(\w+)}", (out / "methods.tex").read_text()))
    assert keys and keys <= set(re.findall(r"@\w+{(\w+),", (out / "references.bib").read_text()))
    assert "[@" not in (out / "methods.md").read_text()
    for columns, points in COLUMNS.items():
        figures = sorted(out.glob(f"*-{columns}.pdf"))
        widths = [float(re.search(rb"MediaBox \[0 0 ([\d.]+)", file.read_bytes())[1]) for file in figures]
        assert figures and all(width <= points + 1 for width in widths)


def test_figures_and_tables_of_an_earlier_plan_do_not_stay_beside_those_of_this_one(tmp_path):
    make_run(tmp_path / "run", {"none": {}}, ("xnli",), items=4)
    charts, paper = tmp_path / "run" / "charts", tmp_path / "run" / "paper"
    write_report(tmp_path / "run")
    first = {file.name for file in (*charts.iterdir(), *paper.iterdir())}
    old = ("scores-02-pawsx.svg", "scores-pawsx.tex", "contrasts-verdicts-one-column.pdf")
    for file in (charts / old[0], *(paper / name for name in (*old, "main.tex", "plan.md"))):
        file.write_text("of an earlier plan, or the user's own")
    write_report(tmp_path / "run")
    assert {file.name for file in (*charts.iterdir(), *paper.iterdir())} == first | {"main.tex", "plan.md"}


def page_of(result: dict[str, Any], run: Path, draw: bool = False) -> str:
    """The page; most tests do without the charts, which take seconds to draw."""
    with nullcontext() if draw else mock.patch.object(chart_basics, "svg", lambda chart: "<svg >"):
        return write_page(result, run, list(figures_of(result))).read_text(encoding="utf-8")


def terminal_of(result: dict[str, Any], run: Path) -> str:
    with redirect_stdout(io.StringIO()) as printed, mock.patch.dict(os.environ, COLUMNS="100"):
        print_report(result, run)
    return printed.getvalue()


def plain(html: str) -> str:
    return html.replace("&#39;", "'")


def test_page_says_the_verdicts_with_the_numbers_of_the_result(result: dict[str, Any], tmp_path: Path) -> None:
    html = plain(page_of(result, tmp_path, draw=True))
    assert result["answer"] in html and result["study"]["question"] in html
    for row in [*result["verdicts"], *result["controls"]]:
        table_row = re.search(rf'<th scope="row">{row["contrast"]}</th><td>(.*?)</td><td>(.*?)</td>', html)
        assert table_row and table_row.groups() == (signed(row["estimate"]), interval(row))
        assert f"{signed(row['estimate'])} {interval(row)}, {row['verdict']}</text>" in html, "so does the chart"
    assert "[+2.12, +4.38]" in html
    assert 'class="left">target xnli<' in html and 'class="left">classification tasks: xnli, pawsx<' in html


def test_the_first_screen_has_effect_data_languages_and_controls(result: dict[str, Any], tmp_path: Path) -> None:
    html = page_of(result, tmp_path)
    card = plain(html[html.index('class="card"') : html.index("<nav")])
    for text in (
        "far - english",
        "+3.25",
        "[+2.12, +4.38]",
        "xnli",
        "tiny; 6 replicates each",
        "3: es, tr, qu",
        "in-language - english: passed",
    ):
        assert text in card
    verdicts, _, controls = html.partition('<h3 id="controls">')
    assert "a gain is expected" not in verdicts and "a gain is expected" in controls


def test_nothing_is_fetched(result: dict[str, Any], tmp_path: Path) -> None:
    html = page_of(result, tmp_path, draw=True)
    files = [file.read_text() for file in (tmp_path / "charts").glob("*.svg")]
    assert len(files) == len(list(figures_of(result)))
    for text in [html, *files]:
        bare = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
        assert not re.search(r"<(link|iframe|image|img|use)\b|@import|url\((?!#)|src=", bare)
    assert "default-src 'none'" in plain(html) and html.count("<script") == 1
    assert set(re.findall(r'href="(.*?)"', html)) - {"tables.csv"} == {
        f"#{name}" for name in re.findall(r'href="#(.*?)"', html) if f'id="{name}"' in html
    }


def test_every_figure_has_its_data_next_to_it(result: dict[str, Any], tmp_path: Path) -> None:
    html = page_of(result, tmp_path, draw=True)
    for figure in figures_of(result):
        [part] = re.findall(rf'<figure id="{figure.name}".*?</figure>', html, re.S)
        assert 'role="img" aria-label=' in part and part.count("<tr>") == 1 + len(figure.rows) > 1


def test_a_next_step_is_the_command_of_the_run_with_its_cost(result: dict[str, Any], tmp_path: Path) -> None:
    assert next_step(result, tmp_path)["command"] == "xstilts study tiny --replicates 40"
    start = {
        "time": 1.7e9,
        "event": "plan",
        "todo": [],
        "slots": 1,
        "command": "xstilts study my.yaml --replicates 6 --jobs 2",
    }
    done = [{"time": 1.7e9, "event": "finished", "step": step, "seconds": 300.0} for step in ("a", "b", "a")]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in [start, *done]))
    step = next_step(result, tmp_path)
    assert step["command"] == "xstilts study my.yaml --jobs 2 --replicates 40"
    assert step["cost"] == "56:40", "600 s for 6 replicates, and 34 more"
    assert step["command"] in page_of(result, tmp_path)
    result["verdicts"][1]["decision"]["replicates"] = None
    assert next_step(result, tmp_path)["command"] == ""
    result["verdicts"][1]["decision"] = None
    assert next_step(result, tmp_path) is None and "Next step" not in page_of(result, tmp_path)


def test_several_runs_side_by_side(result: dict[str, Any], tmp_path: Path) -> None:
    other = copy.deepcopy(result)
    other["verdicts"][0]["targets"] = ["pawsx"]
    other["scores"] = [row for row in other["scores"] if row["arm"] != "far"]
    write_side_by_side({"first": result, HOSTILE: other}, tmp_path / "both.html")
    html = (tmp_path / "both.html").read_text()
    rows = [re.sub("<[^>]+>", " ", row).split() for row in re.findall("<tr>.*?</tr>", html, re.S)]
    assert ["xnli", "far", "49.8", "–"] in rows
    assert [row[:3] for row in rows].count(["far", "-", "english"]) == 2 and "far - english on pawsx" in html
    assert html.count("<script") == 1 and "<img" not in html


def test_names_of_the_study_are_never_markup(result: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(result).replace("english-again", json.dumps(HOSTILE)[1:-1])
    hostile = json.loads(text.replace('"xnli"', json.dumps("../" + HOSTILE)))
    for field in ("name", "question"):
        hostile["study"][field] = HOSTILE
    hostile["answer"] = hostile["plan"]["warnings"][0] = HOSTILE
    html = page_of(hostile, tmp_path / "run", draw=True)
    files = [*(tmp_path / "run" / "charts").iterdir()]
    assert files and all(re.fullmatch(r"[a-z0-9-]+\.svg", file.name) for file in files)
    assert html.count("<script") == 1
    for text in [html, *(file.read_text() for file in files)]:
        assert "<script>alert" not in text and "<img" not in text
    assert "&lt;script&gt;" in html
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert HOSTILE in terminal_of(hostile | {"answer": "[bold]"}, tmp_path).replace("\n", "")


def test_a_score_no_better_than_its_baseline_is_marked(result: dict[str, Any], tmp_path: Path) -> None:
    html, printed = page_of(result, tmp_path), terminal_of(result, tmp_path)
    assert '<p class="warning">† Not shown to beat the baseline' in html
    assert html.count("†</td>") == 1
    assert "baseline (majority class)" in html and "baseline (majority class)" in printed
    line = next(line for line in printed.splitlines() if line.strip().startswith("none"))
    assert "†" in line and "† Not shown to beat the baseline" in printed
    assert "warning: 'none' is not shown to beat the baseline on xnli." in printed
    for row in result["baselines"]:
        row["beaten"] = True
    assert "†" not in page_of(result, tmp_path) and "†" not in terminal_of(result, tmp_path)


def test_wide_intervals_and_encoders_that_did_not_learn(result: dict[str, Any], tmp_path: Path) -> None:
    sure = result["verdicts"][0]
    assert any("'far' scores higher than 'english' in 75% of the pairs of runs" in line for line in remarks(sure))
    assert "did not learn" not in terminal_of(result, tmp_path)
    sure["parts"][0] |= {"estimate": 0.0, "low": 0.0, "high": 0.0}
    assert "far - english: encoder 'tiny' scores the same" in plain(page_of(result, tmp_path))
    assert "warning: far - english: encoder 'tiny' scores the same" in terminal_of(result, tmp_path)


def test_random_language_inference_and_degenerate_runs(result: dict[str, Any], tmp_path: Path) -> None:
    own = result["verdicts"][0]["random_languages"]
    del own["refused"]
    own |= effect(2.5, 4.0, families=9)
    for printed in (plain(page_of(result, tmp_path)), " ".join(terminal_of(result, tmp_path).split())):
        assert "Random-language inference (9 families, weighted equally): +2.50 [-1.50, +6.50]" in printed
        assert "Random-language inference is not possible: 3 families" in printed
    html = page_of(result, tmp_path)
    assert re.search(r"far on xnli \(training\) 2 of 6, 1 of 2 after a retry", html)
    assert "<td>+4.75</td><td>[+3.75, +5.75]</td><td>better</td>" in html
    assert "not estimated: 3 languages are not enough" in html and "+1.50 [-0.50, +3.50], p 0.040, 12 languages" in html


def test_the_baseline_is_the_first_row(result: dict[str, Any]) -> None:
    result["scores"].reverse()
    rows = target_table(result, "xnli")["rows"]
    assert rows[0]["arm"] == "baseline" and rows[0]["held_out"] == pytest.approx(36.5 + (3 + 4 + 5) / 3)
    assert [row["role"] for row in rows[-2:]] == ["control", "control"]


def test_terminal_fits_and_says_the_verdicts(result: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / ("long-" * 30)
    printed = terminal_of(result, run)
    assert max(len(line) for line in printed.splitlines() if "Report:" not in line) <= 100
    assert f"Report: {run / 'report.html'}" in printed.splitlines()
    for row in [*result["verdicts"], *result["controls"]]:
        line = next(line for line in printed.splitlines() if line.strip().startswith(row["contrast"]))
        assert row["verdict"] in line and interval(row) in line and signed(row["estimate"]) in line
    assert printed.index("Controls") > printed.index("english - none")


def test_missing_pieces_do_not_crash(result: dict[str, Any], tmp_path: Path) -> None:
    bare = copy.deepcopy(result)
    bare |= {"answer": "", "controls": [], "baselines": [], "budgets": []}
    bare["plan"] |= {"warnings": [], "excluded": {}}
    bare["study"]["question"] = ""
    bare["distance"][0] |= {"rho": None, "p": None, "permutations": 0}
    bare["distance"][1]["points"] = [{**p, "distance": None} for p in bare["distance"][1]["points"]]
    for row in bare["scores"]:
        row["sd"] = None
    html, printed = page_of(bare, tmp_path), terminal_of(bare, tmp_path)
    assert "no rank correlation" in html and not re.search(r"\b(None|nan)\b", html)
    assert "No baseline was scored" in printed and "Controls" not in printed
    empty = bare | {"verdicts": [], "scores": [], "languages": [], "distance": []}
    assert "can be judged yet" in page_of(empty, tmp_path) and terminal_of(empty, tmp_path)
    assert "there is no verdict" in page_of(empty | {"study": empty["study"] | {"contrasts": []}}, tmp_path)


def test_excluded_languages_budgets_and_provenance(result: dict[str, Any], tmp_path: Path) -> None:
    events = [{"time": 1.7e9, "event": "plan", "todo": [], "slots": 1, "command": "xstilts study tiny",
               "machine": "2 × CPU"},
              {"time": 1.7e9 + 60, "event": "finished", "step": "a", "seconds": 60.0}]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + '{"time": 17')
    html = page_of(result, tmp_path)
    shown = ("no feature observed in both", "0123abcd", "both are NLI", "1 steps, 60 s", "2 × CPU", "xstilts 0")
    for text in shown:
        assert text in html
    assert "did not have equal updates" in html
    assert [row["updates"] for row in budget_table(result, "intermediate")] == ["19", "25"]


def test_tables_are_one_tidy_csv(result: dict[str, Any], tmp_path: Path) -> None:
    write_page(result, tmp_path, list(figures_of(result)))
    rows = list(csv.DictReader((tmp_path / "tables.csv").open(encoding="utf-8")))
    kinds = [row["kind"] for row in rows]
    assert kinds.count("score") == len(result["scores"]) + len(result["also"])
    assert kinds.count("held-out mean") == len(SHIFT) and kinds.count("contrast in a language") == 24
    judged = next(row for row in rows if row["contrast"] == "far - english" and row["kind"] == "contrast")
    assert (judged["difference"], judged["low"], judged["verdict"], judged["role"]) == ("3.25", "2.12", "better", "arm")
    assert {row["metric"] for row in rows if row["kind"] == "score"} == {"accuracy", "macro_f1"}
    assert "macro_f1" in (tmp_path / "report.html").read_text(encoding="utf-8")
    one = next(row for row in rows if (row["arm"], row["language"]) == ("far", "tr"))
    assert float(one["mean"]) == 36.5 + 9.25 + 4 and one["held_out"] == "True" and float(one["distance"]) == 0.42


@pytest.mark.parametrize(
    ("control", "word", "says"),
    [(0, "equivalent", "Passed"), (0, "worse", "Failed"), (1, "better", "Passed"), (1, "worse", "Failed"),
     (1, "undetermined", "Not shown")],
)  # fmt: skip
def test_controls_pass_or_fail(result: dict[str, Any], control: int, word: str, says: str) -> None:
    assert says in expectation(result, result["controls"][control] | {"verdict": word})[1]


def test_controls_that_differ_in_their_data_sets_are_secondary(result: dict[str, Any], tmp_path: Path) -> None:
    secondary, check = result["controls"]
    result["study"]["confounded"] = [secondary["contrast"]]
    assert "differ in their data set" in expectation(result, secondary)[0]
    assert "Failed" not in " ".join(expectation(result, secondary | {"verdict": "worse"}))
    assert "a gain is expected" in expectation(result, check)[0]
    html = page_of(result, tmp_path)
    assert "Sanity checks, and secondary comparisons that confound language with data set" in html
    assert "its arms differ in their data set as well as in their language." in html

    result["controls"] = [secondary]
    told = terminal_of(result, tmp_path)
    assert "Controls: secondary comparisons that confound language with data set" in told and "checks" not in told


def test_charts_show_held_out_languages_near_to_far(result: dict[str, Any]) -> None:
    shown = languages_figure(result, "far - english", "xnli").rows
    assert [re.search(r"\((\w+)\)", row["language"]).group(1) for row in shown] == ["es", "tr", "qu"]
    assert by_distance(["qu", "tr", "en"], result) == ["en", "tr", "qu"]
    figure = scores_figure(result, "xnli")
    drawn = svg(figure.chart)
    assert "Turkish (tr) *" in drawn and "German (de)<" in drawn and {row["sd"] for row in figure.rows} == {None, 1.5}
    assert "rho +0.50, p 0.310 (6 permutations" in svg(distance_figure(result["distance"][0], result).chart)


def test_one_very_wide_interval_does_not_flatten_the_others(result: dict[str, Any]) -> None:
    assert "continue beyond" not in svg(contrasts_figure(result).chart)
    result["verdicts"][1] |= {"low": -2600.0, "high": 2600.0}
    drawn = svg(contrasts_figure(result).chart)
    assert "continue beyond" in drawn and "[-2600.00, +2600.00]" in drawn and "2,000" not in drawn


def test_one_replicate_has_no_interval(result: dict[str, Any], tmp_path: Path) -> None:
    for row in [*result["verdicts"], *result["controls"], *result["languages"], *result["baselines"]]:
        row |= {"low": None, "high": None, "verdict": "undetermined", "decision": None, "beaten": None}
        row["runs"] = {"probability": 0.75, "sd_left": None, "sd_right": None, "sd_difference": None}
    for line in result["distance"]:
        line["joint"] |= {"low": None, "high": None, "p": None}
    html, printed = page_of(result, tmp_path, draw=True), terminal_of(result, tmp_path)
    assert (
        "+3.25 no interval, undetermined</text>" in html
        and "no interval" in printed
        and "+1.50 no interval, p –" in html
    )
    assert not re.search(r"\b(None|nan|null)\b", html + printed)


def test_the_same_caveat_is_printed_once(result: dict[str, Any], tmp_path: Path) -> None:
    for printed in (plain(page_of(result, tmp_path)), " ".join(terminal_of(result, tmp_path).split())):
        assert printed.count("Random-language inference is not possible: 3 families") == 1
        assert "far - english, english - none: This holds only for these held-out languages" in printed


def test_file_names_are_safe() -> None:
    assert slug("../a b<c>/Ü") == "a-b-c" and slug("日本") == "unnamed" and len(slug("x" * 500)) == 60
    assert signed(-0.001) == "0.00" and signed(None) == "–"


def test_pictures_of_languages(tmp_path):
    from xstilts.languages import distance_matrix, select
    from xstilts.report.pictures import dendrogram_order, draw_distances, draw_selection

    found = distance_matrix(["en", "de", "tr", "ja", "kk", "sw"], intervals=True)
    order = [found.codes[i] for i in dendrogram_order(found.values)]
    assert abs(order.index("en") - order.index("de")) == 1 and abs(order.index("tr") - order.index("ja")) == 1
    for matrix in (False, True):
        draw_distances(found, tmp_path / "a.svg", matrix)
        text = (tmp_path / "a.svg").read_text()
        assert text.startswith("<svg") and ("Turkish (tr)" in text) != matrix and "http" not in text.split(">", 1)[1]
    draw_selection(select("far", ["de", "tr", "ja", "kk", "sw"], 2), tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    draw_selection(select("far", ["de", "tr", "ja", "kk", "sw"], 2), tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("<svg") == 3 and "far of English by syntax: tr sw" in page and "<script" not in page
    draw_distances(distance_matrix(["en", "de", "tr"], measure="geographic"), tmp_path / "a.svg", matrix=False)
    with pytest.raises(XstiltsError, match="PNG"):
        draw_distances(found, tmp_path / "a.pdf", matrix=False)


def test_cost_and_translations_of_a_run_that_has_them(result: dict[str, Any], tmp_path: Path) -> None:
    assert "<summary>Cost" not in page_of(result, tmp_path) and "chrF" not in page_of(result, tmp_path)
    result["estimates"] = [{"kind": "train", "steps": 12, "estimated_seconds": 100.4, "measured_seconds": 131.2}]
    result["translations"] = [{"label": "translate mnli into sw", "rows": 90, "kept": 84, "chrf": 61.25,
                               "unchanged": 3, "model": {"name": "<b>m2m</b>"}}]  # fmt: skip
    html = page_of(result, tmp_path)
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "train 12 100 131" in text
    assert "translate mnli into sw 84 90 61.2 3" in text
    assert "<b>m2m</b>" not in html
