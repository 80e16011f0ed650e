"""Studies and files of tasks as they are read: built-in ones, extended ones, small forms, and defaults."""

import re
from pathlib import Path

import pytest
import yaml

from xstilts.config.load import builtin_studies, load_study, merge, read_task_file
from xstilts.errors import XstiltsError
from xstilts.tasks.task import catalogue

DOCS = Path(__file__).parents[2] / "docs"


def write(folder, settings, name="study.yaml"):
    (folder / name).write_text(settings if isinstance(settings, str) else yaml.safe_dump(settings))
    return str(folder / name)


@pytest.mark.parametrize("name", sorted(builtin_studies()))
def test_every_built_in_study_loads(name):
    assert load_study(name).name == name
    if "quick:\n" in builtin_studies()[name].read_text():
        assert load_study(name, quick=True).name == name


def test_the_command_line_changes_settings():
    study = load_study("pocket", replicates=9, seed=None)
    assert (study.replicates, study.seed) == (9, load_study("pocket").seed)


def test_a_study_without_a_small_form_has_no_quick_run():
    with pytest.raises(XstiltsError) as caught:
        load_study("xtreme-baseline", quick=True)
    assert caught.value.kind == "bad-setting" and "quick" in caught.value.why


REMOVALS = [
    ({"targets": {"pocket-paws": None}}, lambda study: "pocket-paws" not in study.targets),
    ({"encoders": {"pocket": None, "xlmr": {"load": "a/b"}}}, lambda study: list(study.encoders) == ["xlmr"]),
    ({"encoders": {"pocket": {"pretrain": None, "load": "a/b"}}}, lambda study: not study.encoders["pocket"].pretrain),
    ({"intermediate": {"nli": {"examples": None}}}, lambda study: study.intermediate["nli"].examples is None),
]


@pytest.mark.parametrize(("changes", "holds"), REMOVALS)
@pytest.mark.parametrize("steps", [1, 2])
def test_what_a_study_removes_does_not_come_back_with_the_inherited_small_form(tmp_path, changes, holds, steps):
    path = write(tmp_path, {"extends": "pocket", **changes})
    if steps == 2:
        path = write(tmp_path, {"extends": path}, "second.yaml")
    for quick in (False, True):
        assert holds(load_study(path, quick))
    assert load_study(path, quick=True).replicates == 2, "the rest of the small form is still there"


def test_a_study_can_add_to_its_own_small_form_what_it_removes(tmp_path):
    again = {"targets": {"pocket-paws": {"training": {"examples": 7, "recipe": {"learning_rate": 0.1}}}}}
    path = write(tmp_path, {"extends": "pocket", "targets": {"pocket-paws": None}, "quick": again})
    assert "pocket-paws" not in load_study(path).targets
    assert load_study(path, quick=True).targets["pocket-paws"].training.examples == 7
    path = write(tmp_path, {"extends": "pocket", "quick": None})
    with pytest.raises(XstiltsError):
        load_study(path, quick=True)


def test_a_study_written_out_in_full_loads_again(tmp_path):
    study = load_study("pocket-arms")
    assert load_study(write(tmp_path, study.model_dump_json(exclude_unset=True))) == study


def test_a_study_has_a_form_whose_data_come_from_files(tmp_path):
    source = {"format": "table", "files": {"test": "{lang}.tsv"}, "columns": {"text_a": 0, "text_b": 1, "label": 2}}
    form = {
        "tasks": {"xnli": {"extends": "xnli", "source": source}},
        "encoders": {"xlmr": {"load": "here", "revision": None}},
    }
    encoders = {"pocket": None, "xlmr": {"load": "a/b", "revision": "1"}}
    path = write(tmp_path, {"extends": "pocket", "encoders": encoders, "files": form})
    hub, files = load_study(path), load_study(path, data_source="files")
    assert "xnli" not in hub.tasks and hub.encoders["xlmr"].revision == "1"
    assert files.tasks["xnli"].source.files == {"test": "{lang}.tsv"} and not files.encoders["xlmr"].revision
    assert load_study(path, data_source="files", quick=True).replicates == 2
    with pytest.raises(XstiltsError) as caught:
        load_study("pocket", data_source="files")
    assert caught.value.kind == "bad-setting" and "files" in caught.value.why


def test_what_an_inherited_small_form_removes_stays_removed(tmp_path):
    base = write(tmp_path, {"extends": "pocket", "quick": {"targets": {"pocket-paws": None}}}, "base.yaml")
    small = {"targets": {"pocket-nli": {"training": {"examples": 7}}}}
    study = load_study(write(tmp_path, {"extends": base, "quick": small}), quick=True)
    assert "pocket-paws" not in study.targets and study.targets["pocket-nli"].training.examples == 7


def test_a_source_of_another_kind_replaces_the_inherited_one():
    assert merge({"source": {"hub": "a/b"}}, {"source": {"format": "table"}}) == {"source": {"format": "table"}}


def test_a_task_that_extends_another_changes_only_the_settings_of_its_source_that_it_names(tmp_path):
    """Other files are a source of their own; another repository keeps neither the commit nor the authors' files."""
    tasks = {
        "newer": {"extends": "xnli", "source": {"revision": "1" * 40, "codes": {"zh": "zh-CN"}}},
        "mirror": {"extends": "cosmosqa", "source": {"hub": "my/copy", "columns": {"id": None}}},
        "mine": {
            "extends": "farstail",
            "source": {"format": "jsonl", "files": {"test": "a.jsonl"}, "languages": ["fa"]},
        },
        "african": {"extends": "afrixnli", "source": {"relabel": {"0": "neutral"}}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tasks))
    read, known = read_task_file(tmp_path / "mine.yaml"), catalogue()
    xnli = known["xnli"].source
    assert read["newer"].source == xnli.model_copy(update={"revision": "1" * 40, "codes": {"zh": "zh-CN"}})
    mirror = read["mirror"].source
    assert (mirror.hub, mirror.revision, mirror.fallback) == ("my/copy", "", None)
    assert mirror.files == known["cosmosqa"].source.files and "id" not in mirror.columns
    assert read["mine"].source.hub == "" and not read["mine"].source.relabel
    african = read["african"].source
    assert african.codes["sw"] == "swa" and african.relabel == {"0": "neutral", "1": "neutral", "2": "contradiction"}


def test_merging_leaves_its_arguments_alone():
    base, over = {"a": {"b": 1, "c": 2}}, {"a": {"b": None}}
    assert merge(base, over) == {"a": {"c": 2}}
    assert (base, over) == ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}})


def on_xnli(folder, training, **changes):
    targets = dict.fromkeys(("pocket-nli", "pocket-paws", "pocket-tatoeba")) | {"xnli": {"training": training}}
    controls = {**LONGER, "targets": targets, "primary": ["xnli"]}
    return write(folder, {**controls, **changes})


def test_a_training_takes_what_it_does_not_set_from_its_task(tmp_path):
    training = load_study(on_xnli(tmp_path, {})).targets["xnli"].training
    assert (training.epochs, training.batch_size, training.recipe.learning_rate) == (2, 32, 1e-5)
    training = load_study(on_xnli(tmp_path, {"epochs": 7, "recipe": {"warmup": 0.5}})).targets["xnli"].training
    assert (training.epochs, training.recipe.learning_rate, training.recipe.warmup) == (7, 1e-5, 0.5)


LONGER = {"extends": "pocket", "encoders": {"pocket": {"pretrain": {"config": {"max_position_embeddings": 512}}}}}
"""The study pocket, with an encoder that can be trained on real tasks."""
SHARED = """
extends: base.yaml
tasks:
  slow: {extends: mnli, defaults: {learning_rate: 1.0e-6, batch_size: 8}}
  fast: &entry {extends: mnli, defaults: {learning_rate: 1.0e-2, batch_size: 8}}
  same: *entry
intermediate:
  slow: {recipe: &recipe {warmup: 0.2}}
  fast: {recipe: *recipe}
arms:
  first: &predicted {intermediate: slow, languages: predicted, scores: table.csv}
  second: {<<: *predicted, count: 2}
"""


def test_entries_that_share_settings_by_an_alias_are_read_separately(tmp_path):
    base = write(tmp_path, LONGER, "base.yaml")
    study = load_study(write(tmp_path, SHARED.replace("base.yaml", base)))
    rates = [study.intermediate[name].recipe.learning_rate for name in ("slow", "fast")]
    assert rates == [1e-6, 1e-2] and study.tasks["same"].type == "classification"
    assert {study.arms[name].scores for name in ("first", "second")} == {str(tmp_path / "table.csv")}


def test_the_small_form_has_paths_of_its_own(tmp_path):
    (tmp_path / "below").mkdir()
    arms = {"arms": {"far": {"languages": "predicted", "scores": "table.csv"}}}
    path = write(tmp_path, {"extends": "pocket", "quick": arms}, "below/study.yaml")
    assert load_study(path, quick=True).arms["far"].scores == str(tmp_path / "below/table.csv")


def test_task_files_are_found_next_to_the_study(tmp_path):
    write(tmp_path, {"xnli": {"extends": "xnli", "title": "from the file", "max_length": 64}}, "tasks.yaml")
    assert load_study(on_xnli(tmp_path, {}, task_files=["tasks.yaml"])).tasks["xnli"].max_length == 64
    own = {"xnli": {"extends": "xnli", "max_length": 32}}
    assert load_study(on_xnli(tmp_path, {}, task_files=["tasks.yaml"], tasks=own)).tasks["xnli"].max_length == 32
    with pytest.raises(XstiltsError) as caught:
        load_study(on_xnli(tmp_path, {}, task_files=["task.yaml"]))
    assert caught.value.kind == "bad-setting" and str(tmp_path / "task.yaml") in caught.value.why


def test_the_file_of_tasks_in_the_documentation_is_read(tmp_path):
    text = (DOCS / "tasks.md").read_text(encoding="utf-8")
    tasks = read_task_file(Path(write(tmp_path, re.search(r"```yaml\n(.*?)```", text, re.S).group(1))))
    assert set(tasks) == {"mine", "emotions", "theirs", "xnli", "newer"}
    assert tasks["xnli"].labels == catalogue()["xnli"].labels and tasks["xnli"].source != catalogue()["xnli"].source
    assert tasks["newer"].source.hub == catalogue()["massive"].source.hub


TASK_MISTAKES = """one:
  extends: xnlli
  type: classification
  source: {format: tabel, files: {}}
two:
  type: qa
  mining: true
  source: {hub: squad}
three:
  extends: xnli
  lables: [a]
four:
  extends: xnli
  metrics: [acuracy]
five:
  type: retrieval
  source: {format: lines, files: {test: x}}
six:
  type: tagging
  languages: [de, no]
  source: {format: tagged, files: {train: x}, codes: {no: nor}}
"""


def test_all_mistakes_in_a_file_of_tasks_are_reported_at_once(tmp_path):
    with pytest.raises(XstiltsError) as caught:
        read_task_file(Path(write(tmp_path, TASK_MISTAKES)))
    assert caught.value.kind == "bad-setting"
    for line, word in (
        (2, "'xnli'"), (4, "'tabel'"), (8, "hub"), (11, "'labels'"), (14, "'accuracy'"), (17, "`english`"),
        (20, "'no'"), (21, "'no'"),
    ):  # fmt: skip
        assert re.search(rf"line {line}, .*{re.escape(word)}", caught.value.why), (line, word, caught.value.why)


@pytest.mark.parametrize(
    "text",
    ["t: {extends: [xnli]}", "t: {extends: 3}", "t: &a {type: mlm, source: *a}", "- t", "t: [1]",
     "t: {extends: xnli, defaults: fast}", "t: {extends: xnli}\nt: {extends: xnli}"],
)  # fmt: skip
def test_files_of_tasks_with_mistakes_are_refused(tmp_path, text):
    with pytest.raises(XstiltsError) as caught:
        read_task_file(Path(write(tmp_path, text, "tasks.yaml")))
    assert caught.value.kind in ("bad-setting", "bad-file") and "tasks.yaml" in caught.value.what


@pytest.mark.parametrize("name", ["pocket", "phang2020", "pocket-full"])
def test_a_study_in_place_of_a_file_of_tasks_is_one_error(tmp_path, name):
    path = write(tmp_path, builtin_studies()[name].read_text())
    with pytest.raises(XstiltsError) as caught:
        read_task_file(Path(path))
    assert caught.value.kind == "bad-file" and "is a study" in caught.value.what and caught.value.hint
    with pytest.raises(XstiltsError) as caught:
        load_study(write(tmp_path, {"extends": "pocket", "task_files": ["study.yaml"]}, "other.yaml"))
    assert "is a study" in caught.value.why


def test_a_file_of_tasks_in_place_of_a_study_is_one_error(tmp_path):
    path = write(tmp_path, "arms: {extends: xnli}\nmine: {type: mlm, source: {format: lines, files: {train: x}}}")
    assert set(read_task_file(Path(path))) == {"arms", "mine"}, "a task can have any name"
    path = write(tmp_path, "mine: {type: mlm, source: {format: lines, files: {train: x}}}")
    with pytest.raises(XstiltsError) as caught:
        load_study(path)
    assert caught.value.kind == "bad-file" and "task file" in caught.value.what and caught.value.hint


def test_the_other_examples_of_the_documentation_load(tmp_path):
    blocks = re.findall(r"```yaml\n(.*?)```", (DOCS / "studies.md").read_text(encoding="utf-8"), re.S)[1:]
    assert blocks
    base = write(tmp_path, LONGER, "base.yaml")
    for block in blocks:
        assert load_study(write(tmp_path, f"extends: {base}\n" + block))
