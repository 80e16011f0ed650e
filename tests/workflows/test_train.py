"""From a table to a model and back: what a person with labels in one language does."""

import fcntl
import json
import shutil
import subprocess
import sys

import pytest
import yaml

import xstilts
from support import invoke
from xstilts.config.load import load_study
from xstilts.errors import XstiltsError
from xstilts.models.hardware import cores
from xstilts.runs.events import event_log
from xstilts.workflows import predict_file as module
from xstilts.workflows.predict_file import predict_file
from xstilts.workflows.prepare_training import executor, prepare
from xstilts.workflows.push import push
from xstilts.workflows.user_study import DEFAULT_ENCODER, TrainingOptions, parse_arm, user_study, user_task

WORDS = {"good": "the king sees a house", "bad": "the wall was old and cold"}
FAST = {"epochs": 2, "learning_rate": 1e-3, "device": "cpu", "jobs": 1}


def rows(count, start=0):
    return [{"review": f"{WORDS[label]} {i}", "stars": label} for i in range(start, start + count) for label in WORDS]


def write(path, records):
    names = list(records[0])
    lines = [",".join(names), *(",".join(f'"{row[name]}"' for name in names) for row in records)]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, encoder_folder):
    """A model, the folder that it was trained in, and what `train` said."""
    folder, said = tmp_path_factory.mktemp("user-task"), []
    for code in ("sw", "tr"):
        write(folder / f"test-{code}.csv", rows(12, start=100))
    model = xstilts.train(
        write(folder / "reviews.csv", rows(40)), ["sw", "Turkish", "th"], folder / "model",
        encoder=str(encoder_folder("bert")), test=str(folder / "test-{lang}.csv"), store=folder / "store", seeds=2,
        note=said.append, **FAST,
    )  # fmt: skip
    return model, folder, said


def test_what_was_inferred_is_said_and_so_is_what_cannot_be_measured(trained):
    _, _, said = trained
    text = "\n".join(said)
    assert "review" in text and "stars" in text and "warning: 'th' has no labelled rows" in text


def test_scores_have_intervals_and_baselines_where_there_are_rows(trained):
    model, folder, _ = trained
    assert set(model.scores) == {"sw", "tr"}
    for row in model.scores.values():
        assert row["low"] <= row["score"] <= row["high"] and row["baseline"] == 50.0 and row["examples"] == 24
    card = (folder / "model" / "README.md").read_text()
    front = yaml.safe_load(card.split("---")[1])
    assert front["language"] == ["en", "sw", "tr", "th"] and front["pipeline_tag"] == "text-classification"
    assert [r["dataset"]["config"] for r in front["model-index"][0]["results"]] == ["tr", "sw"]
    assert "Never tested: Thai" in card


def test_the_run_has_its_report(trained):
    _, folder, _ = trained
    assert (folder / "model" / "run" / "report.html").is_file()


def test_a_model_predicts_label_words_and_is_read_back(trained):
    model, folder, _ = trained
    texts = [row["review"] for row in rows(5, start=200)]
    words = model.predict(texts)
    assert set(words) <= set(WORDS) and model.predict([]) == []
    again = xstilts.load(folder / "model").predict(texts, scores=True)
    assert [word for word, _ in again] == words and all(0.5 <= share <= 1 for _, share in again)
    for inputs, device in (([None], "cpu"), (["text"], "gpu")):
        with pytest.raises(XstiltsError) as caught:
            model.predict(inputs, device=device)
        assert caught.value.kind == "bad-argument"


def test_transformers_alone_predicts_the_same(trained):
    model, folder, _ = trained
    texts = [row["review"] for row in rows(4, start=300)]
    code = (
        "import json, sys; from transformers import pipeline; texts = json.loads(sys.argv[2]);"
        "p = pipeline('text-classification', model=sys.argv[1]); print(json.dumps([r['label'] for r in p(texts)]));"
        "assert 'xstilts' not in sys.modules"
    )
    command = [sys.executable, "-c", code, str(folder / "model"), json.dumps(texts)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert json.loads(printed.strip().splitlines()[-1]) == model.predict(texts)


def test_the_study_in_the_folder_repeats_the_training(trained, tmp_path):
    _, folder, _ = trained
    model = folder / "model"
    arguments = ["--data", model / "run" / "data", "--store", folder / "store", "--out", tmp_path / "run"]
    printed = invoke("study", model / "xstilts.json", "--allow-few", *arguments)
    assert "were in the store" in printed


def test_a_file_is_predicted_row_by_row_and_goes_on_where_it_was_killed(trained, tmp_path):
    model, _, _ = trained
    source, out = write(tmp_path / "new.csv", rows(10, start=400)), tmp_path / "out.jsonl"
    assert predict_file(model, source, out) == 20
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["row"] for line in lines] == list(range(20))
    assert [line["label"] for line in lines] == model.predict([row["review"] for row in rows(10, start=400)])
    with pytest.raises(XstiltsError):
        predict_file(model, source, out)

    half, partial = tmp_path / "half.jsonl", tmp_path / "half.jsonl.partial"

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_file(model, source, half, progress=stop)
    partial.write_text("".join(f"{json.dumps(line)}\n" for line in lines[:7]) + '{"row": 7, "la')
    assert predict_file(model, source, half) == 20 and half.read_text() == out.read_text()
    assert not partial.exists()


def test_a_batch_that_was_interrupted_is_predicted_as_a_whole(trained, tmp_path, monkeypatch):
    model, _, _ = trained
    source, out, sizes = write(tmp_path / "new.csv", rows(10, start=400)), tmp_path / "out.jsonl", []
    monkeypatch.setattr(module, "BATCH", 8)
    with pytest.raises(KeyboardInterrupt):
        predict_file(model, source, out, progress=lambda count: (_ for _ in ()).throw(KeyboardInterrupt))
    (lines := (tmp_path / "out.jsonl.partial")).write_text("".join(lines.read_text().splitlines(True)[:3]))
    usual = model.predict_table
    monkeypatch.setattr(model, "predict_table", lambda table, device: sizes.append(len(table)) or usual(table, device))
    assert predict_file(model, source, out) == 20 and sizes == [8, 8, 4]
    assert [json.loads(line)["row"] for line in out.read_text().splitlines()] == list(range(20))


def test_two_processes_do_not_predict_into_one_file(trained, tmp_path):
    source, out = write(tmp_path / "new.csv", rows(3)), tmp_path / "out.jsonl"
    with (tmp_path / "out.jsonl.state").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(XstiltsError) as caught:
            predict_file(trained[0], source, out)
    assert caught.value.kind == "bad-argument" and not out.exists()
    assert predict_file(trained[0], source, out) == 6


def test_two_processes_do_not_train_into_one_folder(encoder_folder, tmp_path):
    options = TrainingOptions(["sw"], ("none",), str(encoder_folder("bert")))
    prepare(rows(10), options, tmp_path / "model", {}, device="cpu")
    with event_log(tmp_path / "model/run", lambda event: None), pytest.raises(XstiltsError) as caught:
        prepare(rows(10), options, tmp_path / "model", {}, device="cpu")
    assert caught.value.kind == "bad-argument"


def test_another_file_is_not_continued(trained, tmp_path):
    model, _, _ = trained
    source, out = write(tmp_path / "new.csv", rows(3)), tmp_path / "out.jsonl"
    (tmp_path / "out.jsonl.partial").write_text('{"row": 0, "label": "wrong", "score": 1}\n')
    (tmp_path / "out.jsonl.state").write_text("of another file")
    predict_file(model, source, out)
    assert "wrong" not in out.read_text()


def test_evaluation_of_other_rows(trained, tmp_path):
    model, folder, _ = trained
    write(tmp_path / "new-sw.csv", rows(12, start=100))
    result = json.loads(invoke("evaluate", folder / "model", tmp_path / "new-{lang}.csv", "--json"))
    assert result["sw"]["score"] == model.scores["sw"]["score"] and set(result) == {"sw"}
    write(tmp_path / "bad-sw.csv", [{**row, "stars": "awful"} for row in rows(3)])
    with pytest.raises(XstiltsError) as caught:
        xstilts.evaluate(model, str(tmp_path / "bad-{lang}.csv"))
    assert caught.value.kind == "bad-row"


def test_compared_arms_become_contrasts(trained, tmp_path, encoder_folder):
    _, folder, _ = trained
    command = ["train", folder / "reviews.csv", "--for", "sw,tr", "--test", folder / "test-{lang}.csv", "--epochs", 1,
               "--compare", "none,pocket-nli", "--seeds", 2, "--encoder", encoder_folder("bert"), "--device", "cpu",
               "--store", folder / "store", "-o", tmp_path / "model"]  # fmt: skip
    dry, _ = json.JSONDecoder().raw_decode(invoke(*command, "--dry-run", "--json"))  # what is said comes after it
    assert dry["runs"] == 6 and not (tmp_path / "model").exists()
    assert dry["study"]["contrasts"] == ["pocket-nli - none"] and dry["study"]["replicates"] == 2


@pytest.mark.parametrize(
    ("arm", "kind"),
    [
        ("mnli@farthest", "bad-argument"), ("mnli@far:0", "bad-argument"), ("nmli", "unknown-name"),
        ("mnli+anli", "bad-argument"),
    ],
)  # fmt: skip
def test_arms_that_cannot_be_read(arm, kind):
    with pytest.raises(XstiltsError) as caught:
        parse_arm(arm)
    assert caught.value.kind == kind


def test_a_study_of_own_data_loads_with_every_form_of_arm(tmp_path):
    options = TrainingOptions(("sw", "th"), ("none", "mnli", "mnli_translated@far:2"), DEFAULT_ENCODER, seeds=3)
    task = user_task("pair", ("no", "yes"), ("text_a", "text_b", "label"), ("en", "sw", "th"))
    study = user_study("My reviews!", task, "en", 500, options)
    (tmp_path / "xstilts.json").write_text(json.dumps(study))
    loaded = load_study(str(tmp_path / "xstilts.json"))
    assert loaded.name == "my-reviews" and loaded.arms["mnli_translated@far:2"].count == 2
    assert set(loaded.languages.always_held_out) == {"sw", "th"} and "en" not in loaded.languages.candidates
    with pytest.raises(XstiltsError) as caught:
        user_task("classification", ("-1", "1"), ("text_a", "label"), ("en",))
    assert caught.value.kind == "bad-row"


def test_adapters_class_weights_and_checkpoints_are_settings_of_the_study(tmp_path, encoder_folder):
    pytest.importorskip("peft")
    model = xstilts.train(
        rows(30), ["sw"], tmp_path / "model", encoder=str(encoder_folder("bert")), store=tmp_path / "store", lora=True,
        class_weights="balanced", checkpoint="best", **FAST,
    )  # fmt: skip
    training = load_study(str(tmp_path / "model" / "xstilts.json")).targets["user-task"].training
    assert training.lora and training.class_weights == "balanced" and training.recipe.learning_rate == 1e-3
    assert xstilts.load(tmp_path / "model").predict(["the king"]) == model.predict(["the king"])
    with pytest.raises(XstiltsError) as caught:
        xstilts.train(rows(30), ["sw"], tmp_path / "other", encoder=str(encoder_folder("bert")), checkpoint="first")
    assert caught.value.kind == "bad-setting"


def test_a_data_frame_and_no_labelled_rows(tmp_path, encoder_folder):
    pandas = pytest.importorskip("pandas")
    model = xstilts.train(
        pandas.DataFrame(rows(30)), ["sw"], tmp_path / "model", encoder=str(encoder_folder("bert")),
        store=tmp_path / "store", **FAST,
    )  # fmt: skip
    assert model.scores == {} and model.facts["dev_score"] is not None
    assert "Never tested: Swahili" in (tmp_path / "model" / "README.md").read_text()
    compared = xstilts.train(
        rows(30), ["sw"], tmp_path / "compared", encoder=str(encoder_folder("bert")), store=tmp_path / "store",
        compare=["none", "balanced"], **FAST,
    )  # fmt: skip
    assert "nothing was measured" in compared.recommendation and "for sw en, tl" in compared.recommendation


def test_a_folder_with_another_model_or_other_files_is_not_touched(trained, tmp_path, encoder_folder):
    model, _, _ = trained
    before = {path.name: path.read_bytes() for path in model.folder.iterdir() if path.is_file()}
    encoder = str(encoder_folder("bert"))
    for out in (model.folder, encoder):
        with pytest.raises(XstiltsError) as caught:
            xstilts.train(rows(30), ["sw"], out, encoder=encoder, store=tmp_path / "store", **FAST)
        assert caught.value.kind == "bad-argument"
    assert before == {path.name: path.read_bytes() for path in model.folder.iterdir() if path.is_file()}


def test_training_rows_are_never_test_rows_of_their_language(tmp_path, encoder_folder):
    said = []
    data, new = rows(20), rows(4, start=50)
    model = xstilts.train(
        data, ["sw"], tmp_path / "model", encoder=str(encoder_folder("bert")), test={"en": data[:6] + new, "sw": new},
        store=tmp_path / "store", note=said.append, **FAST,
    )  # fmt: skip
    assert model.scores["en"]["examples"] == 8 and any("6 test rows of en not scored" in line for line in said)


def test_rows_that_all_lack_a_text_are_said_to(tmp_path, encoder_folder):
    data = [{"review": "", "stars": label} for label in WORDS for _ in range(9)]
    with pytest.raises(XstiltsError) as caught:
        xstilts.train(data, "sw", tmp_path / "model", encoder=str(encoder_folder("bert")), store=tmp_path / "store")
    assert caught.value.kind == "too-few" and "18 rows without a text" in caught.value.why


def test_a_language_with_one_test_row_has_a_score_without_an_interval(tmp_path, encoder_folder):
    model = xstilts.train(
        rows(20), ["sw"], tmp_path / "model", encoder=str(encoder_folder("bert")), test={"sw": rows(1, start=50)[:1]},
        store=tmp_path / "store", compare="none,balanced", seeds=2, **FAST,
    )  # fmt: skip
    assert model.scores["sw"]["examples"] == 1 and model.scores["sw"]["low"] is None
    assert "did not learn" not in model.recommendation and (tmp_path / "model/README.md").is_file()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"learning_rate": 0.0}, "bad-argument"), ({"class_weights": "balanced", "label": "reviews"}, "unknown-name"),
        ({"lora": True, "checkpoint": "average"}, "bad-argument"), ({"compare": "none,none"}, "bad-argument"),
        ({"compare": "none,shots"}, "bad-argument"), ({"compare": "best+average"}, "bad-argument"),
        ({"shots": rows(2), "compare": "none,lora"}, "bad-argument"), ({"encoder": "."}, "missing-model"),
        ({"max_length": 1000}, "bad-argument"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_are_refused_before_anything_is_written(tmp_path, encoder_folder, options, kind):
    given = {"encoder": str(encoder_folder("bert"))} | options
    with pytest.raises(XstiltsError) as caught:
        xstilts.train(rows(10), "sw", tmp_path / "model", store=tmp_path / "store", **given)
    assert caught.value.kind == kind and not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("seeds", "jobs", "expected"), [(1, None, (1, cores())), (1, 1, (1, 1)), (2, None, (cores(), 1))]
)
def test_one_training_alone_gets_every_core_and_several_get_one_each(tmp_path, encoder_folder, seeds, jobs, expected):
    options = TrainingOptions(["sw"], ("none",), str(encoder_folder("bert")), seeds=seeds)
    prepared = prepare(rows(10), options, tmp_path / "model", {}, device="cpu")
    chosen = executor(prepared, jobs).keywords
    assert (chosen["jobs"], chosen["threads"]) == expected


@pytest.mark.parametrize(("name", "kind"), [
    ("model.safetensors", "damaged"), ("config.json", "damaged"), ("tokenizer.json", "damaged"),
    ("metrics.json", "bad-file"),
])  # fmt: skip
def test_a_model_with_a_changed_file_neither_predicts_nor_is_pushed(trained, tmp_path, name, kind):
    copy = shutil.copytree(trained[0].folder, tmp_path / "model")
    content = bytearray((copy / name).read_bytes())
    place = content.rindex(b"0") if name.endswith("json") else -1
    content[place] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(XstiltsError) as caught:
        xstilts.load(copy).predict(["the king"])
    assert caught.value.kind == kind
    with pytest.raises(XstiltsError) as caught:
        push(copy, "me/reviews", dry_run=True)
    assert caught.value.kind == kind


def test_predictions_go_on_where_a_full_disk_stopped_them(trained, tmp_path, small_disk):
    folder = trained[1] / "model"
    texts = tmp_path / "texts.csv"
    texts.write_text("review\n" + "the king is here\nthe sun is near\n" * 2000)
    invoke("predict", folder, texts, "-o", tmp_path / "whole.jsonl")
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(100_000))
    printed = invoke("predict", folder, texts, "-o", small_disk / "stopped.jsonl", code=4)
    assert "No space left" in printed and "Traceback" not in printed
    assert not (small_disk / "stopped.jsonl").exists() and (small_disk / "stopped.jsonl.partial").stat().st_size
    ballast.unlink()
    subprocess.run(["mount", "-o", "remount,size=4m", small_disk], check=True)
    invoke("predict", folder, texts, "-o", small_disk / "stopped.jsonl")
    assert (small_disk / "stopped.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert list(small_disk.iterdir()) == [small_disk / "stopped.jsonl"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"task": {"name": "x"}, "kind": "nope"}'])
def test_a_model_with_damaged_facts_is_refused(trained, tmp_path, content):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(XstiltsError) as caught:
        xstilts.load(tmp_path)
    assert caught.value.kind == "bad-file"
    with pytest.raises(XstiltsError) as caught:
        trained[0].predict("one text")
    assert caught.value.kind == "bad-argument"
    with pytest.raises(XstiltsError) as caught:
        xstilts.evaluate(trained[0], {"sw": rows(2)}, metric="nope")
    assert caught.value.kind == "unknown-name"
