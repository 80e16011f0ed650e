"""Arms in the plan: translations, held-out languages, predicted source languages."""

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from xstilts.config.load import load_study
from xstilts.errors import XstiltsError
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan

BUILT_IN = sorted(Path(str(resources.files("xstilts.config") / "builtin")).glob("*.yaml"))


def planned(name, device="cpu", **changes):
    study = load_study(name)
    return build_plan(freeze(study.model_copy(update=changes), None, device))


@pytest.mark.parametrize("file", [f for f in BUILT_IN if not f.stem.startswith("real")], ids=lambda file: file.stem)
def test_every_built_in_study_is_planned_without_network_or_data(file):
    plan = planned(file.stem, "cuda")
    arms = {cell.arm for cell in plan.cells}
    assert arms >= set(plan.frozen.study.arms)
    assert all(plan.estimates[f].seconds > 0 for f in plan.plan.steps)


def own_study(tmp_path, arms, **more):
    lines = {"extends": "pocket", "name": "own", "arms": arms, **more}
    file = tmp_path / "own.yaml"
    file.write_text(json.dumps(lines))
    return str(file)


def trainings(plan, arm):
    return [plan.plan.steps[cell.intermediate] for cell in plan.cells if cell.arm == arm and cell.intermediate]


def test_arms_change_only_what_they_say_in_the_trainings_of_their_targets(tmp_path):
    lora = {"lora": {"rank": 4}, "learning_rate": 0.01, "checkpoint": "last"}
    settings = {"adapters": lora, "averaged": {"checkpoint": "average"}, "translated": {"translated": "toy"}}
    arms = {"none": {}, **{name: {"target_training": changes} for name, changes in settings.items()}}
    translators = {"toy": {"load": "some/model", "revision": "abc"}}
    changes = {"contrasts": ["adapters - none"], "controls": [], "translators": translators}
    plan = planned(own_study(tmp_path, arms, **changes))
    by_arm = {cell.arm: plan.plan.steps[cell.training] for cell in plan.cells
              if (cell.target, cell.replicate) == ("pocket-nli", 1)}  # fmt: skip
    assert by_arm.keys() >= arms.keys()
    usual = by_arm["none"].arguments
    for arm in ("adapters", "averaged"):
        changed = {name for name, value in by_arm[arm].arguments.items() if usual.get(name) != value}
        assert changed <= {"lora", "recipe", "checkpoint"} and by_arm[arm].inputs == by_arm["none"].inputs
    assert by_arm["adapters"].arguments["lora"]["rank"] == 4
    assert by_arm["adapters"].arguments["recipe"] == usual["recipe"] | {"learning_rate": 0.01}
    assert by_arm["averaged"].arguments["checkpoint"] == "average"
    into = by_arm["translated"].arguments["tasks"]["pocket-nli"]["languages"]
    assert into == ["en", *plan.frozen.held_out] and by_arm["translated"].arguments["seed"] == usual["seed"]
    assert any("not zero-shot" in warning for warning in plan.frozen.warnings)


def test_a_translated_arm_trains_on_translations_of_the_anchor_rows(tmp_path):
    arms = {"mt": {"intermediate": "nli", "languages": "far", "count": 2, "translated": "toy"},
            "round": {"intermediate": "nli", "translated": "toy", "pivot": "fr"}}  # fmt: skip
    plan = planned(own_study(tmp_path, arms, translators={"toy": {"load": "some/model", "revision": "abc"}}))
    for arm, count in (("mt", 2), ("round", 1)):
        step = trainings(plan, arm)[0]
        arguments = step.arguments["tasks"]["nli"]
        rows = [plan.plan.steps[step.inputs[f"train.nli.{code}"]] for code in arguments["languages"]]
        assert len(rows) == count and arguments["task"]["parallel"]
        for row, code in zip(rows, arguments["languages"], strict=True):
            assert row.function.endswith("translate:translate")
            assert (row.arguments["from"], row.arguments["roundtrip"]) == ("en", arm == "round")
            assert row.arguments["to"] == ("fr" if arm == "round" else code)
            assert plan.plan.steps[row.inputs["rows"]].arguments["language"] == "en"
            assert plan.plan.steps[row.inputs["model"]].arguments["revision"] == "abc"
        dev = plan.plan.steps[step.inputs["dev.nli"]]
        assert dev.function.endswith("prepare") and dev.arguments["language"] == "en"


@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5])
def test_a_translated_arm_draws_no_language_that_its_translator_lacks(seed):
    """M2M-100 has no Basque, which is in the pool that the diverse arms draw from."""
    frozen = freeze(load_study("phang2020", seed=seed), None, "cuda")
    arms = [name for name, arm in frozen.study.arms.items() if arm.translated]
    assert "eu" in frozen.pool and len(arms) == 3
    for arm in arms:
        assert len(frozen.sources[arm]) == 3
        assert all("eu" not in languages and len(languages) == 4 for languages in frozen.sources[arm].values())
        assert any(f"'{arm}' leaves out eu" in warning for warning in frozen.warnings)


@pytest.mark.parametrize(
    ("arm", "named"),
    [
        ({"languages": "given", "given": ["de", "eu"]}, "'mt': translator 'm' does not translate into Basque (eu)"),
        ({"pivot": "eu"}, "'mt': translator 'm' does not translate into Basque (eu)"),
        (
            {"pivot": "de", "translated": "to-german"},
            "translator 'to-german' does not translate into English (en)",
        ),
    ],
)
def test_a_language_that_a_translator_lacks_is_an_error_before_anything_runs(tmp_path, arm, named):
    translators = {"m": {"load": "facebook/m2m100_418M"}, "to-german": {"load": "Helsinki-NLP/opus-mt-en-de"}}
    arms = {"mt": {"intermediate": "nli", "translated": "m", "role": "control"} | arm, "none": {}}
    path = own_study(tmp_path, arms, translators=translators, contrasts=["mt - none"], controls=[])
    with pytest.raises(XstiltsError) as error:
        freeze(load_study(path), None, "cpu")
    assert error.value.kind == "bad-setting" and named in error.value.what


def test_a_translator_of_unknown_languages_is_a_warning(tmp_path):
    arms = {"mt": {"intermediate": "nli", "languages": "all", "translated": "toy"}}
    frozen = freeze(load_study(own_study(tmp_path, arms, translators={"toy": {"load": "some/model"}})), None, "cpu")
    assert set(frozen.sources["mt"].popitem()[1]) == set(frozen.pool)
    assert any("'toy': its languages are not known" in warning for warning in frozen.warnings)


def test_an_arm_may_not_train_on_what_it_is_judged_by(tmp_path):
    frozen = freeze(load_study("pocket"), None, "cpu")
    code = frozen.held_out[0]
    arms = {"leak": {"intermediate": "nli", "languages": "given", "given": [code]}}
    with pytest.raises(XstiltsError) as error:
        planned(own_study(tmp_path, arms))
    assert error.value.kind == "leak" and error.value.what.endswith(code)
    drawn = {"leak": {"intermediate": "nli", "languages": "held-out", "count": 2}}
    with pytest.raises(XstiltsError) as error:
        planned(own_study(tmp_path, drawn))
    assert error.value.kind == "leak"
    arms["leak"]["role"] = "control"
    assert trainings(planned(own_study(tmp_path, arms)), "leak")


def test_a_missing_model_folder_is_an_error_before_anything_runs(tmp_path):
    encoders = {"pocket": None, "own": {"load": str(tmp_path / "absent")}}
    with pytest.raises(XstiltsError) as error:
        planned(own_study(tmp_path, {}, encoders=encoders))
    assert error.value.kind == "missing-model"


def test_predicted_languages_follow_the_scores(tmp_path):
    plan = planned("pocket")
    table = tmp_path / "scores.csv"
    ranked = plan.frozen.pool
    lines = [f"{code},{target},{i}" for i, code in enumerate(ranked) for target in ranked if target != code]
    table.write_text("\n".join(["source,target,score", *lines]))
    arms = {
        "predicted": {"intermediate": "nli", "languages": "predicted", "scores": str(table), "count": 2, "exact": True}
    }
    found = planned(own_study(tmp_path, arms)).frozen.sources["predicted"]
    assert {frozenset(codes) for codes in found.values()} == {frozenset(ranked[-2:])}


def test_the_hash_of_a_plan_depends_on_what_was_decided():
    one, other = freeze(load_study("pocket"), None, "cpu"), freeze(load_study("pocket"), None, "cpu")
    assert one.describe()["hash"] == other.describe()["hash"]
    moved = replace(one, sources={**one.sources, "far": dict.fromkeys(one.sources["far"], ("de",))})
    assert moved.describe()["hash"] != one.describe()["hash"]
