"""Bad data files are reported as bad rows or errors, not as tracebacks or silently wrong numbers."""

import json

import pytest
import yaml
from pydantic import ValidationError

from support import changed
from xstilts.config.load import builtin_studies, load_study
from xstilts.data.check import check, texts_of
from xstilts.data.examples import available, content_digest, load_examples
from xstilts.errors import XstiltsError
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.tasks.task import Task


def load(folder, kind, records, source=None, **more):
    """The examples of JSON records, and the reasons why the other records are bad."""
    (folder / "en").write_text("\n".join(map(json.dumps, records)))
    task = Task(name="t", type=kind, source={"format": "jsonl", "files": {"train": "{lang}"}, **(source or {})}, **more)
    result = load_examples(task, "train", "en", folder, {})
    return result.table, [problem.found for problem in result.rejected]


def test_sentences_with_more_words_than_tags_or_fewer_are_bad_rows(tmp_path):
    records = [{"tokens": ["x", "y", "z"], "tags": ["A"]}, {"tokens": ["x"], "tags": ["A", "A"]}, {"tags": ["A"]},
               {"tokens": "xy", "tags": ["A", "A"]}, {"tokens": ["x", "y"], "tags": ["A", "_"]}]  # fmt: skip
    table, problems = load(tmp_path, "tagging", records, {"unlabelled": ["_"]}, labels=["A"])
    assert table["tokens"].to_pylist() == [["x"]]
    assert problems == ["3 words with 1 tags", "1 words with 2 tags", "a sentence without words", "tokens is 'xy'"]


@pytest.mark.parametrize("answers", [
    ["abc"], "abc", 3, {"text": ["abc"]}, {"text": ["abc"], "answer_start": [0, 4]}, [{"text": "abc"}],
    [{"text": "abc", "answer_start": "0"}], [{"text": "def", "answer_start": -3}],
])  # fmt: skip
def test_malformed_answers_are_bad_rows(tmp_path, answers):
    good = {"context": "abc def", "question": "q", "answers": [{"text": "def", "answer_start": 4}]}
    table, problems = load(tmp_path, "qa", [good, {**good, "answers": answers}])
    assert (len(table), len(problems)) == (1, 1)


def test_choices_that_are_a_string_are_a_bad_row(tmp_path):
    _, problems = load(tmp_path, "multiple_choice", [{"context": "c", "choices": "abc", "label": 0}])
    assert problems == ["choices is 'abc'"]


def test_a_cluster_column_that_does_not_exist_makes_every_row_bad(tmp_path):
    record = {"text_a": "x", "label": "A"}
    _, problems = load(tmp_path, "classification", [record, record], {"cluster": "premise"}, labels=["A"])
    assert problems == ["no 'premise', which `cluster` names"] * 2


def test_half_a_surrogate_pair_is_one_bad_row(tmp_path):
    (tmp_path / "en").write_text('{"text_a": "\\ud800", "label": "A"}\n{"text_a": "\\ud83d\\ude00", "label": "A"}\n')
    source = {"format": "jsonl", "files": {"train": "{lang}"}}
    result = load_examples(
        Task(name="t", type="classification", labels=["A"], source=source), "train", "en", tmp_path, {}
    )
    assert result.table["text_a"].to_pylist() == ["😀"] and len(result.rejected) == 1


def test_broken_quotes_and_long_texts_in_a_quoted_table(tmp_path):
    (tmp_path / "en").write_text(f'x\tA\n{"y" * 200_000}\tA\nz\rz\tA\nv\tA\n"open\tA\nw\tA\n')
    source = {"format": "table", "files": {"train": "{lang}"}, "quoted": True, "columns": {"text_a": 0, "label": 1}}
    result = load_examples(
        Task(name="t", type="classification", labels=["A"], source=source), "train", "en", tmp_path, {}
    )
    assert [text[0] for text in result.table["text_a"].to_pylist()] == ["x", "y", "v"]
    assert [problem.line for problem in result.rejected] == [3, 6]


@pytest.mark.parametrize(("form", "text"), [("parquet", "no"), ("squad", '{"data": [{}]}')])
def test_files_of_another_format_are_refused(tmp_path, form, text):
    (tmp_path / "en").write_text(text)
    task = Task(name="t", type="qa", source={"format": form, "files": {"train": "{lang}"}})
    with pytest.raises(XstiltsError) as error:
        load_examples(task, "train", "en", tmp_path, {})
    assert error.value.kind == "bad-file"


def test_a_single_file_for_several_languages_is_refused(tmp_path):
    (tmp_path / "train.tsv").write_text("x\n")
    source = {"format": "lines", "files": {"train": "train.tsv"}}
    task = Task(name="t", type="mlm", source=source)
    for several in (task, task.model_copy(update={"languages": ("en", "sw")})):
        with pytest.raises(XstiltsError) as error:
            available(several, "train", ("en", "sw"), tmp_path, {})
        assert error.value.kind == "bad-setting"
    one = task.model_copy(update={"languages": ("en",)})
    assert available(one, "train", ("en", "sw"), tmp_path, {}) == ["en"]


@pytest.mark.parametrize(("pattern", "kind"), [
    ("{lang:>9999999999}", "bad-setting"), ("{lang.__class__}", "bad-setting"), ("{lang[0]}", "bad-setting"),
    ("{lang!r}", "bad-setting"), ("{0}", "bad-setting"), ("{", "bad-setting"), ("{lang}" + "a" * 300, "bad-setting"),
    ("{lang}\0", "bad-setting"), ("circle/{lang}", "bad-setting"), ("../{lang}", "unsafe"), ("/etc/{lang}", "unsafe"),
])  # fmt: skip
def test_patterns_that_name_no_file_are_refused(tmp_path, pattern, kind):
    (tmp_path / "circle").symlink_to("circle")
    task = Task(name="t", type="mlm", source={"format": "lines", "files": {"train": pattern}})
    for read in (lambda: load_examples(task, "train", "en", tmp_path, {}),
                 lambda: available(task, "train", ("en",), tmp_path, {})):  # fmt: skip
        with pytest.raises(XstiltsError) as error:
            read()
        assert error.value.kind == kind


@pytest.mark.parametrize(("union", "kind"), [
    (["t", "t"], "bad-setting"), (["other", "nope"], "unknown-name"), (["round", "other"], "bad-setting"),
    (["text", "other"], "bad-setting"),
])  # fmt: skip
def test_unions_with_unknown_tasks_cycles_or_mixed_types_are_refused(union, kind, tmp_path):
    lines = {"format": "lines", "files": {"train": "{lang}"}}
    task = Task(name="t", type="classification", source={"union": union})
    known = {"t": task, "other": Task(name="other", type="classification", source=lines),
             "text": Task(name="text", type="mlm", source=lines),
             "round": Task(name="round", type="classification", source={"union": ["t", "other"]})}  # fmt: skip
    for read in (load_examples, content_digest):
        with pytest.raises(XstiltsError) as error:
            read(task, "train", "en", tmp_path, known)
        assert error.value.kind == kind


@pytest.mark.parametrize("source", [
    {"format": "bitext", "files": {"dev": "x"}},
    {"format": "blocks", "files": {"dev": "x"}, "block": 2, "columns": {"text_a": 2}},
    {"format": "blocks", "files": {"dev": "x"}, "block": 2, "columns": {"text_a": "premise"}},
    {"format": "table", "files": {"dev": "x"}, "columns": {"text_a": -1}},
    {"format": "lines", "files": {"dev": "x"}, "rows": {"dev": [5, 2]}},
])  # fmt: skip
def test_settings_that_do_not_fit_the_format_are_refused(source):
    with pytest.raises(ValidationError):
        Task(name="t", type="mlm", source=source)


def test_overlap_with_another_task_ignores_case(tmp_path):
    (tmp_path / "en").write_text("Hello  World\nbye\n")
    task = Task(name="t", type="mlm", source={"format": "lines", "files": {"train": "{lang}"}})
    other = texts_of(task, ["train"], "en", tmp_path, {})
    [(facts, _)] = check(task, "train", ["en"], tmp_path, {}, None, lambda code: other)
    assert facts["overlap"] == 2


TRAINING = {"epochs": 1, "batch_size": 2, "recipe": {"learning_rate": 1e-3}}


def test_layers_are_not_chosen_on_held_out_languages(tmp_path):
    target = {"layers": [1, 2], "dev": "validation"}
    source = {"world": 1, "kind": "retrieval", "rows": {"validation": 20, "test": 20}}
    tasks = {"pairs": {"type": "retrieval", "parallel": True, "max_length": 64, "source": source}}
    changes = {"tasks": tasks, "targets": {"pairs": target}, "primary": ["pairs"], "quick": {}}
    frozen = freeze(load_study(changed(tmp_path, **changes)), None, "cpu")
    steps = [s for s in build_plan(frozen).plan.steps.values() if "layer_languages" in s.arguments]
    assert steps and all(s.arguments["layer_languages"] for s in steps)
    assert not {code for s in steps for code in s.arguments["layer_languages"]} & set(frozen.held_out)


def test_an_arm_without_examples_in_its_given_languages_is_refused(tmp_path):
    (tmp_path / "en").write_text("x\ty\t0\n")
    source = {"format": "table", "files": {"train": "{lang}", "validation": "{lang}"},
              "columns": {"text_a": 0, "text_b": 1, "label": 2}}  # fmt: skip
    own = {"type": "classification", "labels": ["0", "1"], "languages": ["en", "de"], "source": source}
    own |= {"max_length": 64}
    arms = {"none": {}, "mine": {"intermediate": "mine", "languages": "given", "given": ["de"]}}
    languages = yaml.safe_load(builtin_studies()["pocket"].read_text())["languages"] | {"never_held_out": ["de"]}
    changes = {"tasks": {"own": own}, "intermediate": {"mine": {**TRAINING, "task": "own"}}, "arms": arms,
               "contrasts": ["mine - none"], "controls": [], "languages": languages}  # fmt: skip
    with pytest.raises(XstiltsError, match="'own' has no train"):
        freeze(load_study(changed(tmp_path, **changes)), tmp_path, "cpu")
