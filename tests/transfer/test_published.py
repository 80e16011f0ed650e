"""Published results: read in every form, explained, predicted where nothing was measured, and never leaking."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import check_grad

from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix
from xstilts.transfer.cross_validation import validate_languages, validate_mixtures
from xstilts.transfer.evidence import distance_evidence
from xstilts.transfer.language_levels import left_out_levels, new_levels
from xstilts.transfer.left_out import conformal, with_error
from xstilts.transfer.model_file import load_models, save_models
from xstilts.transfer.predict_scores import as_sumeval, predict_scores
from xstilts.transfer.rank_sources import rank_sources
from xstilts.transfer.read_tables import read_tables
from xstilts.transfer.response import CENTRE, TargetProblem, fit_responses, left_out_errors
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import fit_model, shares_of_known

LANGUAGES = ("en", "de", "es", "ru", "hi", "ur", "tr", "zh")
GOOD = dict(zip(LANGUAGES, (3.0, 2.0, 1.0, 0.5, 0.0, 0.5, 1.0, 0.0), strict=True))


def table(n=40, noise=0.1, near=0.0, donors=1.0, seed=0):
    """Scores of mixtures of eight languages: each source adds what it is good for, and `near` more if it is close."""
    rng = np.random.default_rng(seed)
    examples = rng.choice([0, 100, 1000, 10000], (n, len(LANGUAGES)))
    examples[examples.sum(1) == 0, 0] = 1000
    x, close = np.log10(1 + examples) / 5, 1 - distance_matrix(LANGUAGES).values
    own = 10.0 * x
    scores = 50 + donors * (x @ list(GOOD.values()))[:, None] + near * (x @ close) + own
    scores += np.arange(len(LANGUAGES)) + noise * rng.normal(size=scores.shape)
    return ResultsTable("enc", "task", LANGUAGES, examples.astype(float), LANGUAGES, scores)


@pytest.fixture(scope="module")
def model():
    return with_error(fit_model(table(near=4.0)))


def test_every_form_of_a_table_reads_alike(tmp_path):
    (tmp_path / "xnli_enc.json").write_text(
        json.dumps([
            {"train_config": {"en": 10, "de": 0}, "eval_results": {"en": 0.9, "sw": 0.5}},
            {"train_config": {"en": 0, "de": 10}, "eval_results": {"en": 0.7, "sw": 0.6}},
        ])
    )  # fmt: skip
    lines = ["model,train,n,test,acc", "enc,en,10,en,90", "enc,en,10,sw,50", "enc,de,10,en,70", "enc,de,10,sw,60"]
    (tmp_path / "long.csv").write_text("\n".join(lines))
    (tmp_path / "matrix.csv").write_text(",en,sw\nen,90,50\nde,70,60\n")
    names = {"encoder": "model", "source": "train", "examples": "n", "target": "test", "score": "acc"}
    tables = [
        read_tables(tmp_path / "xnli_enc.json")[0][0],
        read_tables(tmp_path / "long.csv", names, task="xnli")[0][0],
        read_tables(tmp_path / "matrix.csv", encoder="enc", task="xnli", examples=10)[0][0],
    ]
    for each in tables:
        assert (each.name, each.sources, each.targets) == ("xnli enc", ("en", "de"), ("en", "sw"))
        assert np.allclose(each.scores, [[90, 50], [70, 60]]) and np.allclose(each.examples, [[10, 0], [0, 10]])


def test_codes_of_other_standards_are_mapped_and_unknown_ones_kept_and_both_said(tmp_path):
    (tmp_path / "t.csv").write_text("source,target,score\niw,deu,50\nen+swh,x-unknown,60\n")
    (results,), notes = read_tables(tmp_path / "t.csv", examples=100)
    assert results.sources == ("he", "en", "sw") and results.targets == ("de", "x-unknown")
    assert results.examples[1].tolist() == [0, 50, 50] and np.isnan(results.scores[0, 1])
    assert "iw" in notes[0] and "x-unknown" in notes[1]


@pytest.mark.parametrize(
    "rows",
    [
        "en,10,sw,50\nen,10,sw,60", "en+en,10,sw,50", "+en,10,sw,50", "en,-10,sw,50", "en,0,sw,50", "en,10,sw,5000",
        "en,10,sw,-5", "en,10,sw,50\nen,10,swh,60", "en,10+20,sw,50", "en,10,,50", "en,inf,sw,50",
    ],
)  # fmt: skip
def test_impossible_results_are_refused(tmp_path, rows):
    (tmp_path / "t.csv").write_text(f"source,examples,target,score\n{rows}\n")
    with pytest.raises(XstiltsError) as error:
        read_tables(tmp_path / "t.csv")
    assert error.value.kind == "bad-file"


def test_a_column_that_is_not_there_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("train,target,score\nen,sw,50\n")
    for columns in (None, {"source": "trn"}):
        with pytest.raises(XstiltsError) as error:
            read_tables(tmp_path / "t.csv", columns)
        assert "train, target, score" in error.value.why
    with pytest.raises(XstiltsError) as error:
        read_tables(tmp_path / "absent.csv")
    assert error.value.kind == "missing-file"


@pytest.mark.parametrize(
    "text", ["", "source,target,score\nen,de,much\n", "a\n", ",en\nen,nan\n", "source,target,score\n"]
)
def test_files_that_are_no_results_are_refused(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(XstiltsError) as error:
        read_tables(tmp_path / "t.csv")
    assert error.value.kind == "bad-file"


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '[{"train_config": {"en": "x"}, "eval_results": {"en": 1}}]',
                                  '[{"train_config": {"en": 1}, "eval_results": {"en": "x"}}]'])  # fmt: skip
def test_json_that_is_not_of_sumeval_is_refused(tmp_path, text):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(XstiltsError) as error:
        read_tables(tmp_path / "t.json")
    assert error.value.kind == "bad-file"


def test_the_slope_of_the_posterior_is_its_derivative():
    problem = TargetProblem(table(12), 0, np.linspace(0, 1, len(LANGUAGES)))
    start = problem.design @ CENTRE + 0.1
    assert check_grad(lambda p: problem.objective(p)[0], lambda p: problem.objective(p)[1], start) < 1e-3


def test_left_out_errors_are_those_of_predicting_without_the_training():
    results = table(15)
    responses = fit_responses(results, np.ones((8, 8)))
    parameters = [response.parameters for response in responses]
    problem = TargetProblem(results, 2, np.ones(8))
    inner, y = problem.covariance(parameters[2]), problem.y
    rest = np.arange(1, 15)
    predicted = inner[0, rest] @ np.linalg.solve(inner[np.ix_(rest, rest)], y[rest])
    assert left_out_errors(results, parameters)[0, 2] == pytest.approx(problem.scale * (y[0] - predicted))


def test_scores_after_new_mixtures_are_predicted_and_intervals_cover_them(monkeypatch):
    monkeypatch.setattr("xstilts.transfer.transfer_model.TREES", 40)
    row = validate_mixtures(table(40, noise=0.5))
    errors = {name: value["mean"] for name, value in row["mae"].items()}
    assert errors["xstilts"] < 0.7 and errors["xstilts"] < errors["extra trees"] < errors["mean of the language"]
    assert 0.8 <= row["coverage"] <= 1


def test_languages_without_scores_are_predicted_from_those_that_resemble_them(model):
    for by in ("language", "family"):
        row = validate_languages(model, by)
        assert row["mixtures"]["xstilts"]["mean"] > 0.7 and row["coverage"] > 0.5
        assert row["spearman"]["xstilts"]["mean"] > row["spearman"]["random"]["mean"] + 0.5
    assert 40 < new_levels(model, [], ["nl"])[0] < 70


def test_good_sources_are_ranked_first_with_intervals_and_unseen_ones_marked(model):
    ranking = rank_sources([model], "nl", ["en", "de", "zh", "uk", "nl"])
    assert {row["source"] for row in ranking} == {"en", "de", "zh", "uk"}
    assert {row["source"] for row in ranking[:2]} == {"en", "de"}
    assert all(row["low"] <= row["score"] <= row["high"] for row in ranking)
    assert [row["source"] for row in ranking if row["unseen"]] == ["uk"]
    with pytest.raises(XstiltsError) as error:
        rank_sources([model], "nl", ["nl"])
    assert error.value.kind == "too-few"


def test_scores_of_held_out_languages_do_not_change_their_ranking(model):
    other = replace(model, effects=model.effects.copy())
    other.effects[:, LANGUAGES.index("tr")] = np.arange(8.0)
    assert rank_sources([model], "tr", (), ["tr"]) == rank_sources([other], "tr", (), ["tr"])
    assert rank_sources([model], "tr") != rank_sources([other], "tr")


def test_an_unknown_source_counts_as_those_that_resemble_it():
    mapped = np.diag([100.0, 60.0]) @ shares_of_known(["en", "uk"], LANGUAGES)
    assert mapped.sum(1) == pytest.approx([100, 60])
    assert mapped[0, 0] == 100 and mapped[1].argmax() == LANGUAGES.index("ru")


def test_a_prediction_does_not_depend_on_the_others_in_the_file(model):
    mixtures = [{"en": 500, "hi": 100}, {"zh": 10}, {"de": 9000}]
    together = predict_scores(model, mixtures, ["de", "sw"]).scores
    alone = [predict_scores(model, [mixture], ["de", "sw"]).scores[0] for mixture in mixtures]
    assert np.allclose(together, alone)


def test_the_choice_to_pool_tables_does_not_see_the_left_out_language(model):
    copy = replace(model, results=replace(model.results, task="copy"))
    blind, seeing = (left_out_levels([model, copy], LANGUAGES, elsewhere) for elsewhere in (False, True))
    truth = np.nanmean(model.foreign, 0)
    assert np.abs(seeing - truth).mean() < 0.5 * np.abs(blind - truth).mean()


def test_a_table_that_is_too_small_is_refused():
    with pytest.raises(XstiltsError) as error:
        fit_model(table(3))
    assert error.value.kind == "too-few"


def test_a_model_in_a_file_predicts_the_same(model, tmp_path):
    save_models(tmp_path / "model.json", [model])
    (again,) = load_models(tmp_path / "model.json")
    mixtures = [{"en": 500, "hi": 100}, {"zh": 10}]
    before, after = (predict_scores(each, mixtures, ["de", "sw"]) for each in (model, again))
    assert np.allclose(before.scores, after.scores, atol=0.05) and before.scores.shape == (2, 2)
    assert (before.half_widths > 0).all() and "sw" in before.notes[0] and "2 trainings" in before.notes[1]
    rows = [{"train_config": mixture, "eval_results": {"sw": "x"}} for mixture in mixtures]
    (first, _) = as_sumeval(rows, after, ["de", "sw"])
    assert first["train_config"] == mixtures[0]
    assert first["eval_results"]["sw"] == pytest.approx(after.scores[0, 1] / 100, abs=1e-6)
    low, high = first["intervals"]["sw"]
    assert low < first["eval_results"]["sw"] < high
    with pytest.raises(XstiltsError) as error:
        predict_scores(model, [{"en": 0}], ["de"])
    assert error.value.kind == "bad-file"


@pytest.mark.parametrize("damage", [{"scores": [[1.0]]}, {"version": 0}, {"parameters": []}, {"sources": ["en"]}])
def test_a_damaged_model_is_refused(model, tmp_path, damage):
    save_models(tmp_path / "model.json", [model])
    data = json.loads((tmp_path / "model.json").read_text())
    (data if "version" in damage else data["models"][0]).update(damage)
    (tmp_path / "model.json").write_text(json.dumps(data))
    with pytest.raises(XstiltsError) as error:
        load_models(tmp_path / "model.json")
    assert error.value.kind == "bad-file"


def test_an_effect_of_distance_is_found_and_good_sources_are_not_mistaken_for_one():
    found = {(row["summary"], row["form"]): row for row in distance_evidence(table(60, near=5.0, noise=0.3))}
    assert found["mean", "alone"]["high"] < 0 and found["mean", "alone"]["p"] < 0.05
    absent = {(row["summary"], row["form"]): row for row in distance_evidence(table(60, donors=5.0, noise=0.3))}
    assert absent["mean", "alone"]["low"] <= 0 <= absent["mean", "alone"]["high"]


def test_conformal_errors_cover_what_they_promise():
    rng = np.random.default_rng(5)
    covered = [abs(rng.normal()) <= conformal(np.abs(rng.normal(size=49))) for _ in range(2000)]
    assert 0.88 < np.mean(covered) < 0.93
    assert conformal(np.ones(5)) == np.inf, "too few to promise anything"


def test_the_package_ranks_without_torch():
    code = (
        "import sys\nfrom xstilts.cli import main\nsys.argv = 'xstilts transfer rank --for sw,th --json'.split()\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code\nassert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    rankings = json.loads(done.stdout)["rankings"]
    assert rankings.keys() == {"sw", "th"} and len(rankings["sw"]) > 30
