"""Plans of studies: languages, budgets, randomness, design warnings, and a study that runs."""

import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from support import changed
from xstilts.analysis import analyse
from xstilts.config.load import load_study
from xstilts.engine import Store, execute
from xstilts.errors import XstiltsError
from xstilts.study.freeze import confounded, freeze
from xstilts.study.plan import build_plan
from xstilts.study.source_languages import replicate_names


def test_the_offline_studies_load_and_plan_without_data():
    for name in ("pocket", "pocket-full"):
        for quick in (False, True):
            planned = build_plan(freeze(load_study(name, quick), None, "cpu"))
            assert planned.cells and planned.plan.steps
            assert planned.plan.requested > len(planned.plan.steps), "equal steps are shared"


@pytest.mark.parametrize("name", ["laptop", "laptop-arms"])
def test_the_real_studies_plan_on_real_files(name, real_data, encoder_folder, tmp_path):
    encoders = {"e5": {"load": str(encoder_folder("bert"))}}
    path = tmp_path / "offline.yaml"
    path.write_text(yaml.safe_dump({"extends": name, "files": {"encoders": encoders}}))
    frozen = freeze(load_study(str(path), data_source="files"), real_data, "cpu")
    assert build_plan(frozen).cells
    for target, fewest in (("xnli", 8), ("pawsx", 6), ("tatoeba", 6)):
        assert len(set(frozen.evaluated[target]) & set(frozen.held_out)) >= fewest
    assert frozen.evaluated["taxinli"] == ("en",)


def test_lora_and_class_weights_are_arguments_of_the_trainings_that_have_them(tmp_path):
    """All other steps keep their fingerprints, so that a store with their results stays of use."""
    plain = build_plan(freeze(load_study("pocket"), None, "cpu"))
    settings = {"lora": {"rank": 4}, "class_weights": "balanced"}
    study = load_study(changed(tmp_path, extends="pocket", targets={"pocket-nli": {"training": settings}}))
    planned = build_plan(freeze(study, None, "cpu"))
    for cell in planned.cells:
        if cell.target == "pocket-nli" and cell.training:
            arguments = planned.plan.steps[cell.training].arguments
            assert arguments["lora"] == {"rank": 4, "alpha": 16, "dropout": 0.0}
            assert arguments["tasks"]["pocket-nli"]["class_weights"] == "balanced"
            assert cell.training not in plain.plan.steps
        elif cell.training:
            assert cell.training in plain.plan.steps
    assert {cell.intermediate for cell in planned.cells} == {cell.intermediate for cell in plain.cells}


def test_languages_are_split_before_arms_choose():
    frozen = freeze(load_study("pocket"), None, "cpu")
    assert not set(frozen.pool) & set(frozen.held_out)
    assert len(frozen.held_out) >= 6 and "mg" in frozen.held_out
    for arm, entry in frozen.study.arms.items():
        for languages in frozen.sources[arm].values():
            allowed = {"english": {"en"}, "held-out": set(frozen.held_out)}.get(entry.languages, set(frozen.pool))
            assert set(languages) <= allowed
            assert len(languages) == entry.count


def test_arms_share_randomness_and_an_independent_arm_shares_none():
    planned = build_plan(freeze(load_study("pocket"), None, "cpu"))
    seeds = {}
    for cell in planned.cells:
        if cell.training:
            step = planned.plan.steps[cell.training]
            seeds.setdefault((cell.target, cell.encoder, cell.replicate), {})[cell.arm] = step.arguments["seed"]
    for by_arm in seeds.values():
        apart = by_arm.pop("english-again")
        assert len(set(by_arm.values())) == 1
        assert apart not in by_arm.values()


def test_arms_have_equal_budgets():
    planned = build_plan(freeze(load_study("pocket"), None, "cpu"))
    budgets = set()
    for cell in planned.cells:
        if cell.intermediate:
            arguments = planned.plan.steps[cell.intermediate].arguments
            task = arguments["tasks"]["nli"]
            budgets.add((task["examples"], task["epochs"], arguments["batch_size"]))
    assert len(budgets) == 1


def test_another_replicate_adds_steps_and_changes_none():
    few = build_plan(freeze(load_study("pocket", replicates=2), None, "cpu")).plan.steps
    more = build_plan(freeze(load_study("pocket", replicates=3), None, "cpu")).plan.steps
    assert set(few) < set(more)


def test_another_seed_changes_every_training():
    one = build_plan(freeze(load_study("pocket"), None, "cpu")).plan.steps
    other = build_plan(freeze(load_study("pocket", seed=7), None, "cpu")).plan.steps
    shared = {one[f].kind for f in set(one) & set(other)}
    assert shared <= {"rows", "vocabulary"}


def test_replicates_of_an_independent_arm_are_numbered_apart():
    study = load_study("pocket")
    plain = {name for _, _, name in replicate_names(study, study.arms["english"])}
    apart = {name for _, _, name in replicate_names(study, study.arms["english-again"])}
    assert len(plain) == len(apart) and not plain & apart


def test_one_replicate_is_a_warning_that_there_will_be_no_intervals():
    for replicates in (1, 2):
        warnings = freeze(load_study("pocket", replicates=replicates), None, "cpu").warnings
        assert any("scores without intervals" in warning for warning in warnings) == (replicates == 1)


def test_an_encoder_and_a_translator_of_one_name_are_different_steps(tmp_path, encoder_folder):
    arms = {"none": {}, "english": {"intermediate": "nli"},
            "mt": {"intermediate": "nli", "languages": "far", "count": 2, "translated": "mine"}}  # fmt: skip
    path = changed(tmp_path, encoders={"mine": {"load": str(encoder_folder("bert"))}}, arms=arms,
                   translators={"mine": {"load": "some/model"}}, contrasts=["mt - none"], controls=[])  # fmt: skip
    planned = build_plan(freeze(load_study(path), None, "cpu"))
    encoder, translator = (planned.plan.steps[found["mine"]] for found in (planned.encoders, planned.translators))
    assert (encoder.function, translator.function) == (
        "xstilts.models.encoders:fetch", "xstilts.translation.models:fetch"
    )  # fmt: skip
    assert encoder.label != translator.label


def test_an_intermediate_task_of_the_targets_family_is_a_warning():
    warnings = freeze(load_study("pocket"), None, "cpu").warnings
    assert any("same-task training" in warning for warning in warnings)


def test_a_mixture_with_the_targets_task_is_a_warning():
    marks = [w for w in freeze(load_study("phang2020"), None, "cpu").warnings if "intermediate 'multi'" in w]
    assert any("(by anli_plus, mnli) and target 'xnli' are both NLI" in mark for mark in marks)
    assert {mark.split("target ")[1].split()[0] for mark in marks} == {"'xnli'", "'pawsx'", "'xquad'", "'mlqa'",
                                                                       "'tydiqa'"}  # fmt: skip


def test_a_control_of_other_data_in_another_language_is_a_warning():
    """`again - english` checks the machine; Chinese OCNLI against English MNLI does not."""
    native = freeze(load_study("distant-sources"), None, "cpu")
    controls = list(native.study.controls)
    assert confounded(native.study) == controls and len(controls) == 3
    for control in controls:
        assert f"control '{control}' is secondary: it confounds language with data set" in native.warnings
    pocket = freeze(load_study("pocket"), None, "cpu")
    assert pocket.study.controls and confounded(pocket.study) == []


def test_arms_that_train_on_the_same_languages_are_a_warning_with_how_often(tmp_path):
    near = {"intermediate": "nli", "languages": "near", "count": 2, "exact": True}
    drawn = freeze(load_study(changed(tmp_path, arms={"near": near}, contrasts=[], controls=[])), None, "cpu")
    taken = drawn.sources["near"].popitem()[1]
    arms = {
        "exact": near,
        "far": {"intermediate": "nli", "languages": "far", "count": 2},
        "given": {"intermediate": "nli", "languages": "given", "given": list(taken)},
        "masked": near | {"mlm": {"corpus": "pocket-text", "share": 0.2}},
        "none": {},
    }
    judged = [f"{name} - none" for name in arms if name != "none"]
    frozen = freeze(load_study(changed(tmp_path, arms=arms, contrasts=judged, controls=[])), None, "cpu")
    warnings = [warning.partition(", ")[0] for warning in frozen.warnings if "same languages" in warning]
    number = len(frozen.sources["exact"])
    assert warnings == [f"arms 'exact' and 'given' train on the same languages in {number} of {number} replicates"]


def test_a_pool_too_small_for_an_arm_is_refused(tmp_path):
    arms = {"none": {}, "far": {"intermediate": "nli", "languages": "far", "count": 20}}
    path = changed(tmp_path, arms=arms, contrasts=["far - none"], controls=[])
    with pytest.raises(XstiltsError) as error:
        freeze(load_study(path), None, "cpu")
    assert error.value.kind == "bad-setting" and "arm 'far'" in error.value.what


def test_too_few_held_out_languages_are_refused_unless_allowed(tmp_path):
    path = changed(tmp_path, languages={"candidates": ["de", "nl", "fr", "tr", "ja", "sw"]})
    study = load_study(path)
    with pytest.raises(XstiltsError) as error:
        freeze(study, None, "cpu")
    assert error.value.kind == "too-few"
    arms = {k: v for k, v in study.model_dump()["arms"].items() if k in ("none", "english")}
    path = changed(tmp_path, languages={"candidates": ["de", "nl", "fr", "tr", "ja", "sw"]}, arms=arms,
                   contrasts=["english - none"], controls=[])  # fmt: skip
    frozen = freeze(load_study(path), None, "cpu", allow_few=True)
    assert any("these languages only" in warning for warning in frozen.warnings)


def test_missing_data_are_an_error_that_names_the_option():
    with pytest.raises(XstiltsError) as error:
        freeze(load_study("laptop", data_source="files"), None, "cpu")
    assert error.value.kind == "missing-data" and "--data" in error.value.hint


def test_a_study_of_an_encoder_from_a_folder_runs_from_its_files(finished_study, encoder_folder):
    planned, store, folder = finished_study
    result = analyse(folder)
    assert [v["contrast"] for v in result["verdicts"]] == ["near - none"]
    assert {row["arm"] for row in result["scores"]} == {"none", "near", "baseline"}
    fetched = planned.plan.steps[planned.encoders["mine"]]
    before = load_file(encoder_folder("xlm-roberta") / "model.safetensors")
    after = load_file(store.path(fetched.fingerprint) / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_results_depend_on_the_threads_of_a_step_and_not_on_how_many_steps_run(finished_study, tmp_path):
    planned, _, _ = finished_study
    wanted = [cell.predictions for cell in planned.cells if cell.target == "pocket-nli" and cell.replicate == 1]
    weights = {}
    for jobs, threads in ((1, 1), (2, 1), (1, 2)):
        store = Store(tmp_path / f"{jobs}-{threads}")
        outcome = execute(planned.plan, store, wanted, lambda event: None, jobs=jobs, threads=threads)
        assert not outcome.failed
        files = [store.path(f) / "model.safetensors" for f, step in planned.plan.steps.items() if step.kind == "train"]
        weights[jobs, threads] = [load_file(file) for file in files if file.is_file()]
    for others, tolerance in ((weights[2, 1], 0.0), (weights[1, 2], 1e-3)):
        for one, other in zip(weights[1, 1], others, strict=True):
            assert max(float((one[name] - other[name]).abs().max()) for name in one) <= tolerance


def test_the_example_in_the_documentation_can_be_planned(tmp_path):
    text = (Path(__file__).parents[2] / "docs/studies.md").read_text()
    file = tmp_path / "mine.yaml"
    file.write_text(re.search(r"```yaml\n(.*?)```", text, re.S).group(1))
    frozen = freeze(load_study(str(file)), None, "cpu")
    assert list(frozen.study.encoders) == ["xlmr"]
    assert {"again", "nearest"} <= set(frozen.study.arms) and "in-language" not in frozen.study.arms
    assert build_plan(frozen).cells


def test_an_encoder_folder_with_other_weights_is_another_step(tmp_path, encoder_folder):
    copy = tmp_path / "copy"
    shutil.copytree(encoder_folder("xlm-roberta"), copy)
    path = changed(tmp_path, encoders={"mine": {"load": str(copy)}})
    before = set(build_plan(freeze(load_study(path), None, "cpu")).plan.steps)
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes() + b" ")
    after = build_plan(freeze(load_study(path), None, "cpu")).plan.steps
    assert not {after[f].kind for f in before & set(after)} & {"fetch", "train"}
