"""From the files of a run to everything that a report shows."""

import json
import re
import shutil
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from made_runs import sealed
from xstilts.analysis import analyse
from xstilts.analysis.components import pilot_components
from xstilts.analysis.effects import compare_arms
from xstilts.config.schema import Measured
from xstilts.errors import XstiltsError
from xstilts.languages import MEASURES
from xstilts.report.charts import figures_of
from xstilts.report.page import write_page
from xstilts.report.terminal import print_report
from xstilts.runs.reader import BASELINE, read_run

LANGUAGES = ["de", "tr", "fi", "sw", "th", "vi", "zh", "ja"]  # eight families
SHARES = {"english": 0.6, "far": 0.75}


def predictions(rng, replicates, languages, items=40):
    return [
        {"arm": arm, "encoder": encoder, "replicate": r, "language": code, "example_id": f"{code}{i}",
         "cluster_id": f"c{i}", "gold": "x",
         "prediction": "x" if rng.random() < share + 0.02 * (r % 3) else "y"}
        for arm, share in SHARES.items() for encoder in ("xlmr-1", "xlmr-2") for r in range(1, replicates + 1)
        for code in languages for i in range(items)
    ]  # fmt: skip


def write_run(folder, replicates=10, languages=LANGUAGES):
    rng = np.random.default_rng(0)
    (folder / "predictions").mkdir(parents=True)
    for target in ("one", "two"):
        rows = predictions(rng, replicates, languages)
        pq.write_table(pa.Table.from_pylist(rows), folder / "predictions" / f"{target}.parquet")
    contrast = {"contrast": "far - english", "left": "far", "right": "english", "targets": ["one"]}
    study = {
        "name": "made", "question": "?", "seed": 1, "equivalence": 0.5, "level": 0.95, "measure": "syntax",
        "primary": ["one"], "contrasts": [contrast], "controls": [], "labels_withheld": [],
        "roles": dict.fromkeys(SHARES, "arm"),
        "metrics": dict.fromkeys(("one", "two"), "accuracy"), "also": {"one": [], "two": []},
        "types": dict.fromkeys(("one", "two"), "classification"), "tasks": {"one": "one", "two": "two"},
        "arms": {"english": {"intermediate": "nli"}, "far": {"intermediate": "nli", "languages": "far"}},
        "store": "", "examples": {}, "encoder_steps": {},
    }  # fmt: skip
    plan = {
        "study": {"encoders": {"xlmr": {"load": "", "seeds": 2}}, "intermediate": {}, "languages": {"anchor": "en"}},
         "held_out": languages,
        "pool": ["hi"], "excluded": {}, "warnings": [], "distances": dict.fromkeys(languages, 0.3),
        "sources": {"far": {"xlmr-1:1": ["hi"]}, "english": {"xlmr-1:1": ["en"]}},
        "evaluated": {"one": languages, "two": languages}, "hash": "0", "device": "cpu", "precision": "fp32",
        "steps": [],
    }  # fmt: skip
    for name, content in (("study", study), ("plan", plan), ("cells", [])):
        (folder / f"{name}.json").write_text(json.dumps(content))
    return sealed(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("made") / "run")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("made") / "run", replicates=3)


def test_a_contrast_has_random_language_inference_a_bootstrap_and_parts(run):
    (judged,) = analyse(run)["verdicts"]
    random_languages = judged["random_languages"]
    assert random_languages["families"] == 8
    assert random_languages["estimate"] == pytest.approx(judged["estimate"]), "one language a family"
    assert judged["bootstrap"]["draws"] == 10_000
    drawn = judged["bootstrap"]["corrected_high"] - judged["bootstrap"]["corrected_low"]
    assert drawn == pytest.approx(judged["high"] - judged["low"], rel=0.5)
    parts = [part.get("encoder") or part["target"] for part in judged["parts"]]
    assert parts == ["xlmr-1", "xlmr-2", "one", "two", "classification tasks: one, two"]
    one, two, together = (part["estimate"] for part in judged["parts"][2:])
    assert together == pytest.approx((one + two) / 2, abs=1e-5)


def test_a_comparison_of_a_run_has_its_level_encoders_and_their_kinds(run):
    made = read_run(run)
    comparison = compare_arms(made, "far", "english", ["one", "two"])
    assert (comparison.level, comparison.encoders) == (0.95, ("xlmr-1", "xlmr-2"))
    assert comparison.encoder_kinds == {"xlmr-1": "xlmr", "xlmr-2": "xlmr"}
    assert comparison.languages == (tuple(LANGUAGES),) * 2
    part = compare_arms(made, "far", "english", ["one"], level=0.5, encoders=["xlmr-1"], languages=["th", "zz"])
    assert (part.level, part.encoders, part.languages) == (0.5, ("xlmr-1",), (("th",),))


def test_second_tries_are_judged_next_to_the_run_as_it_was(small, tmp_path):
    again = shutil.copytree(small, tmp_path / "again")
    assert analyse(again)["after_retry"] is None
    shutil.copytree(again / "predictions", again / "predictions-after-retry")
    file = again / "predictions-after-retry" / "one.parquet"
    rows = pq.read_table(file).to_pylist()
    for row in rows:
        if row["arm"] == "far" and row["replicate"] == 1:
            row["prediction"] = "x"
    pq.write_table(pa.Table.from_pylist(rows), file)
    result = analyse(sealed(again))
    assert result["after_retry"]["verdicts"][0]["estimate"] > result["verdicts"][0]["estimate"]
    assert write_page(result, again, list(figures_of(result))).is_file()


def test_the_checkpoints_of_an_oracle_are_scored_next_to_those_kept(small, tmp_path):
    again = shutil.copytree(small, tmp_path / "again")
    assert analyse(again)["by_oracle"] is None
    (again / "predictions-by-oracle").mkdir()
    rows = pq.read_table(again / "predictions" / "one.parquet").to_pylist()
    for row in rows:
        if row["arm"] == "far":
            row["prediction"] = row["gold"]
    pq.write_table(pa.Table.from_pylist(rows), again / "predictions-by-oracle" / "one.parquet")
    result = analyse(sealed(again))
    rows = {row["arm"]: row for row in result["by_oracle"]["checkpoints"]}
    assert rows["far"]["oracle"] == 100 > rows["far"]["kept"]
    assert rows["english"]["oracle"] == rows["english"]["kept"]
    assert result["by_oracle"]["verdicts"][0]["estimate"] > result["verdicts"][0]["estimate"]
    page = write_page(result, again, list(figures_of(result))).read_text(encoding="utf-8")
    assert "by the oracle" in page


def test_an_oracle_that_failed_in_part_hides_nothing_of_the_run(small, tmp_path):
    again = shutil.copytree(small, tmp_path / "again")
    (again / "predictions-by-oracle").mkdir()
    rows = pq.read_table(again / "predictions" / "one.parquet").to_pylist()
    left = [row for row in rows if row["arm"] == "english" or row["replicate"] == 1]
    pq.write_table(pa.Table.from_pylist(left), again / "predictions-by-oracle" / "one.parquet")
    result = analyse(sealed(again))
    assert result["verdicts"] == analyse(small)["verdicts"]
    assert result["by_oracle"]["verdicts"] == [], "one replicate gives no interval"
    replicates = {row["arm"]: row["replicates"] for row in result["by_oracle"]["checkpoints"]}
    assert replicates["far"] < replicates["english"]
    assert write_page(result, again, list(figures_of(result))).is_file()


def test_a_pilot_run_gives_components_unless_it_has_one_language_or_one_replicate(run, tmp_path):
    parts, clusters, contrasts = pilot_components(run)
    assert clusters == 40 and contrasts == ["far - english"]
    assert 1000 < parts.rest < 6000, "a difference of two coin tosses has 2 p (1 - p) 10⁴ points²"
    for folder, size in (("language", {"languages": ["de"]}), ("replicate", {"replicates": 1})):
        with pytest.raises(XstiltsError) as error:
            pilot_components(write_run(tmp_path / folder, **size))
        assert error.value.kind == "too-few"


def test_one_replicate_gives_scores_and_differences_without_intervals(tmp_path, capsys):
    run = write_run(tmp_path / "run", replicates=1)
    result = json.loads(json.dumps(analyse(run), allow_nan=False))
    (row,) = result["verdicts"]
    assert row["verdict"] == "undetermined" and (row["low"], row["high"], row["decision"]) == (None, None, None)
    assert "one replicate" in row["sentence"] and f"{row['estimate']:+.1f} points" in row["sentence"]
    scores = {r["arm"]: r["mean"] for r in result["scores"] if (r["target"], r["language"]) == ("one", "de")}
    (point,) = (point for point in result["distance"][0]["points"] if point["language"] == "de")
    assert point["gain"] == pytest.approx(scores["far"] - scores["english"])
    assert result["distance"][0]["rho"] is not None
    slopes = [line for line in result["distance"][0]["slopes"] if "slope" in line]
    assert slopes and all(line["low"] is None and line["p"] is not None for line in slopes)
    assert row["random_languages"]["estimate"] == pytest.approx(row["estimate"])
    assert row["random_languages"]["low"] is None
    page = write_page(result, run, list(figures_of(result))).read_text(encoding="utf-8")
    assert "no interval" in page and not re.search(r"\b(None|nan)\b", page)
    print_report(result, run)
    assert "no interval" in capsys.readouterr().out


def test_one_replicate_neither_beats_a_baseline_nor_fails_to(tmp_path):
    run = write_run(tmp_path / "run", replicates=1)
    rows = pq.read_table(run / "predictions" / "one.parquet").to_pylist()
    first = [row for row in rows if (row["arm"], row["encoder"]) == ("english", "xlmr-1")]
    rows += [row | {"arm": "baseline", "encoder": "", "replicate": 0, "prediction": "y"} for row in first]
    pq.write_table(pa.Table.from_pylist(rows), run / "predictions" / "one.parquet")
    result = analyse(sealed(run))
    assert [row["beaten"] for row in result["baselines"]] == [None, None]
    assert result["verdicts"][0]["verdict"] == "undetermined"


def test_arms_that_did_not_learn_get_no_verdict(small, tmp_path):
    run = shutil.copytree(small, tmp_path / "run")
    rows = pq.read_table(run / "predictions" / "one.parquet").to_pylist()
    first = [row for row in rows if (row["arm"], row["encoder"], row["replicate"]) == ("english", "xlmr-1", 1)]
    rows += [row | {"arm": "baseline", "encoder": "", "replicate": 0, "prediction": "x"} for row in first]
    pq.write_table(pa.Table.from_pylist(rows), run / "predictions" / "one.parquet")
    result = analyse(sealed(run))
    (row,) = result["verdicts"]
    assert row["verdict"] == "not interpretable" and "baseline" in row["sentence"] and row["decision"] is None
    assert row["low"] == analyse(small)["verdicts"][0]["low"] and "cannot show" in result["answer"]
    assert "not interpretable" in write_page(result, run, list(figures_of(result))).read_text(encoding="utf-8")


def test_a_partly_finished_run_reports_what_it_has_and_what_it_lacks(small, tmp_path, capsys):
    run = shutil.copytree(small, tmp_path / "run")
    study = json.loads((run / "study.json").read_text())
    whole = study["contrasts"][0]
    study["contrasts"].append(whole | {"contrast": "far - english on two", "targets": ["two"]})
    (run / "study.json").write_text(json.dumps(study))
    rows = pq.read_table(run / "predictions" / "two.parquet").to_pylist()
    left = [row for row in rows if row["arm"] == "english"]
    pq.write_table(pa.Table.from_pylist(left), run / "predictions" / "two.parquet")
    result = analyse(sealed(run))
    assert [row["contrast"] for row in result["verdicts"]] == ["far - english"]
    assert len(result["missing"]) == 1 and "far - english on two" in result["missing"][0]
    assert {row["target"] for row in result["scores"]} == {"one", "two"}
    page = write_page(result, run, list(figures_of(result))).read_text(encoding="utf-8")
    assert result["missing"][0] in page.replace("&#39;", "'")
    print_report(result, run)
    assert "incomplete" in capsys.readouterr().out
    for target in ("one", "two"):
        (run / "predictions" / f"{target}.parquet").unlink()
    with pytest.raises(XstiltsError) as caught:
        analyse(sealed(run))
    assert caught.value.kind == "unfinished"


def test_no_verdict_is_given_if_a_control_failed(small, tmp_path):
    run = shutil.copytree(small, tmp_path / "run")
    study = json.loads((run / "study.json").read_text())
    study["arms"]["again"] = study["arms"]["english"] | {"independent": True}
    study["roles"]["again"] = "control"
    study["controls"] = [{"contrast": "again - english", "left": "again", "right": "english", "targets": ["one"]}]
    (run / "study.json").write_text(json.dumps(study))
    plan = json.loads((run / "plan.json").read_text())
    plan["sources"]["again"] = plan["sources"]["english"]
    (run / "plan.json").write_text(json.dumps(plan))
    for target in ("one", "two"):
        rows = pq.read_table(run / "predictions" / f"{target}.parquet").to_pylist()
        rows += [row | {"arm": "again"} for row in rows if row["arm"] == "far"]
        pq.write_table(pa.Table.from_pylist(rows), run / "predictions" / f"{target}.parquet")
    result = analyse(sealed(run))
    assert result["controls"][0]["verdict"] == "better"
    assert (
        result["verdicts"][0]["verdict"] == "not interpretable"
        and "again - english" in result["verdicts"][0]["sentence"]
    )


def test_a_difference_that_may_be_within_the_margin_is_said_to_be_perhaps_negligible(small, tmp_path):
    run = shutil.copytree(small, tmp_path / "run")
    study = json.loads((run / "study.json").read_text())
    (before,) = analyse(run)["verdicts"]
    assert before["verdict"] == "better" and "negligible" not in before["sentence"]
    (run / "study.json").write_text(json.dumps(study | {"equivalence": before["low"] + 0.1}))
    (row,) = analyse(sealed(run))["verdicts"]
    assert row["verdict"] == "better" and "may be negligible" in row["sentence"]


def test_one_language_is_judged_by_fixed_language_inference_alone(tmp_path):
    result = analyse(write_run(tmp_path / "language", replicates=3, languages=["de"]))
    assert "from 1 family" in result["verdicts"][0]["random_languages"]["refused"]
    assert result["verdicts"][0]["bootstrap"] is None
    assert all("not enough" in row["missing"] for row in result["distance"][0]["slopes"])


def test_a_language_or_a_target_of_one_example_hides_nothing_of_the_report(tmp_path, capsys):
    """Their items are of one cluster, so that they have scores without intervals."""
    write_run(tmp_path, 3, LANGUAGES[:5])
    for target in ("one", "two"):
        file = tmp_path / "predictions" / f"{target}.parquet"
        table = pq.read_table(file)
        few = pc.equal(table["language"], "sw") if target == "one" else pc.is_valid(table["language"])
        table = table.filter(pc.or_(pc.invert(few), pc.equal(table["cluster_id"], "c0")))
        first = table.filter(
            (pc.field("arm") == "far") & (pc.field("encoder") == "xlmr-1") & (pc.field("replicate") == 1)
        )
        trivial = [{**row, "arm": BASELINE, "encoder": "", "replicate": 0} for row in first.to_pylist()]
        pq.write_table(pa.concat_tables([table, pa.Table.from_pylist(trivial, table.schema)]), file)
    result = analyse(sealed(tmp_path))
    [verdict] = result["verdicts"]
    assert verdict["low"] is not None and {row["target"] for row in result["baselines"]} == {"one", "two"}
    points = {point["language"]: point["low"] for point in result["distance"][0]["points"]}
    assert points["sw"] is None and points["de"] is not None
    write_page(result, tmp_path, list(figures_of(result)))
    print_report(result, tmp_path)
    assert "report.html" in capsys.readouterr().out


def test_a_target_without_one_of_its_arms_hides_nothing_that_is_judged_on_others(small, tmp_path):
    """Its trainings diverged, and no contrast is judged on it."""
    shutil.copytree(small, tmp_path / "run")
    file = tmp_path / "run/predictions/two.parquet"
    pq.write_table(pq.read_table(file).filter(pc.field("arm") == "english"), file)
    before, after = analyse(small), analyse(sealed(tmp_path / "run"))
    assert after["verdicts"][0]["verdict"] == before["verdicts"][0]["verdict"]
    assert after["verdicts"][0]["estimate"] == before["verdicts"][0]["estimate"]


def test_a_study_may_name_every_measure():
    assert get_args(Measured) == tuple(MEASURES)
