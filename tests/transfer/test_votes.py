"""Votes of an encoder: measured on plain texts, kept with a table, and used for languages that are left out."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from support import invoke
from xstilts.errors import XstiltsError
from xstilts.transfer.left_out import left_out_effects, with_error
from xstilts.transfer.model_file import load_models, save_models
from xstilts.transfer.relations import Votes
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import fit_model
from xstilts.transfer.votes import neighbour_votes, read_votes, write_votes
from xstilts.workflows.measure_votes import measure_votes

LANGUAGES = ("en", "de", "sw", "th", "ar", "fi", "zh", "hi", "tr", "ta")


@pytest.fixture(scope="module")
def cyclic():
    """One source for each training, which helps the languages next to it in a circle that no linguist knows."""
    n = len(LANGUAGES)
    steps = np.abs(np.arange(n)[:, None] - np.arange(n))
    close = np.exp(-np.minimum(steps, n - steps))
    scores = 50 + 20 * close + np.random.default_rng(0).normal(size=close.shape)
    shares = np.where(steps, close, 0)
    votes = Votes(LANGUAGES, shares / shares.sum(0))
    return with_error(fit_model(ResultsTable("enc", "task", LANGUAGES, np.eye(n) * 1000, LANGUAGES, scores, votes)))


def ranking_quality(model):
    completed = left_out_effects(model, model.results.targets)
    known = ~np.isnan(model.effects)
    pairs = zip(completed.T, model.effects.T, known.T, strict=True)
    return np.mean([spearmanr(guess[here], truth[here])[0] for guess, truth, here in pairs])


def test_votes_rank_sources_for_languages_that_are_left_out(cyclic):
    without = replace(cyclic, results=replace(cyclic.results, votes=None))
    assert ranking_quality(cyclic) > 0.5 > ranking_quality(without) + 0.2


def test_a_model_file_keeps_votes_and_languages_without_them_are_ranked_as_before(cyclic, tmp_path):
    save_models(tmp_path / "model.json", [cyclic])
    (loaded,) = load_models(tmp_path / "model.json")
    assert loaded.results.votes.languages == LANGUAGES
    assert np.allclose(loaded.results.votes.shares, cyclic.results.votes.shares, atol=1e-6)
    new = loaded.new(np.eye(len(LANGUAGES)) * 1000, LANGUAGES, "yo")
    assert np.isfinite(new).all() and np.std(new) > 0


def test_a_file_of_votes_is_read_as_it_was_written(tmp_path):
    shares = np.array([[0, 0.25, 1.0], [0.5, 0, 0], [0.5, 0.75, 0]])
    write_votes(tmp_path / "votes.csv", Votes(("en", "sw", "x-unknown"), shares))
    votes = read_votes(tmp_path / "votes.csv")
    assert votes.languages == ("en", "sw", "x-unknown")
    assert np.allclose(votes.shares[~np.eye(3, dtype=bool)], shares[~np.eye(3, dtype=bool)])


@pytest.mark.parametrize("rows", ["en,sw,2", "en,sw,", "en,sw", "en,sw,nan", "en,sw,0.5,0.5"])
def test_a_file_of_other_numbers_is_refused(tmp_path, rows):
    (tmp_path / "votes.csv").write_text(f"source,target,votes\n{rows}\n")
    with pytest.raises(XstiltsError) as error:
        read_votes(tmp_path / "votes.csv")
    assert error.value.kind == "bad-file"


def test_a_state_votes_for_the_languages_of_its_nearest_neighbours():
    rng = np.random.default_rng(1)
    centres = {"a": [1, 0, 0], "near a": [0.9, 0.1, 0], "far": [0, 0, 1]}
    shares = neighbour_votes([np.array(centre) + 0.01 * rng.normal(size=(1200, 3)) for centre in centres.values()])
    assert shares[1, 0] == shares[0, 1] == 1 and np.allclose(shares.sum(0), 1)


def test_votes_are_measured_on_the_files_of_known_languages(encoder_folder, tmp_path):
    (tmp_path / "en.txt").write_text("a river in the old town\n\nthe king\n")
    (tmp_path / "deu_Latn.txt").write_text("ein Fluss in der alten Stadt\n")
    (tmp_path / "notes.txt").write_text("of no language\n")
    invoke(
        "transfer", "votes", str(encoder_folder("xlm-roberta")), str(tmp_path / "{lang}.txt"),
        "-o", str(tmp_path / "votes.csv"),
    )  # fmt: skip
    votes = read_votes(tmp_path / "votes.csv")
    assert set(votes.languages) == {"en", "de"} and votes.shares[0, 1] == votes.shares[1, 0] == 1


@pytest.mark.parametrize(
    "pattern, kind", [("t.txt", "bad-argument"), ("{lang}/{lang}.txt", "bad-argument"), ("{lang}.txt", "missing-file")]
)
def test_patterns_that_name_no_two_languages_are_refused(tmp_path, pattern, kind):
    with pytest.raises(XstiltsError) as error:
        measure_votes("unread", str(tmp_path / pattern))
    assert error.value.kind == kind
