"""Mistakes in study files: all are reported at once, each at its setting and with its line."""

import re

import pytest
import yaml

from xstilts.config.encoder_checks import WITH_ALL_HEADS
from xstilts.config.load import load_study
from xstilts.errors import XstiltsError
from xstilts.models.encoders import missing_heads
from xstilts.tasks.task_types import FINE_TUNED


def mistakes_in(tmp_path, text, quick=False):
    """The mistakes that loading a study file lists, as (place, message); each line number is checked.

    The line of a mistake must hold a key of its place, or an item of a list.
    """
    file = tmp_path / "study.yaml"
    file.write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False))
    with pytest.raises(XstiltsError) as caught:
        load_study(str(file), quick)
    assert caught.value.kind == "bad-setting" and caught.value.hint
    lines = file.read_text().split("\n")
    listed = re.findall(r"^  line (\d+), (.+?): (.+)$", caught.value.why, re.M)
    assert [int(line) for line, _, _ in listed] == sorted(int(line) for line, _, _ in listed)
    assert caught.value.what.endswith(f"{len(listed)} mistake" + "s" * (len(listed) > 1))
    for line, place, _ in listed:
        words = [key for key in place.split(".") if not key.isdigit()]
        assert any(word in lines[int(line) - 1] for word in (*words, "- ")), (line, place)
    return [(place, message) for _, place, message in listed]


TRAINING = {"epochs": 1, "batch_size": 2, "recipe": {"learning_rate": 1e-3}}
ARM = {"intermediate": "nli"}
TRANSLATED = {**ARM, "translated": "toy"}
PARTS = {"one": {**TRAINING, "task": "pocket-nli"}, "two": {**TRAINING, "task": "pocket-paws"}}
PAIRS = {"type": "retrieval", "source": {"world": 1, "kind": "retrieval", "rows": {"test": 9}}}
MINED = {**PAIRS, "mining": True, "metrics": ["f1"]}


def target(**settings):
    return {"targets": {"pocket-nli": {"training": TRAINING, **settings}}}


def arm(**settings):
    return {"arms": {"mine": settings}, "translators": {"toy": {"load": "some/model"}}}


def mixture(**settings):
    return {"intermediate": {**PARTS, "mine": {"recipe": TRAINING["recipe"], **settings}}}


def retrieval(task=PAIRS, **settings):
    return {"tasks": {"pairs": task}, "targets": {"pairs": settings}}


MISTAKES = [
    # targets
    (target(test="train"), "targets.pocket-nli.training", "trains on the train split"),
    (target(test="validation", training={**TRAINING, "checkpoint": "best"}), "targets.pocket-nli.training", "chooses"),
    (target(training={**TRAINING, "task": "pocket-qa"}), "targets.pocket-nli.training", "type qa"),
    (target(training={**TRAINING, "task": "pocket-paws"}), "targets.pocket-nli.training", "other labels"),
    (target(training={**mixture()["intermediate"]["mine"], "mixture": {"nli": 1, "paws": 1}}),
     "targets.pocket-nli.training.mixture.paws", "unknown intermediate training"),
    (target(oracle="test"), "targets.pocket-nli.oracle", "split 'test'"),
    (target(oracle="validation", labels_withheld=True), "targets.pocket-nli.oracle", "withheld"),
    ({"targets": {"pocket-text": {"training": TRAINING}}}, "targets.pocket-text", "cannot be a target"),
    ({"targets": {"pocket-qa": {}}}, "targets.pocket-qa", "needs `training`"),
    ({"targets": {"pocket-tatoeba": {"training": TRAINING}}}, "targets.pocket-tatoeba.training", "not trained"),
    (retrieval(), "targets.pairs", "needs `layers`"),
    (retrieval(layers=[1, 2]), "targets.pairs.layers", "needs `dev`"),
    (retrieval(MINED, layers=[1]), "targets.pairs", "needs `dev`"),
    (retrieval(layers=[1, 2], dev="test"), "targets.pairs.dev", "split 'test'"),
    (retrieval(layers=[1], oracle="validation"), "targets.pairs.oracle", "needs `training`"),
    # intermediate trainings and mixtures
    ({"intermediate": {"more": {**TRAINING, "task": "pocket-nli", "train": "test"}}}, "intermediate.more", "trains on"),
    ({"intermediate": {"more": {**TRAINING, "task": "pocket-text"}}}, "intermediate.more", "no head"),
    ({"intermediate": {"pocket-nil": TRAINING}}, "intermediate.pocket-nil.task", "did you mean 'pocket-nli'"),
    (mixture(mixture={"one": 1}), "intermediate.mine.mixture", "one part"),
    (mixture(mixture={"one": 1, "two": float("inf")}), "intermediate.mine.mixture.two", "finite"),
    (mixture(mixture={"one": 1, "three": 1}), "intermediate.mine.mixture.three", "unknown intermediate training"),
    (mixture(mixture={"one": 1, "": 1}), "intermediate.mine.mixture.", "unknown intermediate training"),
    ({"primary": [""]}, "primary.0", "unknown target"),
    (mixture(mixture={"one": 1, "two": 1}, epochs=3), "intermediate.mine.epochs", "parts"),
    (mixture(mixture={"one": 1, "two": 1}, class_weights="balanced"), "intermediate.mine.class_weights", "parts"),
    ({"intermediate": {"more": {**TRAINING, "task": "pocket-qa", "class_weights": "balanced"}}},
     "intermediate.more.class_weights", "one label per text"),
    (target(training={**TRAINING, "lora": {}, "checkpoint": "average"}), "targets.pocket-nli.training.lora", "average"),
    (target(training={**TRAINING, "lora": {}}) | {"checkpoint": "average"},
     "targets.pocket-nli.training.lora", "average"),
    ({"arms": {"more": {"target_training": {"shots": "test"}}}}, "arms.more.target_training.shots", "scored"),
    ({"arms": {"more": {"target_training": {"lora": {}, "checkpoint": "average"}}}}, "arms.more.target_training.lora",
     "average"),
    (target(training={**TRAINING, "lora": {"rank": 0}}), "targets.pocket-nli.training.lora.rank", "greater than 0"),
    (target(training={**TRAINING, "lora": {}}) |
     {"encoders": {"pocket": {"pretrain": {"config": {"model_type": "gpt"}}}}},
     "encoders.pocket", "does not support a 'gpt' model"),
    (mixture(mixture={"one": 1, "two": 1}, temperature=5), "intermediate.mine.temperature", "`sampling: temperature`"),
    (mixture(mixture={"one": 1, "two": 1}, cap=10), "intermediate.mine.cap", "`sampling: capped`"),
    (mixture(task="pocket-nli", sampling="uniform"), "intermediate.mine.sampling", "needs `mixture`"),
    # arms
    (arm(**ARM, given=["de"]), "arms.mine.given", "`languages: given`"),
    (arm(**ARM, languages="given"), "arms.mine.given", "`languages: given`"),
    (arm(**ARM, languages="given", given=["de", "de"]), "arms.mine.given.de", "twice"),
    (arm(**ARM, languages="given", given=["deu"]), "arms.mine.given.0", "'de'"),
    (arm(**ARM, languages="all", count=3), "arms.mine.count", "no effect"),
    (arm(**ARM, languages="all", exact=True), "arms.mine.exact", "no effect"),
    (arm(**ARM, languages="predicted"), "arms.mine.scores", "`languages: predicted`"),
    (arm(**ARM, anchor_share=0.5), "arms.mine.anchor_share", "needs `languages`"),
    (arm(**ARM, match_updates_of="english"), "arms.mine.match_updates_of", "without `intermediate`"),
    (arm(match_updates_of="none"), "arms.mine.match_updates_of", "no intermediate training"),
    (arm(match_updates_of="english-again"), "arms.mine.match_updates_of", "`independent`"),
    (arm(match_updates_of="englsh"), "arms.mine.match_updates_of", "did you mean 'english'"),
    (arm(languages="far"), "arms.mine.languages", "needs `intermediate`"),
    (arm(count=2), "arms.mine.count", "needs `intermediate`"),
    (arm(mlm={"corpus": "pocket-text", "share": 0.1}), "arms.mine.mlm", "needs `intermediate`"),
    (arm(**ARM, mlm={"corpus": "pocket-text", "share": 0.3, "masked": 0}), "arms.mine.mlm.masked", "greater than 0"),
    (arm(**ARM, mlm={"corpus": "pocket-nli", "share": 0.1}), "arms.mine.mlm.corpus", "raw text is of type mlm"),
    (arm(**ARM, translated="nobody"), "arms.mine.translated", "unknown translator"),
    (arm(**TRANSLATED), "arms.mine.translated", "needs `languages`"),
    (arm(**TRANSLATED, languages="far", mlm={"corpus": "pocket-text", "share": 1}), "arms.mine.translated", "share: 1"),
    (arm(**TRANSLATED, languages="far", pivot="fr"), "arms.mine.pivot", "leave out `languages`"),
    (arm(**TRANSLATED, pivot="en"), "arms.mine.pivot", "anchor language"),
    (arm(**ARM, pivot="fr"), "arms.mine.pivot", "needs `translated`"),
    # text columns that an arm can withhold: those of the task types among the targets
    (arm(mask_column="premise"), "arms.mine.mask_column", "text_a or text_b"),
    (arm(mask_column="choices") | {"targets": {"cosmosqa": {"training": TRAINING}}}, "arms.mine.mask_column",
     "context or question or text_a"),
    (arm(mask_column="tokens") | {"targets": {"panx": {"training": TRAINING}}}, "arms.mine.mask_column", "'tokens'"),
    (arm(mask_column="tokens") | {"tasks": {"pocket-nli": {"extends": "panx"}, "pocket-paws": {"extends": "panx"}}},
     "arms.mine.mask_column", "none of their"),
    (arm(mask_column="context") | {"targets": {"pocket-qa": {"training": TRAINING}}}, "arms.mine.mask_column",
     "question or text_a or text_b"),
    ({"checkpoint": "first"}, "checkpoint", "'best', 'last' or 'average'"),
    # encoders and translators
    ({"encoders": {"pocket": {"load": "some/model"}}}, "encoders.pocket", "either `load` or `pretrain`"),
    ({"encoders": {"pocket": {"pretrain": {"corpus": "pocket-qa"}}}}, "encoders.pocket.pretrain.corpus", "type qa"),
    ({"translators": {"toy": {"load": ""}}}, "translators.toy.load", "at least 1"),
    ({"translators": {"toy": {"load": "a/b", "back": "tox"}}}, "translators.toy.back", "did you mean 'toy'"),
    # names, contrasts and what is judged
    ({"arms": {"baseline": ARM}}, "arms.baseline", "reserved"),
    ({"arms": {"near - far": ARM}}, "arms.near - far", "' - '"),
    ({"targets": {"a/b": {"task": "pocket-nli", "training": TRAINING}}}, "targets.a/b", "file names"),
    ({"primary": []}, "primary", "at least 1"),
    ({"primary": ["pocket-nli", "pocket-nli"]}, "primary.pocket-nli", "twice"),
    ({"primary": ["pocket-nly"]}, "primary.0", "did you mean 'pocket-nli'"),
    (target(labels_withheld=True) | {"primary": ["pocket-nli"]}, "primary.pocket-nli", "withheld"),
    ({"contrasts": ["far - far"]}, "contrasts.0", "itself"),
    ({"contrasts": ["far vs near"]}, "contrasts.0", "is written"),
    ({"contrasts": ["far - nearr"]}, "contrasts.0", "did you mean 'near'"),
    ({"contrasts": ["far - near on pocket-nli, pocket-nli"]}, "contrasts.0", "target twice"),
    ({"languages": {"anchor": "eng"}}, "languages.anchor", "'en'"),
    ({"languages": {"candidates": ["de", "qqq"]}}, "languages.candidates.1", "qqq"),
    # shapes
    ({"task_files": "mine.yaml"}, "task_files", "list"),
    ({"tasks": {"pocket-nli": {"extends": "pocket-nli", "defaults": "fast"}}}, "tasks.pocket-nli.defaults", "valid"),
    ({"tasks": ["pocket-nli"]}, "tasks", "mapping"),
    ({"arms": {"far": {"intermediate": ["x"]}}}, "arms.far.intermediate", "text"),
    ({"equivalance": 1.0}, "equivalance", "did you mean 'equivalence'"),
    (arm(**ARM, langages="far"), "arms.mine.langages", "did you mean 'languages'"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "place", "word"), MISTAKES, ids=lambda value: value if type(value) is str else "")
def test_a_mistake_is_reported_at_its_setting(tmp_path, changes, place, word):
    mistakes = mistakes_in(tmp_path, {"extends": "pocket", **changes})
    assert [message for where, message in mistakes if where == place and word in message], mistakes


def test_a_setting_of_another_kind_of_entry_is_not_proposed_in_its_own_place(tmp_path):
    [(place, message)] = mistakes_in(tmp_path, {"extends": "pocket", "arms": {"far": {"oracle": "validation"}}})
    assert place == "arms.far.oracle" and "did you mean 'oracle'" not in message


@pytest.mark.parametrize(
    ("contrasts", "controls", "place"),
    [
        (["far - near", "far - near"], [], "contrasts.far - near"),
        (["far - near"], ["far - near"], "controls.far - near"),
        (["far - near"], ["far - near on pocket-nli"], "controls.far - near on pocket-nli"),
        (["far - near on pocket-nli, pocket-paws", "far - near on pocket-paws, pocket-nli"], [],
         "contrasts.far - near on pocket-paws, pocket-nli"),
    ],
)  # fmt: skip
def test_a_contrast_is_declared_once(tmp_path, contrasts, controls, place):
    """Intervals depend on how many contrasts are judged together, so one must not count in two families."""
    settings = {"extends": "pocket", "primary": ["pocket-nli"], "contrasts": contrasts, "controls": controls}
    [(where, message)] = mistakes_in(tmp_path, settings)
    assert where == place and "twice" in message


def test_equal_arms_are_no_contrast_unless_one_is_independent(tmp_path):
    arms = {"again": {**ARM, "role": "control"}, "again-apart": {**ARM, "role": "control", "independent": True}}
    settings = {"extends": "pocket", "arms": arms, "controls": ["again - english", "again-apart - english"]}
    [(place, message)] = mistakes_in(tmp_path, settings)
    assert place == "controls.again - english" and "independent" in message


def test_an_encoder_without_a_head_for_a_task_is_a_mistake(tmp_path):
    """In transformers, EuroBERT has a head for classification and none for questions."""
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder/config.json").write_text('{"model_type": "eurobert"}')
    config = {"pretrain": {"config": {"model_type": "eurobert"}}}
    for encoder in ({"mine": {"load": str(tmp_path / "encoder")}}, {"pocket": config}):
        study = {"extends": "pocket", "encoders": encoder}
        (tmp_path / "study.yaml").write_text(yaml.safe_dump(study))
        assert load_study(str(tmp_path / "study.yaml"))
        [(place, message)] = mistakes_in(tmp_path, {**study, "targets": {"pocket-qa": {"training": TRAINING}}})
        assert place.startswith("encoders.") and "type qa" in message
    for model_type in WITH_ALL_HEADS:
        assert missing_heads(model_type, FINE_TUNED) == []


def test_what_is_known_of_a_published_encoder_is_checked_before_it_is_downloaded(tmp_path):
    """There is no head for questions on EuroBERT, and E5's files have no masked-language-model head."""
    changes = {"encoders": {"e": {"load": "EuroBERT/EuroBERT-210m"}}, "targets": {"pocket-qa": {"training": TRAINING}}}
    [(place, message)] = mistakes_in(tmp_path, {"extends": "pocket", **changes})
    assert place == "encoders.e" and "type qa" in message
    changes = {
        "encoders": {"e": {"load": "intfloat/multilingual-e5-base"}},
        "arms": {"far": {"mlm": {"corpus": "pocket-text", "share": 0.2}}},
    }
    [(place, message)] = mistakes_in(tmp_path, {"extends": "pocket", **changes})
    assert place == "encoders.e" and "masked language modelling" in message


@pytest.mark.parametrize(("word", "quoted"), [("no", "'no'"), ("off", "'no'"), ("yes", "'yes'"), ("12", "'12'")])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("languages: {candidates: [de, WORD]}", "languages.candidates.1"),
        ("languages: {anchor: WORD}", "languages.anchor"),
        ("arms: {mine: {intermediate: nli, languages: given, given: [WORD]}}", "arms.mine.given.0"),
        ("arms: {mine: {intermediate: nli, translated: toy, pivot: WORD}}", "arms.mine.pivot"),
        ("tasks: {mine: {extends: xnli, languages: [WORD, de]}}", "tasks.mine.languages.0"),
        ("tasks: {mine: {extends: xnli, labels: [maybe, WORD]}}", "tasks.mine.labels.1"),
    ],
)
def test_words_that_yaml_does_not_read_as_text_are_to_be_quoted(tmp_path, word, quoted, text, place):
    """YAML reads the language code of Norwegian as false."""
    mistakes = dict(mistakes_in(tmp_path, "extends: pocket\n" + text.replace("WORD", word)))
    assert f"in quotes: {quoted}" in mistakes[place]


@pytest.mark.parametrize("text", ["arms:\n  no: {}", "tasks:\n  no: {extends: xnli}", "no: 1"])
def test_keys_that_yaml_does_not_read_as_text_are_to_be_quoted(tmp_path, text):
    (tmp_path / "study.yaml").write_text("extends: pocket\n" + text)
    with pytest.raises(XstiltsError) as caught:
        load_study(str(tmp_path / "study.yaml"))
    line = 2 if text == "no: 1" else 3
    assert re.search(rf"line {line}, .*in quotes: 'no'", caught.value.why), caught.value.why


MANY_MISTAKES = """
name: Many Mistakes
question: What is wrong here?
replicates: 0
equivalance: 1.0
languages: {candidates: [de, fr, qqq]}
encoders:
  both: {load: somewhere, pretrain: {corpus: pocket-txt}}
  neither: {seeds: 2}
intermediate:
  nli: {task: pocket-nlli, examples: -5, recipe: {learning_rate: 0.001}}
  leak: {task: pocket-nli, train: test, recipe: {learning_rate: 0.001}}
arms:
  none: {}
  far: {intermediate: nlii, languages: farr, count: 2}
  masked: {mask_column: tokens}
targets:
  pocket-nli: {}
  pocket-tatoeba: {}
  pocket-paws: {test: 3}
primary: [pocket-nly]
contrasts: [far - nonee, far versus none, masked - none, masked - none on pocket-nli, masked - none on pocket-nli]
"""


def test_all_mistakes_are_reported_at_once(tmp_path):
    """A mistake in one entry hides none in another, even if that one shows only between entries."""
    mistakes = mistakes_in(tmp_path, MANY_MISTAKES)
    for place, word in (
        ("name", "pattern"), ("replicates", "greater than 0"), ("equivalance", "'equivalence'"),
        ("languages.candidates.2", "qqq"), ("encoders.both.pretrain.corpus", "'pocket-text'"),
        ("encoders.both.pretrain.config", "missing"), ("encoders.neither", "either"),
        ("intermediate.nli.task", "'pocket-nli'"), ("intermediate.nli.examples", "greater than 0"),
        ("intermediate.leak", "trains on the test split"), ("arms.far.intermediate", "'nli'"),
        ("arms.far.languages", "'far'"), ("arms.masked.mask_column", "text_a"),
        ("targets.pocket-nli", "needs `training`"), ("targets.pocket-tatoeba", "needs `layers`"),
        ("targets.pocket-paws.test", "quotes"), ("primary.0", "'pocket-nli'"), ("contrasts.0", "'none'"),
        ("contrasts.1", "is written"), ("contrasts.masked - none on pocket-nli", "twice"),
    ):  # fmt: skip
        assert [message for where, message in mistakes if where == place and word in message], (place, word, mistakes)
    assert len(mistakes) == 20 + 5, "the other five are settings of `pretrain` that are missing"


def test_what_depends_on_a_mistaken_entry_is_not_called_a_mistake(tmp_path):
    settings = {
        "extends": "pocket", "checkpoint": "lst", "tasks": {"pocket-nli": {"extends": "pocket-nli", "labels": 3}},
        "arms": {"far": {"count": 0}},
        "targets": {"pocket-nli": {"test": "validation", "labels_withheld": "perhaps"}},
    }  # fmt: skip
    places = [place for place, _ in mistakes_in(tmp_path, settings)]
    assert places == ["checkpoint", "tasks.pocket-nli.labels", "arms.far.count", "targets.pocket-nli.labels_withheld"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [("a: [1", "bad-file"), ("- 1\n- 2", "bad-file"), ("", "bad-file"), ("a: &x {b: *x}", "bad-file"),
     ("name: x\nname: y", "bad-setting"), ("extends: study.yaml", "bad-setting"),
     ("extends: pocket\nquick: 5", "bad-setting")],
)  # fmt: skip
def test_files_that_are_no_study_are_refused(tmp_path, monkeypatch, text, kind):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(XstiltsError) as caught:
        load_study("study.yaml")
    assert caught.value.kind == kind and caught.value.hint


def test_a_key_that_is_given_twice_in_an_extended_study_is_a_mistake(tmp_path):
    (tmp_path / "base.yaml").write_text("extends: pocket\nseed: 1\nseed: 2\n")
    (tmp_path / "study.yaml").write_text(f"extends: {tmp_path}/base.yaml\n")
    with pytest.raises(XstiltsError) as caught:
        load_study(str(tmp_path / "study.yaml"))
    assert (
        caught.value.kind == "bad-setting" and "base.yaml" in caught.value.what and "line 3, seed" in caught.value.why
    )


def test_an_unknown_study_names_the_closest():
    with pytest.raises(XstiltsError) as caught:
        load_study("pockett")
    assert caught.value.kind == "missing-file" and "'pocket'" in caught.value.hint
