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

from xstilts.errors import XstiltsError
from xstilts.report import charts
from xstilts.report.charts import contrasts_chart, distance_chart, heat_map, languages_chart, svg
from xstilts.report.console import interval, signed
from xstilts.report.page import write_page
from xstilts.report.paper import COLUMNS, write_paper
from xstilts.report.sentences import expectation, remarks
from xstilts.report.tables import budget_table, by_distance, slug, target_table
from xstilts.report.terminal import print_report

DISTANCES = {"en": 0.0, "de": 0.11, "sw": 0.43, "es": 0.13, "tr": 0.42, "qu": None}
HELD_OUT = ["es", "tr", "qu"]
SHIFT = {"baseline": 0.0, "none": 5.0, "english": 6.0, "far": 9.25, "english-again": 6.5, "in-language": 14.0}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


def effect(estimate: float, half: float, **more: Any) -> dict[str, Any]:
    return {**more, "estimate": estimate, "low": estimate - half, "high": estimate + half, "level": 0.975,
            "degrees": 5.0, "replicates": 6, "clusters": 400, "replicate_variance": 0.2, "cluster_variance": 0.2,
            "shared_variance": 0.1}  # fmt: skip


def judged(contrast: str, word: str, estimate: float, half: float) -> dict[str, Any]:
    left, right = contrast.split(" - ")
    parts = [effect(estimate, half, encoder="tiny"), effect(estimate, half, target="xnli"),
             effect(estimate, half, target="classification tasks: xnli, pawsx")]  # fmt: skip
    sentence = f"'{left}' against '{right}' is {word}: {estimate:+.1f} points, for this encoder."
    decision = {"half": 0.25, "replicates": 40, "floor": 0.1, "clusters": None, "text": "It takes 40 replicates."}
    runs = {"probability": 0.75, "sd_left": 1.0, "sd_right": 1.0, "sd_difference": 1.5}
    return effect(estimate, half, contrast=contrast, left=left, right=right, targets=["xnli"], verdict=word,
                  sentence=sentence, parts=parts, random_languages={"refused": "3 families"}, bootstrap=None, runs=runs,
                  decision=decision if word == "undetermined" else None)  # fmt: skip


@pytest.fixture
def result() -> dict[str, Any]:
    arms = {"none": {}, "english": {"intermediate": "nli"},
            "far": {"intermediate": "nli", "languages": "far", "count": 1},
            "english-again": {"intermediate": "nli", "role": "control", "independent": True},
            "in-language": {"intermediate": "nli", "languages": "held-out", "role": "control"}}  # fmt: skip
    verdicts = [judged("far - english", "better", 3.25, 1.13), judged("english - none", "undetermined", 1.0, 4.5)]
    controls = [judged("english-again - english", "undetermined", 0.5, 3.0),
                judged("in-language - english", "better", 8.0, 2.0)]  # fmt: skip
    trained = {"languages": ["en"], "examples": 600, "updates": 19, "tokens": 10713, "loss": 1.08, "dev_score": 45.25}
    return {
        "study": {
            "name": "tiny", "question": "Does distance help?", "seed": 7, "equivalence": 0.5, "level": 0.95,
            "measure": "syntax", "primary": ["xnli"], "contrasts": [v["contrast"] for v in verdicts],
            "controls": [v["contrast"] for v in controls], "metrics": {"xnli": "accuracy"},
            "roles": {name: arm.get("role", "arm") for name, arm in arms.items()},
            "types": {"xnli": "classification"}, "labels_withheld": [], "arms": arms,
        },
        "plan": {
            "study": {"languages": {"anchor": "en"}}, "device": "cpu", "precision": "fp32", "pool": ["de", "sw"],
            "held_out": HELD_OUT, "excluded": {"qu": "no feature observed in both"}, "distances": DISTANCES,
            "sources": {"none": {}, "english": {"tiny:1": ["en"], "tiny:2": ["en"]},
                        "far": {"tiny:1": ["sw"], "tiny:2": ["de"]}},
            "evaluated": {"xnli": list(DISTANCES)}, "warnings": ["both are NLI"], "hash": "0123abcd",
            "steps": ["a", "b"],
        },
        "encoders": ["tiny"], "held_out": HELD_OUT, "missing": [], "answer": "Distance matters here.",
        "verdicts": verdicts, "controls": controls,
        "scores": [
            {"target": "xnli", "metric": "accuracy", "arm": arm, "language": code, "held_out": code in HELD_OUT,
             "mean": 36.5 + shift + place, "sd": None if arm == "baseline" else 1.5,
             "replicates": 1 if arm == "baseline" else 6}
            for arm, shift in SHIFT.items() for place, code in enumerate(DISTANCES)
        ],
        "also": [
            {"target": "xnli", "metric": "macro_f1", "arm": arm, "language": code, "held_out": code in HELD_OUT,
             "mean": 33.0 + shift, "sd": None, "replicates": 1}
            for arm, shift in SHIFT.items() for code in DISTANCES
        ],
        "baselines": [
            effect(shift, 5.5, target="xnli", arm=arm, baseline="majority class", floor=36.5, beaten=shift > 5.5)
            for arm, shift in SHIFT.items() if arm != "baseline"
        ],
        "languages": [
            effect(v["estimate"], 3.0, contrast=v["contrast"], target="xnli", language=code, held_out=code in HELD_OUT)
            for v in [*verdicts, *controls] for code in DISTANCES
        ],
        "breakdowns": [
            {"target": "xnli", "column": "genre", "value": "letters", "languages": HELD_OUT, "examples": 12,
             "arms": {"english": 51.25, "far": 47.75}, "contrasts": {"far - english": effect(-3.5, 2.0),
             "english - none": None}},
        ],
        "distance": [
            {"contrast": v["contrast"], "targets": ["xnli"], "rho": 0.5, "p": 0.31, "permutations": 6, "points": [
                {"language": code, "gain": 2.0, "distance": DISTANCES[code], "from_anchor": DISTANCES[code]}
                for code in HELD_OUT], "measure": "syntax", "adjusted": [], "slopes": [
                    {"measure": "syntax", "with": [], "languages": 3, "missing": "3 languages are not enough"}],
             "joint": {"with": ["same script"], "languages": 12, "slope": 1.5, "low": -0.5, "high": 3.5, "p": 0.04}}
            for v in verdicts
        ],
        "selection": [{"target": "xnli", "arm": "far", "mean": 50.0, "by_dev": 50.5, "oracle": 52.25}],
        "degenerate_runs": [{"target": "xnli", "arm": "far", "phase": "training", "runs": 6, "degenerate": 2,
                             "retried": 2, "degenerate_after_retry": 1}],
        "by_oracle": {"verdicts": [judged("far - english", "better", 4.25, 1.5)], "scores": [], "checkpoints": [
            {"target": "xnli", "arm": "far", "kept": 50.0, "oracle": 53.75, "replicates": 6}]},
        "after_retry": {"verdicts": [judged("far - english", "better", 4.75, 1.0)], "scores": []},
        "budgets": [
            {"target": "xnli", "arm": "none", "encoder": "tiny", "replicate": 1, "training": trained},
            {"target": "xnli", "arm": "english", "encoder": "tiny", "replicate": 1, "intermediate": trained,
             "training": trained},
            {"target": "xnli", "arm": "far", "encoder": "tiny", "replicate": 1,
             "intermediate": {**trained, "updates": 25, "dev_score": None}, "training": trained},
        ],
    }  # fmt: skip


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
    out = write_paper(result, tmp_path)
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


def page_of(result: dict[str, Any], run: Path, draw: bool = False) -> str:
    """The page; most tests do without the charts, which take seconds to draw."""
    with nullcontext() if draw else mock.patch.object(charts, "svg", lambda chart: "<svg >"):
        return write_page(result, run).read_text(encoding="utf-8")


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
        assert row["sentence"][1:] in html
        table_row = re.search(rf'<th scope="row">{row["contrast"]}</th><td>(.*?)</td><td>(.*?)</td>', html)
        assert table_row and table_row.groups() == (signed(row["estimate"]), interval(row))
        assert f"{signed(row['estimate'])} {interval(row)}</text>" in html, "the chart shows the same numbers"
    assert "[+2.12, +4.38]" in html
    assert 'class="left">target xnli<' in html and 'class="left">classification tasks: xnli, pawsx<' in html


def test_controls_have_a_section_of_their_own(result: dict[str, Any], tmp_path: Path) -> None:
    html = page_of(result, tmp_path)
    verdicts, _, controls = html.partition('<section id="controls">')
    assert "in-language - english" not in verdicts and "a gain is expected" in controls


def test_nothing_is_fetched_or_run(result: dict[str, Any], tmp_path: Path) -> None:
    html = page_of(result, tmp_path, draw=True)
    files = [file.read_text() for file in (tmp_path / "charts").glob("*.svg")]
    assert len(files) == 7
    for text in [html, *files]:
        bare = re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
        assert "http:" not in bare and "https:" not in bare
        assert not re.search(r"<(script|link|iframe|image|img|use)\b|@import|url\(|src=", bare)
    assert set(re.findall(r'href="(.)', html)) == {"#"}


def test_names_of_the_study_are_never_markup(result: dict[str, Any], tmp_path: Path) -> None:
    text = json.dumps(result).replace("english-again", json.dumps(HOSTILE)[1:-1])
    hostile = json.loads(text.replace('"xnli"', json.dumps("../" + HOSTILE)))
    for field in ("name", "question"):
        hostile["study"][field] = HOSTILE
    hostile["answer"] = hostile["plan"]["warnings"][0] = HOSTILE
    html = page_of(hostile, tmp_path / "run", draw=True)
    files = [*(tmp_path / "run" / "charts").iterdir()]
    assert len(files) == 7 and all(re.fullmatch(r"[a-z0-9-]+\.svg", file.name) for file in files)
    for text in [html, *(file.read_text() for file in files)]:
        assert "<script" not in text and "<img" not in text
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
    sure, unsure = result["verdicts"]
    assert any("'far' scores higher than 'english' in 75% of the pairs of runs" in line for line in remarks(sure))
    assert "It takes 40 replicates." in remarks(unsure) and "It takes 40 replicates." not in remarks(sure)
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
    events = [{"time": 1.7e9, "event": "plan"}, {"time": 1.7e9 + 60, "event": "finished", "seconds": 60.0}]
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + '{"time": 17')
    html = page_of(result, tmp_path)
    for text in ("no feature observed in both", "0123abcd", "both are NLI", "1 steps, 60 s of compute", "xstilts 0"):
        assert text in html
    assert "did not have equal updates" in html
    assert [row["updates"] for row in budget_table(result, "intermediate")] == ["19", "25"]


def test_tables_are_one_tidy_csv(result: dict[str, Any], tmp_path: Path) -> None:
    write_page(result, tmp_path)
    rows = list(csv.DictReader((tmp_path / "tables.csv").open(encoding="utf-8")))
    assert len(rows) == len(result["scores"]) + len(result["also"])
    assert {row["metric"] for row in rows} == {"accuracy", "macro_f1"}
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
    rows = languages_chart(result, "far - english", "xnli").to_dict()
    shown = next(layer["data"]["values"] for layer in rows["layer"] if "language" in str(layer["data"]))
    assert [re.search(r"\((\w+)\)", row["language"]).group(1) for row in shown] == ["es", "tr", "qu"]
    assert by_distance(["qu", "tr", "en"], result) == ["en", "tr", "qu"]
    drawn = svg(heat_map(result, "xnli"))
    assert "Turkish (tr) *" in drawn and "German (de)<" in drawn and "±1.5" in drawn
    assert "rho +0.50, p 0.310 (6 permutations" in svg(distance_chart(result["distance"][0], result))


def test_one_very_wide_interval_does_not_flatten_the_others(result: dict[str, Any]) -> None:
    assert "continue beyond" not in svg(contrasts_chart(result))
    result["verdicts"][1] |= {"low": -2600.0, "high": 2600.0}
    drawn = svg(contrasts_chart(result))
    assert "continue beyond" in drawn and "[-2600.00, +2600.00]" in drawn and "2,000" not in drawn


def test_one_replicate_has_no_interval(result: dict[str, Any], tmp_path: Path) -> None:
    for row in [*result["verdicts"], *result["controls"], *result["languages"], *result["baselines"]]:
        row |= {"low": None, "high": None, "verdict": "undetermined", "decision": None, "beaten": None}
        row["runs"] = {"probability": 0.75, "sd_left": None, "sd_right": None, "sd_difference": None}
    for line in result["distance"]:
        line["joint"] |= {"low": None, "high": None, "p": None}
    html, printed = page_of(result, tmp_path, draw=True), terminal_of(result, tmp_path)
    assert "+3.25 no interval</text>" in html and "no interval" in printed and "+1.50 no interval, p –" in html
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
    assert '#cost"' not in page_of(result, tmp_path) and "chrF" not in page_of(result, tmp_path)
    result["estimates"] = [{"kind": "train", "steps": 12, "estimated_seconds": 100.4, "measured_seconds": 131.2}]
    result["translations"] = [{"label": "translate mnli into sw", "rows": 90, "kept": 84, "chrf": 61.25,
                               "unchanged": 3, "model": {"name": "<b>m2m</b>"}}]  # fmt: skip
    html = page_of(result, tmp_path)
    assert set(re.findall(r'href="#(.*?)"', html)) == set(re.findall(r'<section id="(.*?)"', html))
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "train 12 100 131" in text
    assert "translate mnli into sw 84 90 61.2 3" in text
    assert "<b>m2m</b>" not in html
