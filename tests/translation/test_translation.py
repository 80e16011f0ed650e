"""Translation of training data: languages of models, what becomes of examples and labels, and what is refused.

The toy model writes English in capitals: its weights are set so that it does, and it knows nothing else.
"""

import importlib
import json
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import tokenizers
import torch
import transformers

from support import ENGLISH, make_translator
from xstilts.analysis import analyse
from xstilts.config.load import load_study, read_task_file
from xstilts.context import Context
from xstilts.data.examples import load_examples
from xstilts.engine import Step
from xstilts.engine.store import Store
from xstilts.engine.work import run_step
from xstilts.errors import MISSING, STEP_FAILED, XstiltsError
from xstilts.languages import all_languages
from xstilts.report.charts import figures_of
from xstilts.report.page import write_page
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.study.results import gather
from xstilts.study.run import freeze_plan
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import SCHEMAS
from xstilts.translation import generate
from xstilts.translation.codes import Direction, direction, known_targets
from xstilts.translation.generate import TOO_LONG, UNFINISHED, Search, translate_texts
from xstilts.translation.marking import LOST, TEXT_HAS_BRACKETS, Passage, marked, sentences, unmark
from xstilts.translation.models import fetch, load_translator
from xstilts.translation.projection import AMBIGUOUS, SHARED_WORD, words
from xstilts.translation.translate import EMPTY, translate

LONGEST = 24


def toy_tokenizer(texts, size):
    """Sub-words of the texts and the same ones in capitals, as a tokenizer of NLLB's kind."""
    trained = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=size, initial_alphabet=list("[].?"), show_progress=False)
    trained.train_from_iterator([text.lower() for text in texts], trainer)
    model = json.loads(trained.to_str())["model"]
    small = list(model["vocab"])
    capital = [piece.upper() for piece in small if piece.upper() != piece]
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(["<s>", "<pad>", "</s>", "<unk>", *small, *capital]))}
    merges = [tuple(pair) for pair in model["merges"]]
    merges += [pair for a, b in merges if (pair := (a.upper(), b.upper())) not in merges]
    made = transformers.NllbTokenizer(
        vocab=vocab, merges=merges, extra_special_tokens=["eng_Latn", "deu_Latn", "<mask>"]
    )
    return made, np.array([vocab[p] for p in small]), np.array([vocab[p.upper()] for p in small])


def make_toy(folder, texts, size=120):
    """A small model of NLLB's kind that writes small letters as capitals and back: its weights are set, not learned.

    Embeddings leave the dimensions in which nearby positions differ to the positions: each written token looks at the
    token read in the same place. A capital is its small letter with the second half of the rest negated.
    """
    tokenizer, small, capital = toy_tokenizer(texts, size)
    config = transformers.M2M100Config(
        vocab_size=len(tokenizer), d_model=128, encoder_layers=1, decoder_layers=1, encoder_attention_heads=1,
        decoder_attention_heads=1, encoder_ffn_dim=8, decoder_ffn_dim=8, max_position_embeddings=64, dropout=0.0,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2,
    )  # fmt: skip
    model = transformers.M2M100ForConditionalGeneration(config)
    by_position = torch.tensor(([1.0] * 16 + [0.0] * 48) * 2)  # the quickest waves, as sines and as cosines
    half = torch.tensor(([0.0] * 16 + [1.0] * 24 + [0.0] * 24) * 2)
    other = 1 - by_position - half
    other[63] = 0  # the slowest sine: after the layer norm it holds what the norm subtracted
    table = torch.randn(len(tokenizer), 128, generator=torch.Generator().manual_seed(0))
    table = sum(part * (table - (table * part).sum(dim=1, keepdim=True) / part.sum()) for part in (half, other))
    table[[2, *small[small == capital]]] *= half  # written as they are
    table[capital] = table[small] * (half - other)
    model.model.shared.weight.data = 2 * table / table.norm(dim=1, keepdim=True)
    first, last = model.model.encoder.layers[0], model.model.decoder.layers[0]
    for part in (first.self_attn.out_proj, first.fc2, last.self_attn.out_proj, last.fc2):
        torch.nn.init.zeros_(part.weight)
    cross = last.encoder_attn
    for part in (cross.q_proj, cross.k_proj):
        part.weight.data = 12 * torch.diag(by_position)
        part.weight.data[:, 63] -= 12 * by_position
    cross.v_proj.weight.data = torch.diag(half + other)
    cross.out_proj.weight.data = 50 * torch.diag(half - other)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """A folder as `fetch` writes it."""
    raw = make_toy(tmp_path_factory.mktemp("toy"), [ENGLISH] * 3)
    return fetched(raw, tmp_path_factory.mktemp("fetched"))


def fetched(raw, out):
    fetch({"load": str(raw), "revision": "", "content": ""}, {}, out, Context(out))
    return out


def task(kind, **more):
    labels = {"classification": ["yes", "no"], "tagging": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]}
    source = {"world": 1, "kind": "nli", "rows": {"train": 1}}
    return Task(**{"name": "t", "type": kind, "labels": labels.get(kind, []), "source": source, **more})


def table(kind, rows):
    identity = [{"id": f"en-train-{i}", "cluster_id": f"c{i // 2}", "language": "en"} for i in range(len(rows))]
    return pa.Table.from_pylist([{**who, **row} for who, row in zip(identity, rows, strict=True)], SCHEMAS[kind])


def run(folder, kind, rows, inputs, entry=None, **more):
    """The new rows, the file of quality and that of rows left out."""
    (folder / "rows").mkdir(exist_ok=True)
    (folder / "out").mkdir(exist_ok=True)
    pq.write_table(rows if isinstance(rows, pa.Table) else table(kind, rows), folder / "rows" / "examples.parquet")
    arguments = {
        "task": (entry or task(kind)).model_dump(mode="json"), "from": "en", "to": "de", "roundtrip": False, "beams": 2,
        "max_length": LONGEST, "batch_tokens": 64, "device": "cpu", "precision": "fp32", **more,
    }  # fmt: skip
    translate(arguments, {"rows": folder / "rows", **inputs}, folder / "out", Context(folder / "scratch"))
    told = [json.loads((folder / "out" / f"{name}.json").read_text()) for name in ("quality", "left-out")]
    return pq.read_table(folder / "out" / "examples.parquet"), *told


PAIRS = [
    {"text_a": "the old king built a wall.", "text_b": "who built the wall?", "label": "yes"},
    {"text_a": "the old king built a wall.", "text_b": "the river is wide", "label": "no"},
    {"text_a": "a river runs past the town.\nthe wall is old.", "text_b": None, "label": "no"},
]


SEVERAL = [{**row, "label": labels} for row, labels in zip(PAIRS, (["yes", "no"], [], ["no"]), strict=True)]


@pytest.mark.parametrize(("kind", "examples"), [("classification", PAIRS), ("multilabel", SEVERAL)])
def test_rows_come_out_in_the_other_language_and_are_prepared_rows_in_all_else(toy, tmp_path, kind, examples):
    rows, quality, left_out = run(tmp_path, kind, examples, {"model": toy})
    given = table(kind, examples)
    assert rows.schema == given.schema
    for name in ("id", "cluster_id", "label"):
        assert rows[name].equals(given[name])
    assert set(rows["language"].to_pylist()) == {"de"}
    assert rows["text_a"].to_pylist() == [row["text_a"].upper().replace("\n", " ") for row in PAIRS]
    assert rows["text_b"].to_pylist() == ["WHO BUILT THE WALL?", "THE RIVER IS WIDE", None]
    assert left_out == {"unlabelled": 0, "problems": []}
    assert (quality["rows"], quality["kept"], quality["dropped"]) == (3, 3, {})
    assert quality["model"]["codes"] == ["eng_Latn", "deu_Latn"] and quality["model"]["revision"] == ""
    assert quality["chrf"] > 99 and quality["chrf_sentences"] == quality["sentences"] == 5
    assert "nc:6" in quality["chrf_signature"] and quality["unchanged"] == 0


def test_out_and_back_leaves_the_language_and_tells_the_codes_of_both_ways(toy, tmp_path):
    rows, quality, _ = run(tmp_path, "classification", PAIRS[:2], {"model": toy}, roundtrip=True)
    assert rows.equals(table("classification", PAIRS[:2]))
    assert quality["roundtrip"] and quality["back"]["codes"] == ["deu_Latn", "eng_Latn"] and quality["chrf"] > 99
    other = shutil.copytree(toy, tmp_path / "other")
    (other / "translator.json").write_text(json.dumps({"model": "another", "revision": "abc"}))
    _, quality, _ = run(tmp_path, "classification", PAIRS[:2], {"model": toy, "back": other}, beams=1)
    assert (quality["back"]["name"], quality["back"]["revision"]) == ("another", "abc")


def test_a_model_of_one_pair_needs_another_for_the_way_back(tmp_path):
    raw = make_translator(tmp_path, "opus")
    (tmp_path / "fetched").mkdir()
    inputs = {"model": fetched(raw, tmp_path / "fetched")}
    rows, quality, _ = run(tmp_path, "classification", PAIRS[:2], inputs, max_length=60)
    assert len(rows) and quality["chrf"] is None and quality["back"] is None
    assert "does not translate from German (de)" in quality["why"]
    error = refused(tmp_path, "classification", PAIRS[:2], inputs, roundtrip=True)
    assert "does not translate from German (de)" in error.what


def test_every_choice_is_translated_and_a_question_without_one_right_choice_is_dropped(toy, tmp_path):
    entries = [
        {"context": "a king built a wall", "question": "who built?", "choices": ["the king", "the river"], "label": 0},
        {"context": None, "question": "who runs?", "choices": ["a town", "a town", "a king"], "label": 1},
        {"context": None, "question": "who runs?", "choices": ["a town", "a town", "a king"], "label": 2},
    ]
    rows, quality, left_out = run(tmp_path, "multiple_choice", entries, {"model": toy})
    assert rows["choices"].to_pylist() == [["THE KING", "THE RIVER"], ["A TOWN", "A TOWN", "A KING"]]
    assert rows["context"].to_pylist() == ["A KING BUILT A WALL", None]
    assert rows["label"].to_pylist() == [0, 2] and rows["id"].to_pylist() == ["en-train-0", "en-train-2"]
    assert quality["dropped"] == {AMBIGUOUS: 1}
    assert [(problem["line"], problem["found"]) for problem in left_out["problems"]] == [(2, AMBIGUOUS)]


def answer(context, text, again=0):
    start = context.index(text, again)
    return [{"text": text, "start": start}]


def test_an_answer_is_found_again_where_its_markers_are(toy, tmp_path):
    context = "the king built a wall near the town.\nthe old river runs past the wall."
    own = "a [wide] wall of a king"
    entries = [
        {"context": context, "question": "who built the wall?", "answers": answer(context, "king")},
        {"context": context, "question": "the river runs past?", "answers": answer(context, "the wall", 60)},
        {"context": context, "question": "who is old?", "answers": []},
        {"context": own, "question": "who is wide?", "answers": answer(own, "king")},
    ]
    rows, quality, _ = run(tmp_path, "qa", entries, {"model": toy}, task("qa", unanswerable=True))
    capital = context.upper().replace("\n", " ")
    assert rows["context"].to_pylist() == [capital] * 3
    answers = rows["answers"].to_pylist()
    assert [[a["text"] for a in found] for found in answers] == [["KING"], ["THE WALL"], []]
    assert answers[1][0]["start"] == capital.rindex("THE WALL")
    assert quality["dropped"] == {TEXT_HAS_BRACKETS: 1}


def test_tags_are_carried_over_and_rows_whose_markers_are_lost_are_dropped(toy, tmp_path, monkeypatch):
    entries = [
        {"tokens": ["the", "old", "king", "built", "a", "wall", "."], "tags": ["O", "B-PER", "I-PER", *["O"] * 4]},
        {"tokens": ["the", "king", "and", "the", "town"], "tags": ["O", "B-PER", "O", "O", "B-PER"]},
        {"tokens": ["the", "river", "is", "[", "wide", "]"], "tags": ["O"] * 6},
    ]
    rows, quality, _ = run(tmp_path, "tagging", entries, {"model": toy})
    assert rows["tokens"].to_pylist() == [[token.upper() for token in row["tokens"]] for row in entries]
    assert rows["tags"].to_pylist() == [row["tags"] for row in entries]
    decode = transformers.NllbTokenizer.batch_decode
    losing = lambda *args, **more: [text.replace("[KING]", "KING]") for text in decode(*args, **more)]  # noqa: E731
    monkeypatch.setattr(transformers.NllbTokenizer, "batch_decode", losing)
    (tmp_path / "again").mkdir()
    rows, quality, _ = run(tmp_path / "again", "tagging", entries, {"model": toy})
    assert rows["id"].to_pylist() == ["en-train-0", "en-train-2"] and quality["dropped"] == {LOST: 1}


@pytest.mark.parametrize(
    ("spans", "translation", "expected"),
    [
        ("P", "par [le roi] dans", ("par le roi dans", ["le roi"])),
        ("", "par [le] roi", ("par [le] roi", [])),
        ("P", "par[ le roi ]dans", ("par le roi dans", ["le roi"])),
        ("P", "par [ le roi ], et", ("par le roi, et", ["le roi"])),
        ("P", "【国王】修建", ("国王修建", ["国王"])),
        ("PP", "[le roi] et [la ville]", ("le roi et la ville", ["le roi", "la ville"])),
        ("PL", "[2] la ville [/2] du [1] roi [/1].", ("la ville du roi.", ["la ville", "roi"])),
        ("P", "par le roi", None),
        ("P", "[par [le roi]", None),
        ("P", "par [ ] dans", None),
        ("P", "[le] [roi]", None),
        ("PP", "[le roi] et la ville", None),
        ("PL", "[1] la ville [/2] du [2] roi [/1]", None),
        ("PL", "[1] la ville [/1] du [1] roi [/1]", None),
        ("PL", "[1] la ville [/1] du roi [/2]", None),
    ],
)
def test_markers_are_found_or_the_row_is_given_up(spans, translation, expected):
    result = unmark(translation, [(i, i + 1, kind) for i, kind in enumerate(spans)])
    if expected is None:
        assert result is None
    else:
        assert (result.text, [result.text[a:b] for a, b, _ in result.spans]) == expected
        if "2" in translation:
            assert [kind for *_, kind in result.spans] == ["L", "P"]


def test_sentences_are_divided_neither_at_abbreviations_nor_within_a_span():
    def parts(text, *spans):
        return [(part.text, [part.text[a:b] for a, b, _ in part.spans]) for part in sentences(Passage(text, spans))]

    assert parts("Dr. Who met J. Smith. He ran!  Who? (a) ok. in fact") == [
        ("Dr. Who met J. Smith.", []), ("He ran!", []), ("Who?", []), ("(a) ok. in fact", [])
    ]  # fmt: skip
    assert parts("国王来了。河很宽。") == [("国王来了。", []), ("河很宽。", [])]
    assert parts("One. Two. Three.", (5, 9, "x")) == [("One.", []), ("Two.", ["Two."]), ("Three.", [])]
    assert parts("One. Two. Three.", (2, 8, "x")) == [("One. Two.", ["e. Two"]), ("Three.", [])]
    assert parts(" \n ") == []


def test_words_are_those_of_the_languages_own_data():
    def split(text, code):
        return [text[a:b] for a, b in words(text, code)]

    assert split("«서울에서 (남)», 3.5!", "ko") == ["«", "서울에서", "(", "남", ")", "»", ",", "3.5", "!"]
    assert split("हिन्दी में...", "hi") == ["हिन्दी", "में", "..."]
    assert split("國 ''x'', ?!", "en") == ["國", "''", "x", "''", ",", "?", "!"]
    assert split("国王 ab", "zh") == ["国", "王", "a", "b"] and split("น้ำ", "th") == ["น้", "ำ"]


def test_a_suffix_behind_a_marker_belongs_to_the_word_and_a_word_never_has_two_tags():
    from xstilts.translation.projection import PROJECTION, Dropped

    write = PROJECTION["tagging"][1]
    row = {"id": "1", "tokens": ["x"], "tags": ["O"]}
    passage = unmark("[서울]에서 [부산]", [(0, 1, "LOC"), (2, 3, "LOC")])
    assert write(row, task("tagging"), [passage], "ko")["tags"] == ["B-LOC", "B-LOC"]
    with pytest.raises(Dropped, match=SHARED_WORD):
        write(row, task("tagging"), [unmark("[서울][부산]", [(0, 1, "LOC"), (2, 3, "LOC")])], "ko")


def test_brackets_of_several_kinds_are_numbered():
    passage = Passage("a king of Rome", ((2, 6, "PER"), (10, 14, "LOC")))
    assert marked(passage) == "a [1] king [/1] of [2] Rome [/2]"
    assert marked(Passage("a king of Rome", ((2, 6, "X"), (10, 14, "X")))) == "a [king] of [Rome]"


def test_a_run_that_was_killed_goes_on_with_the_batch_that_was_cut_short(toy, tmp_path, monkeypatch):
    texts = [" ".join(random.Random(i).sample(ENGLISH.split(), 3)) for i in range(40)]
    translator = load_translator(toy, "cpu", "fp32")
    way = direction(translator.tokenizer, 10**6, "en", "de", "toy")

    def translated(file, seen):
        return translate_texts(texts + texts, translator, way, Search(2, LONGEST, 24), file, seen.append)

    whole = translated(tmp_path / "whole.jsonl", shares := [])
    assert whole.done == {text: text.upper() for text in texts} and not whole.failed
    assert shares[-1] == 1 and shares == sorted(shares) and len(shares) > 9
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:4]) + lines[4][:-3])
    computed, original = [], generate._generate
    monkeypatch.setattr(generate, "_generate", lambda ids, *more: computed.append(len(ids)) or original(ids, *more))
    assert translated(cut, []).done == whole.done
    assert len(computed) == len(lines) - 4 and cut.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_what_is_too_long_is_counted_and_never_cut(toy, tmp_path):
    entries = [*PAIRS, {"text_a": "the river " * 20, "text_b": "a king", "label": "no"},
               {"text_a": " ", "text_b": "a king", "label": "no"}]  # fmt: skip
    rows, quality, left_out = run(tmp_path, "classification", entries, {"model": toy})
    assert len(rows) == 3 and quality["dropped"] == {TOO_LONG: 1, EMPTY: 1}
    assert [problem["line"] for problem in left_out["problems"]] == [4, 5]


def refused(*args, **more):
    with pytest.raises(XstiltsError) as caught:
        run(*args, **more)
    return caught.value


def test_bad_input_is_refused_in_words(toy, tmp_path):
    pair = PAIRS[:1]
    unknown = refused(tmp_path, "classification", pair, {"model": toy}, to="th")
    assert "does not translate into Thai (th)" in unknown.what and unknown.why == "it supports de, en"
    wrong = refused(tmp_path, "classification", pair, {"model": toy}, **{"from": "de", "to": "en"})
    assert wrong.kind == "unsupported" and "are in en" in wrong.what
    none = refused(tmp_path, "classification", [{"text_a": "the " * 30, "label": "no"}], {"model": toy})
    assert none.code == STEP_FAILED and TOO_LONG in none.why
    pos = task("tagging", labels=["NOUN", "VERB"])
    every = refused(tmp_path, "tagging", [{"tokens": ["a"], "tags": ["NOUN"]}], {"model": toy}, pos)
    assert every.kind == "unsupported" and "every word has a tag" in every.why
    text = refused(tmp_path, "mlm", [{"text": "a king"}], {"model": toy}, task("mlm"))
    assert text.kind == "unsupported" and "mlm" in text.why


def test_only_sequence_to_sequence_models_are_fetched(tmp_path, encoder_folder):
    for load, what in ((encoder_folder("bert"), "is not a translation model"), (tmp_path / "none", "cannot load")):
        with pytest.raises(XstiltsError, match=what) as caught:
            fetched(load, tmp_path)
    assert caught.value.code == MISSING


def test_the_steps_run_in_the_engine_and_another_model_or_beam_is_another_step(toy, tmp_path):
    labels = ["entailment", "neutral", "contradiction"]
    entry = task("classification", source={"world": 1, "kind": "nli", "rows": {"train": 4}}, labels=labels)
    prepared = {"task": entry.model_dump(mode="json"), "tasks": {}, "split": "train", "language": "en", "content": ""}

    def steps(revision, beams):
        model = {"load": str(toy), "revision": revision, "content": ""}
        fetching = Step("fetch", "xstilts.translation.models:fetch", 1, model)
        rows = Step("rows", "xstilts.data.prepare:prepare", 1, prepared)
        arguments = {"task": prepared["task"], "from": "en", "to": "de", "roundtrip": False, "beams": beams,
                     "max_length": LONGEST, "batch_tokens": None, "device": "cpu", "precision": "bf16"}  # fmt: skip
        inputs = {"rows": rows.fingerprint, "model": fetching.fingerprint}
        return fetching, rows, Step("rows", "xstilts.translation.translate:translate", 1, arguments, inputs)

    wanted = steps("", 1)
    assert len({wanted[2].fingerprint, steps("abc", 1)[2].fingerprint, steps("", 2)[2].fingerprint}) == 3
    store = Store(tmp_path / "store")
    for step in wanted:
        run_step(step, store)
    made, given = (pq.read_table(store.open(step.fingerprint) / "examples.parquet") for step in (wanted[2], wanted[1]))
    assert made.schema == given.schema and set(made["id"].to_pylist()) <= set(given["id"].to_pylist())


@pytest.mark.parametrize(
    ("kind", "code", "names"),
    [
        ("m2m", "de", ("en", "de")),
        ("mbart", "zh", ("en_XX", "zh_CN")),
        ("opus", "zh", ("en", "cmn_Hans")),
        ("opus", "de", ("en", "deu")),
    ],
)
def test_every_family_is_told_its_own_codes_and_gives_what_it_gives_alone(tmp_path, kind, code, names):
    raw = make_translator(tmp_path, kind)
    (tmp_path / "fetched").mkdir()
    translator = load_translator(fetched(raw, tmp_path / "fetched"), "cpu", "fp32")
    way = direction(translator.tokenizer, translator.model.config.vocab_size, "en", code, "m")
    assert way.names == names
    texts = ["the old river runs", "who", "a king built a wide wall near the town", "past and of"]
    given = translate_texts(texts, translator, way, Search(3, 60, 40), tmp_path / "file", lambda share: None)

    tokenizer = transformers.AutoTokenizer.from_pretrained(raw)
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(raw)
    forced = {}
    if kind == "opus":
        assert direction(tokenizer, 10**6, "fr", code, "m") == Direction("", way.prefix, None, ("fr", names[1]))
    else:
        tokenizer.src_lang = names[0]
        forced = {"forced_bos_token_id": tokenizer.convert_tokens_to_ids({"m2m": "__de__"}.get(kind, names[1]))}
    for text in texts:
        prefix = f">>{names[1]}<< " if kind == "opus" else ""
        alone = tokenizer(prefix + text, return_tensors="pt")
        written = model.generate(**alone, num_beams=3, max_new_tokens=50, **forced)
        expected = tokenizer.decode(written[0], skip_special_tokens=True).removeprefix("__de__").strip()
        assert given.done.get(text, "") == expected
    assert len(given.done) >= 3 and UNFINISHED not in given.failed.values()
    with pytest.raises(XstiltsError, match=r"does not translate into Quechua \(qu\)"):
        direction(tokenizer, 10**6, "en", "qu", "m")
    if kind == "opus":
        with pytest.raises(XstiltsError, match=r"does not translate from German \(de\)\nit supports en, fr"):
            direction(tokenizer, 10**6, "de", "th", "m")


@pytest.mark.parametrize("kind", ["nllb", "mbart", "m2m", "opus"])
def test_a_folder_tells_before_it_is_loaded_what_it_translates_into(tmp_path, toy, kind):
    folder = toy if kind == "nllb" else make_translator(tmp_path, kind)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    size, accepted = transformers.AutoConfig.from_pretrained(folder).vocab_size, set()
    for one in all_languages():
        with suppress(XstiltsError):
            direction(tokenizer, size, "en", one.code, "m")
            accepted.add(one.code)
    assert accepted and known_targets(str(folder)) == accepted


@pytest.mark.parametrize(
    ("load", "knows", "lacks"),
    [
        ("facebook/m2m100_418M", {"sw", "th", "zh"}, {"eu", "qu", "te"}),
        ("facebook/nllb-200-distilled-600M", {"eu", "qu", "te"}, set()),
        ("facebook/mbart-large-50-many-to-many-mmt", {"te", "zh"}, {"eu", "bg"}),
        ("facebook/mbart-large-50-many-to-one-mmt", {"en"}, {"de"}),
        ("Helsinki-NLP/opus-mt-en-de", {"de"}, {"fr"}),
    ],
)
def test_the_name_of_a_repository_tells_what_its_family_translates_into(load, knows, lacks):
    known = known_targets(load)
    assert knows <= known and not lacks & known


@pytest.mark.parametrize("load", ["some/model", "slone/nllb-rus-tyv-v1", "Helsinki-NLP/opus-mt-en-ROMANCE"])
def test_a_name_that_tells_no_family_tells_no_languages(load):
    assert known_targets(load) is None


@pytest.mark.parametrize("kind", ["nllb", "mbart", "m2m"])
def test_the_languages_of_the_benchmarks_have_codes_in_each_family(kind):
    """By the lists that `transformers` has of them; what they lack is known."""
    module = {"nllb": "nllb.tokenization_nllb", "mbart": "mbart50.tokenization_mbart50",
              "m2m": "m2m_100.tokenization_m2m_100"}[kind]  # fmt: skip
    listed = importlib.import_module(f"transformers.models.{module}").FAIRSEQ_LANGUAGE_CODES
    tokens = [f"__{code}__" for code in listed["m2m100"]] if kind == "m2m" else listed
    lookup = {token: i for i, token in enumerate(tokens)}

    class Listing:
        src_lang, unk_token_id, all_special_tokens = "", -1, tokens

        def convert_tokens_to_ids(self, token):
            return lookup[token]

    chosen, missing = {}, set()
    for one in all_languages()[:50]:
        try:
            chosen[one.code] = direction(Listing(), len(tokens), "en", one.code, kind).names[1]
        except XstiltsError:
            missing.add(one.code)
    lacks = {"nllb": "", "m2m": "eu qu te", "mbart": "bg el eu ht hu jv ms pa qu wo yo"}
    assert missing == set(lacks[kind].split())
    several = {"nllb": {"zh": "zho_Hans", "ar": "arb_Arab", "fa": "pes_Arab", "et": "est_Latn", "sw": "swh_Latn"}}
    assert several.get(kind, {}).items() <= chosen.items()


def test_a_model_of_one_pair_translates_no_other_and_a_code_without_an_embedding_is_no_language():
    class Pair:
        unk_token_id, source_lang, target_lang, vocab = -1, "en", "de", {"a": 0}

        def get_vocab(self):
            return self.vocab

        def convert_tokens_to_ids(self, token):
            return self.vocab[token]

    pair = Pair()
    assert direction(pair, 5, "en", "de", "m").prefix == ""
    with pytest.raises(XstiltsError, match=r"does not translate into French \(fr\)\nit supports de"):
        direction(pair, 5, "en", "fr", "m")
    pair.vocab = {"<2fr>": 1, "<2th>": 9}
    assert direction(pair, 5, "en", "fr", "m").prefix == "<2fr> "
    with pytest.raises(XstiltsError, match=r"does not translate into Thai \(th\)\nit supports fr"):
        direction(pair, 5, "en", "th", "m")


def test_old_weights_are_read_without_running_what_they_hold(toy, tmp_path):
    for name in ("old", "hostile", "out"):
        (tmp_path / name).mkdir()
    for file in toy.iterdir():
        for name in ("old", "hostile"):
            if file.suffix != ".safetensors":
                (tmp_path / name / file.name).write_bytes(file.read_bytes())
    weights = transformers.AutoModelForSeq2SeqLM.from_pretrained(toy).state_dict()
    torch.save(weights, tmp_path / "old" / "pytorch_model.bin")
    torch.save({"x": Path("/")}, tmp_path / "hostile" / "pytorch_model.bin")
    fetched(tmp_path / "old", tmp_path / "out")
    assert list((tmp_path / "out").glob("*.safetensors")) and not list((tmp_path / "out").glob("*.bin"))
    with pytest.raises(XstiltsError, match="cannot load"):
        fetched(tmp_path / "hostile", tmp_path / "out")


def test_a_little_real_english_goes_out_and_stays_parallel(real_data, tmp_path):
    entry = read_task_file(Path(__file__).parents[1] / "real_tasks.yaml")["xnli"]
    given = load_examples(entry, "validation", "en", real_data, {}).table.slice(0, 160)
    for name in ("text_a", "text_b"):
        given = given.set_column(given.column_names.index(name), name, pc.utf8_lower(given[name]))
    (tmp_path / "raw").mkdir()
    (tmp_path / "model").mkdir()
    model = fetched(make_toy(tmp_path / "raw", given["text_b"].to_pylist(), 200), tmp_path / "model")
    made, quality, left_out = run(tmp_path, "classification", given, {"model": model}, entry)
    kept = {row["id"]: row for row in given.to_pylist()}
    assert quality["rows"] == 160 == len(made) + sum(quality["dropped"].values()) and len(made) > 20
    assert len(left_out["problems"]) == 160 - len(made) and quality["dropped"].keys() <= {TOO_LONG, UNFINISHED}
    for row in made.to_pylist():
        assert {name: row[name] for name in ("cluster_id", "label")} == {
            name: kept[row["id"]][name] for name in ("cluster_id", "label")
        }
    right = sum(row["text_b"] == kept[row["id"]]["text_b"].upper() for row in made.to_pylist())
    assert right > 0.8 * len(made) and quality["chrf"] > 90


def test_a_study_trains_and_scores_arms_on_translations_of_its_anchor_rows(tmp_path, encoder_folder):
    """The words of a model with random weights mean nothing; what a study does with them is the same."""
    source = {"world": 1, "kind": "nli", "rows": {"train": 60, "validation": 20, "test": 20}}
    small = {"epochs": 1, "recipe": {"learning_rate": 0.001}}
    translated = {"intermediate": "nli", "translated": "any"}
    study = {
        "name": "own", "question": "q", "replicates": 2, "primary": ["few"], "contrasts": ["translated - english"],
        "languages": {"candidates": ["de", "fr", "tr", "ja", "sw"], "never_held_out": ["de"], "minimum": 2},
        "tasks": {name: {"type": "classification", "labels": ["entailment", "neutral", "contradiction"],
                         "parallel": True, "max_length": 64, "source": source} for name in ("few", "nli")},
        "translators": {"any": {"load": str(make_translator(tmp_path, "m2m")), "beams": 1, "max_length": 36}},
        "encoders": {"mine": {"load": str(encoder_folder("bert"))}},
        "intermediate": {"nli": small},
        "arms": {
            "english": {"intermediate": "nli"},
            "translated": {**translated, "languages": "given", "given": ["de"]},
            "roundtrip": {**translated, "pivot": "fr"},
        },
        "targets": {"few": {"training": small}},
    }  # fmt: skip
    file, run = tmp_path / "own.yaml", tmp_path / "run"
    run.mkdir()
    file.write_text(json.dumps(study))
    planned, store = build_plan(freeze(load_study(str(file)), None, "cpu")), Store(tmp_path / "store")
    for step in planned.plan.steps.values():
        run_step(step, store)
    freeze_plan(planned, run)
    gather(planned, store, run)
    told = {entry["label"]: entry for entry in json.loads((run / "translations.json").read_text())}
    labels = {"translated": "translate nli train into de", "roundtrip": "translate nli train out to fr and back"}
    assert set(told) == set(labels.values())
    places = {(entry["task"], entry["split"], entry["language"], entry["translator"]) for entry in told.values()}
    assert places == {("nli", "train", "de", "any"), ("nli", "train", "en", "any")}
    cells = [cell for cell in json.loads((run / "cells.json").read_text()) if cell["arm"] != "baseline"]
    assert len(cells) == 3 * 2
    for cell in cells:
        lost = sum(told[labels[cell["arm"]]]["dropped"].values()) if cell["arm"] in labels else 0
        assert cell["intermediate"]["examples"] == 60 - lost and cell["training"]["examples"] == 60
        assert cell["intermediate"]["languages"] == (["de"] if cell["arm"] == "translated" else ["en"])
        assert 0 < lost < 60 or cell["arm"] not in labels
    left_out = {part["label"]: part["problems"] for part in json.loads((run / "left-out.json").read_text())}
    result = analyse(run)
    assert {row["arm"] for row in result["scores"]} == {*study["arms"], "baseline"}
    html = write_page(result, run, list(figures_of(result))).read_text()
    for label, entry in told.items():
        assert label in html and len(left_out[label]) == 60 - entry["kept"]
