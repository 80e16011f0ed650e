"""Tagging, questions, choices, shots and translations: from a person's files to a model that predicts and is scored."""

import json

import pytest
import yaml

import xstilts
from support import invoke, make_translator
from xstilts.errors import XstiltsError
from xstilts.workflows.predict_file import predict_file

FAST = {"epochs": 2, "learning_rate": 1e-3, "device": "cpu", "jobs": 1}
NAMES = ["king", "house", "wall", "old"]


def conll(path, count, start=0):
    sentences = []
    for i in range(start, start + count):
        name = NAMES[i % 4]
        sentences.append(f"the O\n{name} B-PER\n{i} I-PER\nsees O\n")
    path.write_text("\n".join(sentences))
    return path


def squad(path, count, start=0):
    articles = []
    for i in range(start, start + count):
        name = NAMES[i % 4]
        context = f"The {name} sees number {i} in the cold."
        answer = {"text": name, "answer_start": 4}
        questions = [{"id": f"{i}", "question": "who sees it", "answers": [answer]}]
        articles.append({"title": f"t{i}", "paragraphs": [{"context": context, "qas": questions}]})
    path.write_text(json.dumps({"data": articles}))
    return path


def choices(path, count, start=0):
    lines = []
    for i in range(start, start + count):
        options = [f"the {NAMES[i % 4]} {i}", f"the {NAMES[(i + 1) % 4]} {i}"]
        lines.append(json.dumps({"question": f"who is {i}", "choices": options, "answer": "AB"[i % 2]}))
    path.write_text("\n".join(lines) + "\n")
    return path


def labels(path, count, start=0):
    lines = ["text,labels"]
    for i in range(start, start + count):
        lines.append(f"the {NAMES[i % 4]} sees {i}," + "|".join(["royal"] * (i % 2) + ["cold", "wall"] * (i % 4 > 1)))
    path.write_text("\n".join(lines) + "\n")
    return path


KINDS = {
    "multilabel": (labels, "csv", "micro_f1", "text-classification"),
    "tagging": (conll, "conll", "span_f1", "token-classification"),
    "qa": (squad, "json", "f1", "question-answering"),
    "choice": (choices, "jsonl", "accuracy", "multiple-choice"),
}


@pytest.fixture(scope="module", params=list(KINDS))
def trained(request, tmp_path_factory, encoder_folder):
    """The kind, its model, and the folder of its files."""
    write, ending, *_ = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    write(folder / f"test-sw.{ending}", 12, start=100)
    model = xstilts.train(
        write(folder / f"train.{ending}", 40), ["sw", "th"], folder / "model", encoder=str(encoder_folder("bert")),
        test=str(folder / f"test-{{lang}}.{ending}"), store=folder / "store", **FAST,
    )  # fmt: skip
    return request.param, model, folder


def test_every_kind_is_scored_by_its_metric_with_a_card(trained):
    kind, model, folder = trained
    _, _, metric, tag = KINDS[kind]
    assert model.facts["kind"] == kind and model.facts["metric"] == metric and set(model.scores) == {"sw"}
    row = model.scores["sw"]
    assert row["low"] <= row["score"] <= row["high"] and 0 <= row["baseline"] <= 100 and row["examples"] == 12
    card = (folder / "model" / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == tag and "Never tested: Thai" in card


def test_a_file_of_every_kind_is_predicted_as_values_are(trained, tmp_path):
    kind, model, _ = trained
    write, ending, *_ = KINDS[kind]
    predict_file(model, write(tmp_path / f"new.{ending}", 5, start=200), tmp_path / "out.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    if kind == "tagging":
        assert [line["tags"] for line in lines] == model.predict([line["tokens"] for line in lines])
        assert all(len(line["tags"]) == 4 and set(line["tags"]) <= set(model.labels) for line in lines)
        assert model.predict(["the king, 5"], lang="en")[0] and len(model.predict(["the king, 5"])[0]) == 4
    elif kind == "multilabel":
        texts = [f"the {NAMES[i % 4]} sees {i}" for i in range(200, 205)]
        assert model.predict(texts, scores=True) == [(line["label"], line["score"]) for line in lines]
        assert all(set(line["label"]) <= {"royal", "cold", "wall"} for line in lines)
    elif kind == "qa":
        inputs = [{"context": f"The {NAMES[i % 4]} sees number {i} in the cold.", "question": "who sees it"}
                  for i in range(200, 205)]  # fmt: skip
        assert [line["answer"] for line in lines] == model.predict(inputs)
        assert all(line["answer"] in row["context"] for line, row in zip(lines, inputs, strict=True))
    else:
        inputs = [{"question": "who is 9", "choices": ["the king 9", "the wall 9", "the old 9"]}]
        [(label, share)] = model.predict(inputs, scores=True)
        assert label in ("A", "B", "2") and 0.33 <= share <= 1
        assert {line["label"] for line in lines} <= {"A", "B"} and all("choice" in line for line in lines)


@pytest.mark.parametrize("value", [3, ("a", 1), {"question": "who"}, None, ["a", None]])
def test_inputs_of_another_form_are_refused(trained, value):
    _, model, _ = trained
    with pytest.raises(XstiltsError) as caught:
        model.predict([value])
    assert caught.value.kind == "bad-argument"


def test_evaluation_gives_the_scores_of_the_training(trained):
    kind, model, folder = trained
    pattern = str(folder / f"test-{{lang}}.{KINDS[kind][1]}")
    result = xstilts.evaluate(model, pattern)
    assert {name: result["sw"][name] for name in ("score", "low", "high", "baseline", "examples")} == {
        name: model.scores["sw"][name] for name in ("score", "low", "high", "baseline", "examples")
    }


def reviews(count, start=0, code=""):
    words = {"good": "the king sees a house", "bad": "the wall was old and cold"}
    extra = {"language": code} if code else {}
    return [
        {"text": f"{words[label]} {i}", "label": label, **extra} for i in range(start, start + count) for label in words
    ]


def test_shots_are_trained_on_listed_and_never_scored(tmp_path, encoder_folder):
    said = []
    shots, test = reviews(3, 500), reviews(3, 500)[:2] + reviews(6, 600)
    model = xstilts.train(
        reviews(30), ["sw"], tmp_path / "model", encoder=str(encoder_folder("bert")), shots=shots, test={"sw": test},
        store=tmp_path / "store", note=said.append, **FAST,
    )  # fmt: skip
    assert model.scores["sw"]["examples"] == 12 and any("2 test rows of sw not scored" in line for line in said)
    assert model.facts["training"]["examples"] == 54 + 6 and model.facts["arm"] == "shots"
    assert model.facts["shots"] == {"sw": [str(i) for i in range(1, 7)]}
    assert "6 are labelled rows in Swahili" in (tmp_path / "model" / "README.md").read_text()
    report = (tmp_path / "model" / "run" / "report.html").read_text()
    assert "not zero-shot" in report
    with pytest.raises(XstiltsError) as caught:
        xstilts.train(
            reviews(30), ["sw"], tmp_path / "other", encoder=str(encoder_folder("bert")), shots=shots,
            test={"sw": reviews(3, 500)}, store=tmp_path / "store", **FAST,
        )  # fmt: skip
    assert caught.value.kind == "leak"


def test_translated_training_data_are_an_arm(tmp_path, encoder_folder):
    model = xstilts.train(
        reviews(30), ["de", "fr"], tmp_path / "own", encoder=str(encoder_folder("bert")),
        translator=str(make_translator(tmp_path)), compare=["none", "translate"], seeds=2,
        test=reviews(6, 600, "de") + reviews(6, 700, "fr"), store=tmp_path / "store", **FAST,
    )  # fmt: skip
    study = json.loads((tmp_path / "own" / "xstilts.json").read_text())
    assert study["contrasts"] == ["translate - none"] and set(model.scores) == {"de", "fr"}
    steps = [json.loads(line) for line in (tmp_path / "own" / "run" / "steps.jsonl").read_text().splitlines()]
    assert {"translate user-task train into de", "translate user-task train into fr"} <= {
        step["label"] for step in steps
    }
    assert "machine translations" in (tmp_path / "own" / "run" / "report.html").read_text()


def test_an_arm_that_fails_leaves_the_model_of_the_first(tmp_path, encoder_folder):
    (tmp_path / "translator").mkdir()
    (tmp_path / "translator" / "config.json").write_text('{"model_type": "m2m_100"}')
    with pytest.raises(XstiltsError) as caught:
        xstilts.train(
            reviews(30), ["de", "fr"], tmp_path / "own", encoder=str(encoder_folder("bert")), store=tmp_path / "store",
            translator=str(tmp_path / "translator"), compare=["none", "translate"],
            test={"de": reviews(6, 600), "fr": reviews(6, 700)}, **FAST,
        )  # fmt: skip
    assert caught.value.kind == "step-failed"
    model = xstilts.load(tmp_path / "own")
    assert model.facts["arm"] == "none" and set(model.scores) == {"de", "fr"}


@pytest.mark.parametrize("rows", [reviews(6, 600), reviews(6, 600, "ja")])
def test_rows_of_no_known_language_are_refused(tmp_path, encoder_folder, rows):
    with pytest.raises(XstiltsError) as caught:
        xstilts.train(
            reviews(30), ["sw", "de"], tmp_path / "model", encoder=str(encoder_folder("bert")), test=rows,
            store=tmp_path / "store", **FAST,
        )  # fmt: skip
    assert caught.value.kind in ("missing-file", "bad-argument")


@pytest.mark.parametrize("trained", ["tagging"], indirect=True)
def test_the_words_of_a_line_of_text_are_tagged(trained, tmp_path):
    _, _, folder = trained
    (tmp_path / "x.txt").write_text("the king sees, 5\n\n")
    lines = [
        json.loads(line)
        for line in invoke("predict", folder / "model", tmp_path / "x.txt", "--lang", "sw").splitlines()
    ]
    assert lines[0]["tokens"] == ["the", "king", "sees", ",", "5"] and lines[1] == {"row": 1, "tokens": [], "tags": []}
