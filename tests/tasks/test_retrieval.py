"""Retrieval: exact neighbours, mining by margin, layers and thresholds chosen on development examples."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import average_precision_score

from xstilts.context import Context
from xstilts.data.examples import load_examples
from xstilts.data.prepare import prepare
from xstilts.errors import XstiltsError
from xstilts.evaluation.encode import encode_table
from xstilts.evaluation.retrieve import embed, retrieve
from xstilts.models.encoders import load_base
from xstilts.tasks import retrieval
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.metrics import ranked_average_precision, set_f1
from xstilts.tasks.neighbours import nearest, neighbours, top_k, unit
from xstilts.tasks.retrieval import fit_threshold, mine
from xstilts.tasks.task import Task

BUCC = {"name": "bucc", "type": "retrieval", "mining": True, "metrics": ["f1"]}


def test_the_nearest_candidate_has_the_largest_cosine_and_is_the_first_of_equals():
    rng = np.random.default_rng(0)
    candidates = rng.normal(size=(50, 8)).astype(np.float32)
    candidates[30] = 7 * candidates[10]
    queries = np.concatenate([candidates[[10, 3]] * 0.1, rng.normal(size=(21, 8)).astype(np.float32)])
    best, cosine = nearest(queries, candidates, block=4)
    unit = candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    expected = (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ unit.T
    assert best[:2].tolist() in ([10, 3], [30, 3])
    assert cosine == pytest.approx(expected.max(1), abs=1e-6)
    assert (expected[np.arange(len(best)), best] == pytest.approx(expected.max(1), abs=1e-6)) and len(set(best)) > 2
    same = np.ones((5, 4), np.float32)
    assert nearest(same[:2], same)[0].tolist() == [0, 0]
    assert not np.isnan(nearest(np.zeros((1, 4), np.float32), same)[1]).any()


def test_retrieval_does_not_depend_on_the_order_of_rows():
    task = Task(name="pairs", type="retrieval", source=WorldSource(world=1, kind="retrieval", rows={"test": 12}))
    table = load_examples(task, "test", "fi", None, {}).table
    table = table.take(np.random.default_rng(0).permutation(len(table)))
    side, ids, gold = (table[c].to_pylist() for c in ("side", "id", "gold"))
    number = {name: i for i, name in enumerate(sorted({g for g in gold if g}))}
    vectors = np.eye(12, dtype=np.float32)[
        [number[g if s == "query" else o] for s, o, g in zip(side, ids, gold, strict=True)]
    ]
    columns = retrieval.predict(vectors, table, task)
    assert columns["prediction"] == columns["gold"]
    assert retrieval.score(retrieval.statistics(pa.table({**columns}), "accuracy").sum(0), "accuracy") == 100


def spread(rng):
    """Random vectors."""
    return rng.normal(size=(90, 24)), rng.normal(size=(70, 24))


def near_duplicates(rng):
    """Clusters whose members bfloat16 cannot tell apart."""
    centres = rng.normal(size=(3, 24))
    return tuple(centres[rng.integers(0, 3, n)] + 0.02 * rng.normal(size=(n, 24)) for n in (90, 70))


@pytest.mark.parametrize("make", [spread, near_duplicates])
@pytest.mark.parametrize("rounded", [False, True])
@pytest.mark.parametrize("block", [1, 7, 40, 100])
def test_neighbours_of_both_directions_equal_those_of_the_whole_product(monkeypatch, block, rounded, make):
    monkeypatch.setattr("xstilts.tasks.neighbours.bfloat16_pays", lambda: rounded)
    x, y = (unit(part) for part in make(np.random.default_rng(0)))
    product = x @ y.T
    (forward, ahead), (backward, behind) = neighbours(x, y, 4, block)
    assert forward == pytest.approx(-np.sort(-product, 1)[:, :4], abs=1e-6)
    assert backward == pytest.approx(-np.sort(-product.T, 1)[:, :4], abs=1e-6)
    assert forward == pytest.approx(np.take_along_axis(product, ahead, 1), abs=1e-6)
    assert backward == pytest.approx(np.take_along_axis(product.T, behind, 1), abs=1e-6)
    gaps = -np.diff(-np.sort(-product, 1)[:, :5], axis=1)
    clear = (gaps > 1e-6).all(1)
    assert (ahead[clear] == np.argsort(-product, 1)[:, :4][clear]).all() and clear.sum() > 10


def test_k_is_limited_to_the_number_of_candidates():
    (forward, _), (backward, _) = neighbours(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32)[:2], 4)
    assert forward.shape == (3, 2) and backward.shape == (2, 3)


def mined_by_definition(source, target, k):
    """The definition in plain Python."""
    source, target = unit(source).astype(float), unit(target).astype(float)
    cosine = source @ target.T
    there = [sorted(range(len(target)), key=lambda j: -cosine[i, j])[:k] for i in range(len(source))]
    back = [sorted(range(len(source)), key=lambda i: -cosine[i, j])[:k] for j in range(len(target))]
    means = [np.mean([cosine[i, j] for j in js]) for i, js in enumerate(there)]
    means_back = [np.mean([cosine[i, j] for i in js]) for j, js in enumerate(back)]
    margin = lambda i, j: cosine[i, j] / ((means[i] + means_back[j]) / 2)  # noqa: E731
    candidates = [(i, max(js, key=lambda j: margin(i, j))) for i, js in enumerate(there)]
    candidates += [(max(js, key=lambda i: margin(i, j)), j) for j, js in enumerate(back)]
    seen, seen_back, pairs = set(), set(), {}
    for i, j in sorted(candidates, key=lambda pair: -margin(*pair)):
        if i not in seen and j not in seen_back:
            seen.add(i)
            seen_back.add(j)
            if margin(i, j) > 0:
                pairs[i, j] = margin(i, j)
    return pairs


@pytest.mark.parametrize("seed", range(6))
def test_mining_equals_a_direct_implementation(seed):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(12, 5)) + 2.0
    source = np.concatenate([shared + rng.normal(size=shared.shape) * 0.1, rng.normal(size=(9, 5)) + 1])
    target = np.concatenate([rng.normal(size=(6, 5)) + 1, shared + rng.normal(size=shared.shape) * 0.1])
    i, j, margins = mine(source, target, 4)
    expected = mined_by_definition(source, target, 4)
    assert dict(zip(zip(i.tolist(), j.tolist(), strict=True), margins, strict=True)) == pytest.approx(
        expected, rel=1e-4
    )
    assert (np.diff(margins) <= 0).all() and len(set(i)) == len(i) and len(set(j)) == len(j)


def test_the_threshold_is_halfway_between_the_last_selected_pair_and_the_next():
    margins, correct = np.array([1.5, 1.1, 1.3, 1.2]), np.array([True, False, True, True])
    assert fit_threshold(margins, correct, gold=3) == (pytest.approx(1.15), 100.0)
    assert fit_threshold(margins, correct, gold=6) == (pytest.approx(1.15), pytest.approx(100 * 6 / 9))
    assert fit_threshold(margins[:1], correct[:1], gold=2) == (1.5, pytest.approx(100 * 2 / 3))
    assert fit_threshold(margins, ~np.ones(4, bool), gold=3) == (0.0, 0.0)
    # The first of equals: F1 is 2/3 after one pair and after three.
    assert fit_threshold(np.array([3.0, 2.0, 1.0]), np.array([True, False, True]), gold=2)[0] in (2.5, 1.0)


def bucc_table(english, foreign, gold):
    """Examples of both sides: English sentences are the queries; gold maps English positions to foreign ones."""
    line = lambda side, i, text, g: {"id": f"{side}{i}", "cluster_id": "c", "language": "de", "side": side,  # noqa: E731
                                     "text": text, "gold": g}  # fmt: skip
    answers = [line("candidate", i, text, None) for i, text in enumerate(foreign)]
    asks = [line("query", i, t, f"candidate{gold[i]}" if i in gold else None) for i, t in enumerate(english)]
    return pa.Table.from_pylist(answers + asks, retrieval.SCHEMA)


def test_repeated_sentences_are_never_paired():
    rng = np.random.default_rng(0)
    meaning = rng.normal(size=(6, 16))
    english, foreign = ["a", "b", "c", "d", "b"], ["C", "A", "x", "B", "D", "D"]
    of_english, of_foreign = [0, 1, 2, 3, 1], [2, 0, 4, 1, 3, 3]
    table = bucc_table(english, foreign, {0: 1, 1: 3, 2: 0, 3: 4})
    vectors = np.concatenate([meaning[of_foreign], meaning[of_english]]).astype(np.float32)
    columns = retrieval.predict(vectors, table, Task(**BUCC, source=WorldSource(world=1, kind="text", rows={"t": 1})))
    assert columns["gold"] == ["candidate1", "candidate3", "candidate0", "candidate4", None]
    assert columns["prediction"][0] == "candidate1" and columns["prediction"][2] == "candidate0"
    assert columns["prediction"][1] is None and columns["prediction"][4] is None  # "b" twice
    assert columns["prediction"][3] is None  # "D" twice


def test_f1_of_mined_pairs_is_that_of_the_sets_of_pairs():
    table = pa.table({"gold": ["a", "b", None, "d", None], "prediction": ["a", "c", "b", None, None]})
    gold, predicted = [("a", "0"), ("b", "1"), ("d", "3")], [("a", "0"), ("c", "1"), ("b", "2")]
    f1 = retrieval.score(retrieval.statistics(table, "f1").sum(0), "f1")
    assert f1 == pytest.approx(set_f1(gold, predicted)["f1"]) == pytest.approx(100 / 3)
    assert retrieval.score(np.zeros(3), "f1") == 0


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "modernbert"])
def test_several_layers_come_from_one_pass_and_do_not_depend_on_padding(encoder_folder, tokenizer, kind):
    texts = ["a king", "The old river runs past the town of Thebes, and the river is wide.", "国王"]
    names = [str(i) for i in range(3)]
    columns = {
        "id": names,
        "cluster_id": names,
        "language": ["en"] * 3,
        "side": ["query"] * 3,
        "text": texts,
        "gold": names,
    }
    encoded = retrieval.encode(pa.table(columns, retrieval.SCHEMA), None, tokenizer, 64)
    model = load_base(encoder_folder(kind)).eval()
    for pooling in ("mean", "cls"):
        vectors = embed(model, encoded, tokenizer.pad_token_id, torch.device("cpu"), [0, 2, 1], pooling)
        for i, text in enumerate(texts):
            with torch.inference_mode():
                states = model(**tokenizer(text, return_tensors="pt"), output_hidden_states=True).hidden_states
            for place, layer in enumerate((0, 2, 1)):
                hidden = states[layer][0]
                expected = hidden.mean(0) if pooling == "mean" else hidden[0]
                assert vectors[place, i] == pytest.approx(expected.numpy(), abs=1e-5)
    with pytest.raises(XstiltsError, match="no layer 3"):
        embed(model, encoded, tokenizer.pad_token_id, torch.device("cpu"), [3])


def files_of(folder, name, english, foreign, gold):
    (folder / f"{name}.de").write_text("".join(f"de-{i}\t{text}\n" for i, text in enumerate(foreign)))
    (folder / f"{name}.en").write_text("".join(f"en-{i}\t{text}\n" for i, text in enumerate(english)))
    (folder / f"{name}.gold").write_text("".join(f"de-{f}\ten-{e}\n" for e, f in gold))


@pytest.fixture
def bucc(tmp_path, encoder_folder):
    """Prepared examples of a mining task whose translations are equal texts, so that any encoder finds them."""
    words = ["river", "town", "wall", "king", "wide", "old", "past", "near", "built", "Thebes"]
    sentences = [f"the {a} {b}" for a in words for b in words]
    files_of(tmp_path, "dev", sentences[:30], [*sentences[60:75], *sentences[:15]], [(i, 15 + i) for i in range(15)])
    files_of(tmp_path, "test", sentences[30:60], [*sentences[75:], *sentences[30:40]], [(i, 25 + i) for i in range(10)])
    source = {"format": "bitext", "files": dict.fromkeys(("dev", "test"), "{split}.{lang}"), "english": "{split}.en",
              "gold": "{split}.gold"}  # fmt: skip
    task = {**BUCC, "source": source}
    inputs = {"model": encoder_folder("bert")}
    for split, name in (("test", "rows.de"), ("dev", "dev.de")):
        out = inputs[name] = tmp_path / f"prepared-{split}"
        out.mkdir()
        arguments = {"task": task, "tasks": {}, "split": split, "language": "de", "content": "", "data": str(tmp_path)}
        prepare(arguments, {}, out, Context(tmp_path))
    arguments = {"task": task, "languages": ["de"], "max_length": 32, "layers": [2, 0], "pooling": "mean",
                 "dev_languages": ["de"], "device": "cpu", "precision": "fp32"}  # fmt: skip
    return arguments, inputs, tmp_path


def test_layer_and_margin_are_chosen_on_dev_and_applied_to_test(bucc):
    arguments, inputs, folder = bucc
    retrieve(arguments, inputs, folder, Context(folder))
    summary = json.loads((folder / "retrieval.json").read_text())
    assert summary["dev_scores"][str(summary["layer"])] == max(summary["dev_scores"].values())
    assert (
        set(summary["dev_scores"]) == {"0", "2"}
        and set(summary["thresholds"]) == {"de"}
        and summary["pooling"] == "mean"
    )
    table = pq.read_table(folder / "predictions.parquet")
    assert len(table) == 30
    score = table["score"].to_numpy()
    taken = np.array([p is not None for p in table["prediction"].to_pylist()])
    assert (score[taken] >= summary["thresholds"]["de"] - 1e-5).all()
    pairs = list(zip(table["gold"].to_pylist(), table["prediction"].to_pylist(), strict=True))
    assert all(predicted in (gold, None) for gold, predicted in pairs if gold)
    assert sum(gold == predicted for gold, predicted in pairs if gold) >= 5
    retrieve({**arguments, "layers": [summary["layer"]]}, inputs, folder, Context(folder))
    assert pq.read_table(folder / "predictions.parquet").equals(table)


def test_a_language_without_dev_examples_for_its_margin_is_refused(bucc):
    arguments, inputs, folder = bucc
    with pytest.raises(XstiltsError) as error:
        retrieve({**arguments, "dev_languages": []}, inputs, folder, Context(folder))
    assert error.value.kind == "missing-data" and "'de'" in error.value.what


def test_real_gold_pairs_are_mined_from_good_vectors(real_data):
    source = {"format": "bitext", "files": {"dev": "bucc2018/{lang}-en.dev.{lang}"},
              "english": "bucc2018/{lang}-en.dev.en", "gold": "bucc2018/{lang}-en.dev.gold"}  # fmt: skip
    task = Task(**BUCC, source=source)
    table = load_examples(task, "dev", "zh", real_data, {}).table
    rng = np.random.default_rng(0)
    places = {name: i for i, name in enumerate(table["id"].to_pylist())}
    vectors = rng.normal(size=(len(table), 64)).astype(np.float32) + 0.5
    for name, gold in zip(table["id"].to_pylist(), table["gold"].to_pylist(), strict=True):
        if gold:
            vectors[places[name]] = vectors[places[gold]] + rng.normal(size=64) * 0.3
    columns = retrieval.predict(vectors, table, task)
    gold, predicted = np.array(columns["gold"], object), np.array(columns["prediction"], object)
    paired = predicted != None  # noqa: E711
    assert sum(g is not None for g in gold) == 257
    threshold, f1 = fit_threshold(columns["score"][paired], (gold == predicted)[paired], 257)
    assert f1 > 98 and 1 < threshold < 3


# One pool of candidates in all languages

POOLED = {"name": "pool", "type": "retrieval", "pooled": True, "metrics": ["map_at_20"]}


def by_definition(relevant, ranking, k):
    """Average precision at k in plain Python."""
    precisions = [
        sum(name in relevant for name in ranking[:rank]) / rank
        for rank, name in enumerate(ranking[:k], 1)
        if name in relevant
    ]
    return sum(precisions) / min(len(relevant), k)


def test_average_precision_is_that_of_its_definition_and_of_scikit_learn():
    rng = np.random.default_rng(0)
    names = [str(i) for i in range(60)]
    scores = rng.normal(size=(40, 60))
    relevant = [set(rng.choice(names, size=rng.integers(1, 30), replace=False)) for _ in scores]
    rankings = [[names[i] for i in np.argsort(-row)] for row in scores]
    at_20 = ranked_average_precision(relevant, rankings)
    assert at_20 == pytest.approx(
        [by_definition(r, ranking, 20) for r, ranking in zip(relevant, rankings, strict=True)]
    )
    labels = [[name in r for name in names] for r in relevant]
    whole = [average_precision_score(y, row) for y, row in zip(labels, scores, strict=True)]
    assert ranked_average_precision(relevant, rankings, 60) == pytest.approx(whole)


def test_average_precision_of_one_relevant_candidate_is_the_reciprocal_rank_and_repetitions_count_once():
    rankings = [["a", "b", "c"], ["b", "b", "a"], ["b"], []]
    assert ranked_average_precision([["a"]] * 4, rankings).tolist() == [1, 1 / 3, 0, 0]
    assert ranked_average_precision([["a", "b"]], [["a", "a", "b"]]).tolist() == [pytest.approx((1 + 2 / 3) / 2)]


@pytest.mark.parametrize("block", [1, 7, 100])
def test_the_k_nearest_are_those_of_the_whole_product_and_of_equals_the_first(block):
    rng = np.random.default_rng(0)
    queries, candidates = rng.normal(size=(23, 8)), rng.normal(size=(50, 8))
    candidates[40:45] = candidates[3]
    product = unit(queries) @ unit(candidates).T
    best, cosine = top_k(queries, candidates, 12, block)
    assert cosine == pytest.approx(-np.sort(-product, 1)[:, :12], abs=1e-6)
    assert np.take_along_axis(product, best, 1) == pytest.approx(cosine, abs=1e-6)
    same = np.ones((5, 4))
    assert top_k(same[:1], same, 3)[0].tolist() == [[0, 1, 2]] and top_k(same, same, 9)[0].shape == (5, 5)


def pool_table(rows):
    names = ("id", "language", "side", "gold")
    listed = [dict(zip(names, row, strict=True)) | {"text": "t", "cluster_id": "c"} for row in rows]
    return pa.Table.from_pylist(listed, retrieval.SCHEMA)


def pooled(**more):
    return Task(**{**POOLED, **more}, source=WorldSource(world=1, kind="text", rows={"t": 1}))


def test_queries_search_the_candidates_of_all_languages():
    english = [("q", "en", "query", "en_1"), ("en_1", "en", "candidate", None), ("en_2", "en", "candidate", None)]
    table = pool_table([*english, ("q", "de", "query", "de_1"), ("de_1", "de", "candidate", None)])
    vectors = np.array([[1, 0], [1, 0.1], [1, 0.3], [0, 1], [1, 0.2]], np.float32)
    columns = pa.table(retrieval.predict(vectors, table, pooled(parallel=True)))
    assert columns["gold"].to_pylist() == [["en_1", "de_1"]] * 2  # equal ids: the answers of both languages
    assert columns["prediction"].to_pylist() == [["en_1", "de_1", "en_2"], ["en_2", "de_1", "en_1"]]
    precision = retrieval.statistics(columns, "map_at_20")
    assert precision.tolist() == [[1, 1], [pytest.approx((1 / 2 + 2 / 3) / 2), 1]]
    assert retrieval.score(precision.sum(0), "map_at_20") == pytest.approx(100 * (1 + 7 / 12) / 2)
    columns = retrieval.predict(vectors, table, pooled())
    assert columns["gold"].to_pylist() == [["en_1"], ["de_1"]]  # each query names its own


def test_queries_without_a_gold_label_are_ranked_and_not_counted():
    table = pool_table([("a", "en", "query", None), ("b", "en", "query", "x|y"), ("x", "en", "candidate", None),
                        ("y", "en", "candidate", None)])  # fmt: skip
    columns = pa.table(retrieval.predict(np.eye(4, dtype=np.float32), table, pooled()))
    assert columns["gold"].to_pylist() == [None, ["x", "y"]] and len(columns["prediction"][0]) == 2
    assert retrieval.statistics(columns, "map_at_20").tolist() == [[0, 0], [1, 1]]


@pytest.mark.parametrize("rows", [
    [("q", "en", "query", "x"), ("y", "en", "candidate", None)],
    [("q", "en", "query", "x"), ("x", "en", "candidate", None), ("x", "de", "candidate", None)],
])  # fmt: skip
def test_relevant_candidates_are_in_the_pool_once(rows):
    with pytest.raises(XstiltsError) as error:
        retrieval.predict(np.eye(len(rows), dtype=np.float32), pool_table(rows), pooled())
    assert error.value.kind == "inconsistent" and "'x'" in error.value.what


def test_a_pool_has_candidates():
    with pytest.raises(XstiltsError) as error:
        retrieval.predict(np.eye(1, dtype=np.float32), pool_table([("q", "en", "query", "x")]), pooled())
    assert error.value.kind == "missing-data"


def test_prefixes_stand_before_the_texts_of_their_side(tokenizer):
    table = pool_table([("q", "en", "query", "x"), ("x", "en", "candidate", None)])
    entry = {**POOLED, "source": {"world": 1, "kind": "text", "rows": {"t": 1}}}
    encoded = encode_table(table, entry, tokenizer, 32, prefixes={"query": "the king ", "candidate": "old "})
    expected = [tokenizer(text)["input_ids"] for text in ("the king t", "old t")]
    assert encoded.ids.tolist() == [*expected[0], *expected[1]]


def test_the_layer_of_a_pooled_task_is_chosen_on_dev(tmp_path, encoder_folder):
    """Queries equal to their answers are found at once by embeddings of any layer."""
    words = ["river", "town", "wall", "king", "wide", "old"]
    for code in ("en", "de"):
        rows = [{"id": f"q{i}", "side": "query", "text": f"{code} the {word}", "gold": [f"{code}{i}"]}
                for i, word in enumerate(words)]  # fmt: skip
        rows += [{**row, "id": row["gold"][0], "side": "candidate", "gold": None} for row in rows]
        (tmp_path / f"{code}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = dict.fromkeys(("test", "dev"), "{lang}.jsonl")
    task = {**POOLED, "source": {"format": "jsonl", "files": files}}
    inputs = {"model": encoder_folder("bert")}
    for name, split in (("rows", "test"), ("dev", "dev")):
        for code in ("en", "de"):
            out = inputs[f"{name}.{code}"] = tmp_path / f"{split}-{code}"
            out.mkdir()
            arguments = {"task": task, "tasks": {}, "split": split, "language": code, "content": ""}
            prepare({**arguments, "data": str(tmp_path)}, {}, out, Context(tmp_path))
    arguments = {"task": task, "languages": ["en", "de"], "max_length": 32, "layers": [0, 1], "pooling": "mean",
                 "dev_languages": ["en"], "device": "cpu", "precision": "fp32"}  # fmt: skip
    retrieve(arguments, inputs, tmp_path, Context(tmp_path))
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table["language"].to_pylist() == ["en"] * 6 + ["de"] * 6
    assert all(len(ids) == 12 and ids[0] == gold[0] for ids, gold in
               zip(table["prediction"].to_pylist(), table["gold"].to_pylist(), strict=True))  # fmt: skip
    assert json.loads((tmp_path / "retrieval.json").read_text())["dev_scores"] == {"0": 100.0, "1": 100.0}


def test_pooled_tasks_are_judged_by_mean_average_precision():
    source = WorldSource(world=1, kind="text", rows={"t": 1})
    for changes in ({"metrics": ["accuracy"]}, {"pooled": False}, {"type": "qa"}, {"mining": True}):
        with pytest.raises(ValueError):
            Task(**{**POOLED, **changes}, source=source)
