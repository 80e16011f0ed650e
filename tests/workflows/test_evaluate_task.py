"""Models of whatever origin are scored on tasks by the labels that their outputs stand for."""

import json

import pyarrow as pa
import pytest
import torch
import transformers
import yaml

import xstilts
from support import invoke
from xstilts.data.world.tables import world_table
from xstilts.errors import XstiltsError
from xstilts.models.encoders import save, with_head
from xstilts.tasks import classification, multiple_choice, qa, tagging
from xstilts.tasks.task import Task
from xstilts.workflows.evaluate_task import baseline_of_halves, match_labels

TEST = 300
MINE = {
    "tags": {"type": "tagging", "labels": ["O", "B-PER"], "metrics": ["token_accuracy"],
             "source": {"format": "tagged", "files": {"test": "tags-{lang}.txt"}}},
    "choices": {"type": "multiple_choice",
                "source": {"format": "jsonl", "files": {"test": "choices-{lang}.jsonl"}}},
    "yes-or-no": {"type": "classification", "labels": ["yes", "no"],
                "source": {"format": "table", "files": {"test": "yes-{lang}.tsv"},
                           "columns": {"text_a": 0, "label": 1}}},
}  # fmt: skip


@pytest.fixture(scope="module")
def nli(tmp_path_factory, encoder_folder, tokenizer):
    """A model whose labels stand in another order and spelling than those of the task, and which predicts all three."""
    folder = tmp_path_factory.mktemp("nli")
    model = with_head(
        encoder_folder("xlm-roberta"), classification.AUTO_CLASS, ("NEUTRAL", "Contradiction", "entailment"), 1
    )
    table = world_table(1, "nli", "test", "sw", TEST)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(5)
        model.eval()
        logits = direct(model, tokenizer, table)
        model.classifier.out_proj.bias -= logits.mean(0)
    save(model, tokenizer, folder)
    return folder


def direct(model, tokenizer, table):
    """The logits of a table of pairs, each by itself, without anything of the package."""
    pairs = zip(table["text_a"].to_pylist(), table["text_b"].to_pylist(), strict=True)
    with torch.inference_mode():
        return torch.cat(
            [model(**tokenizer(*pair, truncation=True, max_length=64, return_tensors="pt")).logits for pair in pairs]
        )


def test_the_score_is_that_of_the_matched_labels(nli):
    model = transformers.AutoModelForSequenceClassification.from_pretrained(nli)
    table = world_table(1, "nli", "test", "sw", TEST)
    logits = direct(model, transformers.AutoTokenizer.from_pretrained(nli), table)
    words = [("neutral", "contradiction", "entailment")[number] for number in logits.argmax(-1).tolist()]
    assert min(words.count(word) for word in set(words)) > TEST / 20 and len(set(words)) == 3
    right = sum(word == gold for word, gold in zip(words, table["label"].to_pylist(), strict=True))
    result = json.loads(invoke("evaluate", nli, "--task", "pocket-nli", "--for", "sw,Turkish", "--json"))
    assert list(result) == ["sw", "tr"]
    row = result["sw"]
    assert row["score"] == pytest.approx(100 * right / TEST, abs=0.7) and row["examples"] == TEST
    assert row["low"] <= row["score"] <= row["high"] and 25 < row["baseline"] < 45
    alone = xstilts.evaluate(nli, task="pocket-nli", for_=["tr"])
    assert alone["tr"] == result["tr"]


def test_labels_in_another_order_give_another_score(nli):
    default = xstilts.evaluate(nli, task="pocket-nli", for_=["sw"])
    same, other = (
        xstilts.evaluate(nli, task="pocket-nli", for_=["sw"], labels=labels.split())
        for labels in ("neutral contradiction entailment", "entailment contradiction neutral")
    )
    assert same == default != other


@pytest.mark.parametrize(("outputs", "given"), [
    (["LABEL_0", "LABEL_1", "LABEL_2"], []),
    (["entailment", "not_entailment"], []),
    (["entailment", "neutral", "contradiction", "other"], []),
    (["entailment", "Entailment!", "neutral"], []),
    (["LABEL_0", "LABEL_1", "LABEL_2"], ["entailment", "neutral"]),
    (["LABEL_0", "LABEL_1", "LABEL_2"], ["entailment", "neutral", "neutral"]),
    (["LABEL_0", "LABEL_1"], ["entailment", "neutral", "contradiction"]),
])  # fmt: skip
def test_labels_that_do_not_match_are_refused(outputs, given):
    task = Task(
        name="nli", type="classification", labels=("entailment", "neutral", "contradiction"), source={"own": "x"}
    )
    with pytest.raises(XstiltsError) as caught:
        match_labels(outputs, task, given)
    assert caught.value.kind == "inconsistent"


@pytest.fixture
def mine(tmp_path):
    """Options for tasks of files in Swahili and Turkish."""
    for code in ("sw", "tr"):
        (tmp_path / f"tags-{code}.txt").write_text("Thebes\tB-PER\nold\tO\n\nking\tO\n\nwall\tO\n")
        rows = [
            {"context": "The old river", "question": "who?", "choices": ["a king", "a wall"], "label": i}
            for i in (0, 1)
        ]
        (tmp_path / f"choices-{code}.jsonl").write_text("\n".join(map(json.dumps, rows)))
        (tmp_path / f"yes-{code}.tsv").write_text("the king\tyes\nthe wall\tno\n")
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(MINE))
    return {"tasks": tmp_path / "mine.yaml", "data": tmp_path}


@pytest.mark.parametrize(
    ("task", "head", "labels", "options"),
    [
        ("tags", tagging.AUTO_CLASS, ("B-PER", "O"), {}),
        ("choices", multiple_choice.AUTO_CLASS, (), {}),
        ("pocket-qa", qa.AUTO_CLASS, (), {"split": "validation", "metric": "exact_match"}),
    ],
)
def test_every_head_is_scored(task, head, labels, options, mine, tmp_path, encoder_folder, tokenizer):
    save(with_head(encoder_folder("bert"), head, labels, 1), tokenizer, tmp_path / "model")
    result = xstilts.evaluate(tmp_path / "model", task=task, for_=["sw", "tr"], **mine, **options)
    assert set(result) == {"sw", "tr"} and all(0 <= row["score"] <= 100 for row in result.values())
    with pytest.raises(XstiltsError) as caught:
        xstilts.evaluate(tmp_path / "model", task="pocket-nli", for_=["sw"])
    assert caught.value.kind == "unsupported"


def test_labels_are_given_for_a_model_that_does_not_name_its_own(mine, tmp_path, encoder_folder, tokenizer):
    folder = tmp_path / "model"
    save(with_head(encoder_folder("bert"), classification.AUTO_CLASS, ("LABEL_0", "LABEL_1"), 1), tokenizer, folder)
    options = [
        "--task",
        "yes-or-no",
        "--tasks",
        mine["tasks"],
        "--data",
        tmp_path,
        "--data-source",
        "files",
        "--for",
        "sw",
    ]
    assert "LABEL_0" in invoke("evaluate", folder, *options, code=2)
    assert "50.0" in invoke("evaluate", folder, *options, "--labels", "No,yes")


def test_a_head_with_random_weights_has_no_score(tmp_path, encoder_folder, tokenizer):
    folder = tmp_path / "model"
    model = with_head(encoder_folder("bert"), classification.AUTO_CLASS, ("entailment", "neutral", "contradiction"), 1)
    save(model, tokenizer, folder)
    model.base_model.save_pretrained(tmp_path / "encoder")
    (tmp_path / "encoder" / "model.safetensors").replace(folder / "model.safetensors")
    with pytest.raises(XstiltsError) as caught:
        xstilts.evaluate(folder, task="pocket-nli", for_=["sw"])
    assert caught.value.kind == "bad-file"


@pytest.mark.parametrize(("options", "kind"), [
    ({}, "bad-argument"),
    ({"test": "test-{lang}.csv", "task": "pocket-nli"}, "bad-argument"),
    ({"test": "test-{lang}.csv", "labels": ["a", "b"]}, "bad-argument"),
    ({"task": "pocket-tatoeba"}, "unsupported"),
    ({"task": "pocket-text"}, "unsupported"),
    ({"task": "pocket-qa", "for_": ["sw"], "split": "validation", "labels": ["a", "b"]}, "bad-argument"),
    ({"task": "pocket-nil"}, "unknown-name"),
    ({"task": "pocket-nli", "metric": "bleu"}, "unknown-name"),
    ({"task": "pocket-nli", "split": "dev", "for_": ["sw"]}, "unknown-name"),
    ({"task": "pocket-nli"}, "missing-data"),  # these languages are nowhere listed
    ({"task": "pawsx", "for_": ["sw"]}, "unknown-name"),
    ({"task": "pawsx", "data_source": "files"}, "missing-data"),
    ({"task": "pawsx", "data_source": "xtreme", "data": "no-such-folder"}, "missing-data"),
])  # fmt: skip
def test_what_cannot_be_scored(options, kind, nli):
    with pytest.raises(XstiltsError) as caught:
        xstilts.evaluate(nli, **options)
    assert caught.value.kind == kind


def test_the_baseline_does_not_learn_from_what_it_predicts():
    task = Task(name="t", type="tagging", labels=("O", "B"), source={"own": "x"})
    columns = {"id": list("abcd"), "cluster_id": list("abcd"), "language": ["sw"] * 4,
               "tokens": [["w"], ["x"], ["y"], ["z"]], "tags": [["B"], ["O"], ["B"], ["O"]]}  # fmt: skip
    predicted = baseline_of_halves(tagging, pa.table(columns, tagging.SCHEMA), task)
    tags = dict(zip(predicted["example_id"].to_pylist(), predicted["prediction"].to_pylist(), strict=True))
    assert tags == {"a": ["O"], "c": ["O"], "b": ["B"], "d": ["B"]}
