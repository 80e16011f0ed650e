"""What users get wrong in files and entries is told as bad rows or mistakes: no traceback, no silent wrong number."""

import json

import pytest
import yaml
from pydantic import ValidationError

from support import changed
from xstilts.config.custom_tasks import read_task_file
from xstilts.config.load import builtin_studies, load_study
from xstilts.data.check import check, texts_of
from xstilts.data.examples import available, content_digest, load_examples
from xstilts.errors import XstiltsError
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.tasks.task import Task


def found(folder, kind, records, source=None, **more):
    """The rows of JSON records, and what was wrong with the others."""
    (folder / "en").write_text("\n".join(map(json.dumps, records)))
    task = Task(name="t", type=kind, source={"format": "jsonl", "files": {"train": "{lang}"}, **(source or {})}, **more)
    result = load_examples(task, "train", "en", folder, {})
    return result.table, [problem.found for problem in result.problems]


def test_words_and_tags_of_unequal_number_are_bad_and_nothing_is_cut(tmp_path):
    records = [{"tokens": ["x", "y", "z"], "tags": ["A"]}, {"tokens": ["x"], "tags": ["A", "A"]}, {"tags": ["A"]},
               {"tokens": "xy", "tags": ["A", "A"]}, {"tokens": ["x", "y"], "tags": ["A", "_"]}]  # fmt: skip
    table, problems = found(tmp_path, "tagging", records, {"unlabelled": ["_"]}, labels=["A"])
    assert table["tokens"].to_pylist() == [["x"]]
    assert problems == ["3 words with 1 tags", "1 words with 2 tags", "a sentence without words", "tokens is 'xy'"]


@pytest.mark.parametrize("answers", [
    ["abc"], "abc", 3, {"text": ["abc"]}, {"text": ["abc"], "answer_start": [0, 4]}, [{"text": "abc"}],
    [{"text": "abc", "answer_start": "0"}], [{"text": "def", "answer_start": -3}],
])  # fmt: skip
def test_answers_that_are_no_answers_are_bad_rows(tmp_path, answers):
    good = {"context": "abc def", "question": "q", "answers": [{"text": "def", "answer_start": 4}]}
    table, problems = found(tmp_path, "qa", [good, {**good, "answers": answers}])
    assert (len(table), len(problems)) == (1, 1)


def test_a_text_where_a_list_of_choices_belongs_is_no_list_of_letters(tmp_path):
    _, problems = found(tmp_path, "multiple_choice", [{"context": "c", "choices": "abc", "label": 0}])
    assert problems == ["choices is 'abc'"]


def test_a_cluster_that_names_no_column_does_not_make_one_cluster_of_all_rows(tmp_path):
    record = {"text_a": "x", "label": "A"}
    _, problems = found(tmp_path, "classification", [record, record], {"cluster": "premise"}, labels=["A"])
    assert problems == ["no 'premise', which `cluster` names"] * 2


def test_half_a_surrogate_pair_is_one_bad_row(tmp_path):
    (tmp_path / "en").write_text('{"text_a": "\\ud800", "label": "A"}\n{"text_a": "\\ud83d\\ude00", "label": "A"}\n')
    source = {"format": "jsonl", "files": {"train": "{lang}"}}
    result = load_examples(
        Task(name="t", type="classification", labels=["A"], source=source), "train", "en", tmp_path, {}
    )
    assert result.table["text_a"].to_pylist() == ["😀"] and len(result.problems) == 1


def test_broken_quotes_and_long_texts_in_a_quoted_table(tmp_path):
    (tmp_path / "en").write_text(f'x\tA\n{"y" * 200_000}\tA\nz\rz\tA\nv\tA\n"open\tA\nw\tA\n')
    source = {"format": "table", "files": {"train": "{lang}"}, "quoted": True, "columns": {"text_a": 0, "label": 1}}
    result = load_examples(
        Task(name="t", type="classification", labels=["A"], source=source), "train", "en", tmp_path, {}
    )
    assert [text[0] for text in result.table["text_a"].to_pylist()] == ["x", "y", "v"]
    assert [problem.line for problem in result.problems] == [3, 6]


@pytest.mark.parametrize(("form", "text"), [("parquet", "no"), ("squad", '{"data": [{}]}')])
def test_files_of_another_format_are_refused(tmp_path, form, text):
    (tmp_path / "en").write_text(text)
    task = Task(name="t", type="qa", source={"format": form, "files": {"train": "{lang}"}})
    with pytest.raises(XstiltsError, match="is not"):
        load_examples(task, "train", "en", tmp_path, {})


def test_one_file_is_not_read_as_that_of_every_language(tmp_path):
    (tmp_path / "train.tsv").write_text("x\n")
    source = {"format": "lines", "files": {"train": "train.tsv"}}
    task = Task(name="t", type="mlm", source=source)
    for several in (task, task.model_copy(update={"languages": ("en", "sw")})):
        with pytest.raises(XstiltsError, match="does not say which language"):
            available(several, "train", ("en", "sw"), tmp_path, {})
    one = task.model_copy(update={"languages": ("en",)})
    assert available(one, "train", ("en", "sw"), tmp_path, {}) == ["en"]


@pytest.mark.parametrize(("union", "says"), [
    (["t", "t"], "rows of itself"), (["other", "nope"], "unknown task 'nope'"), (["round", "other"], "rows of itself"),
    (["text", "other"], "of type mlm"),
])  # fmt: skip
def test_tasks_that_take_rows_of_others_in_vain(union, says, tmp_path):
    lines = {"format": "lines", "files": {"train": "{lang}"}}
    task = Task(name="t", type="classification", source={"union": union})
    known = {"t": task, "other": Task(name="other", type="classification", source=lines),
             "text": Task(name="text", type="mlm", source=lines),
             "round": Task(name="round", type="classification", source={"union": ["t", "other"]})}  # fmt: skip
    for read in (load_examples, content_digest):
        with pytest.raises(XstiltsError, match=says):
            read(task, "train", "en", tmp_path, known)


@pytest.mark.parametrize("source", [
    {"format": "bitext", "files": {"dev": "x"}},
    {"format": "blocks", "files": {"dev": "x"}, "block": 2, "columns": {"text_a": 2}},
    {"format": "blocks", "files": {"dev": "x"}, "block": 2, "columns": {"text_a": "premise"}},
    {"format": "table", "files": {"dev": "x"}, "columns": {"text_a": -1}},
    {"format": "lines", "files": {"dev": "x"}, "rows": {"dev": [5, 2]}},
])  # fmt: skip
def test_sources_that_their_format_cannot_read_are_mistakes(source):
    with pytest.raises(ValidationError):
        Task(name="t", type="mlm", source=source)


def test_overlap_with_another_task_does_not_depend_on_capitals(tmp_path):
    (tmp_path / "en").write_text("Hello  World\nbye\n")
    task = Task(name="t", type="mlm", source={"format": "lines", "files": {"train": "{lang}"}})
    other = texts_of(task, "train", "en", tmp_path, {})
    [(facts, _)] = check(task, "train", ["en"], tmp_path, {}, None, lambda code: other)
    assert facts["overlap"] == 2


TRAINING = {"epochs": 1, "batch_size": 2, "recipe": {"learning_rate": 1e-3}}


@pytest.mark.parametrize(("target", "says"), [
    ({"training": TRAINING, "test": "train"}, "trains on the train split"),
    ({"training": {**TRAINING, "checkpoint": "best"}, "test": "validation"}, "chooses on the validation split"),
    ({"training": {**TRAINING, "task": "pocket-qa"}}, "of type qa"),
    ({"training": {**TRAINING, "task": "pocket-paws"}}, "other labels"),
])  # fmt: skip
def test_targets_whose_score_would_be_wrong_are_mistakes(tmp_path, target, says):
    with pytest.raises(XstiltsError, match=says):
        load_study(changed(tmp_path, targets={"pocket-nli": target}))


@pytest.mark.parametrize(("training", "says"), [
    ({**TRAINING, "task": "pocket-nli", "train": "test"}, "trains on the test split, on which target 'pocket-nli'"),
    ({**TRAINING, "task": "pocket-text"}, "no head that could be trained"),
])  # fmt: skip
def test_intermediate_trainings_that_cannot_be_meant_are_mistakes(tmp_path, training, says):
    with pytest.raises(XstiltsError, match=says):
        load_study(changed(tmp_path, intermediate={"more": training}))


def test_a_layer_is_never_chosen_in_held_out_languages(tmp_path):
    target = {"layers": [1, 2], "dev": "validation"}
    source = {"world": 1, "kind": "retrieval", "rows": {"validation": 20, "test": 20}}
    tasks = {"pairs": {"type": "retrieval", "parallel": True, "source": source}}
    changes = {"tasks": tasks, "targets": {"pairs": target}, "primary": ["pairs"], "quick": {}}
    frozen = freeze(load_study(changed(tmp_path, **changes)), None, "cpu")
    steps = [s for s in build_plan(frozen).plan.steps.values() if "layer_languages" in s.arguments]
    assert steps and all(s.arguments["layer_languages"] for s in steps)
    assert not {code for s in steps for code in s.arguments["layer_languages"]} & set(frozen.held_out)


@pytest.mark.parametrize("text", [
    "t: {extends: [xnli]}", "t: {extends: 3}", "t: &a {type: mlm, source: *a}", "- t", "t: [1]",
    "t: {extends: xnli, defaults: fast}",
])  # fmt: skip
def test_files_of_tasks_with_mistakes_are_told(tmp_path, text):
    (tmp_path / "tasks.yaml").write_text(text)
    with pytest.raises(XstiltsError, match=r"tasks\.yaml"):
        read_task_file(tmp_path / "tasks.yaml")


@pytest.mark.parametrize("changes", [
    {"task_files": "mine.yaml"}, {"quick": 5}, {"extends": "study.yaml"},
    {"tasks": {"pocket-nli": {"extends": "pocket-nli", "defaults": "fast"}}},
    {"arms": {"far": {"intermediate": ["x"]}}},
])  # fmt: skip
def test_studies_with_settings_of_the_wrong_kind_are_told(tmp_path, changes, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump({"extends": "pocket", **changes}))
    with pytest.raises(XstiltsError):
        load_study("study.yaml", quick=True)


ARM = {"intermediate": "nli"}
TRANSLATED = {**ARM, "translated": "toy"}


@pytest.mark.parametrize(("arm", "says"), [
    ({**ARM, "given": ["de"]}, "goes with `languages: given`"),
    ({**ARM, "languages": "given"}, "goes with `languages: given`"),
    ({**ARM, "languages": "given", "given": ["de", "de"]}, "a language twice"),
    ({**ARM, "languages": "given", "given": ["deu"]}, "write 'de'"),
    ({**ARM, "languages": "all", "count": 3}, "does nothing with `languages: all`"),
    ({**ARM, "languages": "all", "exact": True}, "does nothing with `languages: all`"),
    ({"languages": "far", "count": 2}, "needs `intermediate`"),
    ({"mask_column": "premise"}, "unknown text column 'premise'"),
    ({**ARM, "mlm": {"corpus": "pocket-text", "share": 0.3, "masked": 0}}, "greater than 0"),
    (TRANSLATED, "needs `languages` to translate into"),
    ({**TRANSLATED, "languages": "far", "pivot": "fr"}, "leave `languages` out"),
    ({**TRANSLATED, "pivot": "en"}, "the anchor language itself"),
])  # fmt: skip
def test_settings_of_an_arm_that_would_do_nothing_or_something_else_are_mistakes(tmp_path, arm, says):
    more = {"translators": {"toy": {"load": "some/model"}}}
    arms = yaml.safe_load(builtin_studies()["pocket"].read_text())["arms"]
    with pytest.raises(XstiltsError, match=says):
        load_study(changed(tmp_path, arms={**arms, "mine": arm}, **more))


@pytest.mark.parametrize(("training", "says"), [
    ({"mixture": {"nli": 1}}, "has one part"),
    ({"mixture": {"nli": 1, "paws": float("inf")}}, "a finite number"),
    ({"mixture": {"nli": 1, "paws": 1}, "epochs": 3}, "those of its parts"),
    ({"mixture": {"nli": 1, "paws": 1}, "temperature": 5}, "needs `sampling: temperature`"),
    ({"mixture": {"nli": 1, "paws": 1}, "cap": 10}, "needs `sampling: capped`"),
    ({"task": "pocket-nli", "sampling": "uniform"}, "needs `mixture`"),
])  # fmt: skip
def test_settings_of_a_mixture_that_would_do_nothing_are_mistakes(tmp_path, training, says):
    parts = {"nli": {**TRAINING, "task": "pocket-nli"}, "paws": {**TRAINING, "task": "pocket-paws"}}
    mine = {"recipe": TRAINING["recipe"], **training}
    with pytest.raises(XstiltsError, match=says):
        load_study(changed(tmp_path, intermediate={**parts, "mine": mine}))


@pytest.mark.parametrize(("changes", "says"), [
    ({"arms": {"baseline": ARM}}, "the trivial baseline"),
    ({"arms": {"near - far": ARM}}, "stands in contrasts"),
    ({"targets": {"a/b": {"task": "pocket-nli", "training": TRAINING}}}, "file names"),
    ({"targets": {"pocket-nli": {"training": {**TRAINING, "mixture": {"nli": 1}}}}}, "a target trains on one task"),
    ({"primary": []}, "at least 1"), ({"primary": ["pocket-nli"] * 2}, "names 'pocket-nli' twice"),
    ({"contrasts": ["far - far"]}, "against itself"), ({"contrasts": ["far - near"] * 2}, "given twice"),
    ({"contrasts": ["far - near on pocket-nli, pocket-nli"]}, "a target twice"),
    ({"translators": {"toy": {"load": ""}}}, "at least 1"), ({"languages": {"anchor": "eng"}}, "write 'en'"),
])  # fmt: skip
def test_names_and_contrasts_that_would_be_judged_wrongly_are_mistakes(tmp_path, changes, says):
    with pytest.raises(XstiltsError, match=says):
        load_study(changed(tmp_path, **changes))


def test_an_arm_without_rows_in_the_languages_it_is_given_is_refused(tmp_path):
    (tmp_path / "en").write_text("x\ty\t0\n")
    source = {"format": "table", "files": {"train": "{lang}", "validation": "{lang}"},
              "columns": {"text_a": 0, "text_b": 1, "label": 2}}  # fmt: skip
    own = {"type": "classification", "labels": ["0", "1"], "languages": ["en", "de"], "source": source}
    arms = {"none": {}, "mine": {"intermediate": "mine", "languages": "given", "given": ["de"]}}
    languages = yaml.safe_load(builtin_studies()["pocket"].read_text())["languages"] | {"never_held_out": ["de"]}
    changes = {"tasks": {"own": own}, "intermediate": {"mine": {**TRAINING, "task": "own"}}, "arms": arms,
               "contrasts": ["mine - none"], "controls": [], "languages": languages}  # fmt: skip
    with pytest.raises(XstiltsError, match="'own' has no train rows in de"):
        freeze(load_study(changed(tmp_path, **changes)), tmp_path, "cpu")


def test_a_small_form_is_not_made_up(tmp_path):
    raw = yaml.safe_load(builtin_studies()["pocket"].read_text())
    del raw["quick"]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw))
    with pytest.raises(XstiltsError, match="no small form"):
        load_study(str(tmp_path / "study.yaml"), quick=True)
