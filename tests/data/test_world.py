"""The artificial languages: items have one meaning, said by the grammar of each language's real namesake."""

import hashlib
import json
import subprocess
import sys
from collections import Counter
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest

from xstilts.data.world.concepts import (
    ABSENT,
    ANTONYM,
    CONCEPTS,
    HYPERNYM,
    LANGUAGES,
    PATHS,
    SHARED,
    lexicons,
)
from xstilts.data.world.grammar import grammar, linearise
from xstilts.data.world.items import nli_pairs, paws_pairs
from xstilts.data.world.semantics import SPLITS, Event
from xstilts.data.world.tables import KINDS, world_table
from xstilts.errors import XstiltsError
from xstilts.languages import syntax_features
from xstilts.tasks.task_types import SCHEMAS

FIELDS = Event._fields[:10]
MODIFIERS = {"agent_adjective", "patient_adjective", "adposition", "place", "time"}
PARALLEL = ["nli", "paws", "qa", "retrieval"]


def digest(table: pa.Table) -> str:
    return hashlib.sha256(json.dumps(table.to_pylist()).encode()).hexdigest()


def concept(word: str) -> int:
    return CONCEPTS.index(word)


def sentence(language: str, order: str, **fields: str | int) -> str:
    """An event in English words, in the word order of another language."""
    given = {name: concept(word) if isinstance(word, str) else word for name, word in fields.items()}
    event = Event(**(dict.fromkeys(Event._fields[:9], ABSENT) | {"negated": 0} | given))
    return " ".join(CONCEPTS[c] for c in linearise(grammar(language), event, order))


@pytest.mark.parametrize("kind", KINDS)
def test_tables_have_the_declared_schema_and_unique_ids(kind):
    table = world_table(0, kind, "train", "tr", 50)
    schema = SCHEMAS[KINDS[kind][0]]
    assert table.schema == schema
    assert table.num_rows == (100 if kind == "retrieval" else 50)
    assert len(set(table["id"].to_pylist())) == table.num_rows
    assert set(table["language"].to_pylist()) == {"tr"}
    assert world_table(0, kind, "train", "tr", 0).schema == schema


@pytest.mark.parametrize("kind", KINDS)
def test_a_shorter_table_is_a_prefix_of_a_longer_one(kind):
    longer, shorter = (world_table(0, kind, "test", "fi", n, code_mixing=0.3) for n in (400, 130))
    assert longer.slice(0, shorter.num_rows).equals(shorter)


@pytest.mark.parametrize("kind", PARALLEL)
def test_items_are_parallel_across_languages(kind):
    english, korean = (world_table(0, kind, "test", language, 80) for language in ("en", "ko"))
    for column in {"id", "cluster_id", "label", "side", "gold"} & set(english.column_names):
        assert english[column].equals(korean[column])


def test_a_pair_has_the_same_meaning_in_every_language():
    english = [set(row["text_a"].split()) for row in world_table(0, "nli", "test", "en", 60).to_pylist()]
    markers = {"did", "will", "not", "the", "obj", "agr1", "agr2", "been", "by"}
    for language in LANGUAGES:
        gloss = dict(zip(lexicons(0)[language], lexicons(0)["en"], strict=True))
        for row, words in zip(world_table(0, "nli", "test", language, 60).to_pylist(), english, strict=True):
            assert {gloss[word] for word in row["text_a"].split()} - markers == words - markers


def test_pretraining_text_is_not_parallel():
    glosses = []
    for language in ("en", "id"):
        gloss = dict(zip(lexicons(0)[language], lexicons(0)["en"], strict=True))
        rows = world_table(0, "text", "train", language, 200).to_pylist()
        glosses.append([Counter(gloss[word] for word in row["text"].split()) for row in rows])
    assert sum(first == second for first, second in zip(*glosses, strict=True)) < 5


@pytest.mark.parametrize("kind", PARALLEL)
def test_no_event_is_in_two_splits(kind):
    column = {"qa": "context", "retrieval": "text"}.get(kind, "text_a")
    said = [set(world_table(0, kind, split, "en", 1000)[column].to_pylist()) for split in SPLITS]
    assert all(not said[i] & said[j] for i in range(3) for j in range(i))


def test_retrieval_candidates_are_distinct_and_gold_is_the_translation():
    rows = world_table(0, "retrieval", "test", "en", 300).to_pylist()
    text = {row["id"]: row["text"] for row in rows}
    assert len({row["text"] for row in rows if row["side"] == "candidate"}) == 300
    queries = [row for row in rows if row["side"] == "query"]
    assert all(text[row["gold"]] == row["text"] for row in queries)
    assert all(row["gold"] is None for row in rows if row["side"] == "candidate")


@pytest.mark.parametrize("language", LANGUAGES)
def test_answers_are_at_their_offsets_and_not_in_the_question(language):
    for row in world_table(0, "qa", "train", language, 200).to_pylist():
        (answer,) = row["answers"]
        assert row["context"][answer["start"] :].split(" ")[0] == answer["text"]
        assert answer["text"] not in row["question"].split(" ")


def test_questions_front_the_wh_word_or_leave_it_in_place():
    fronted = world_table(0, "qa", "train", "en", 100)["question"].to_pylist()
    assert {question.split()[0] for question in fronted} == {"who", "what", "where"}
    wh = {lexicons(0)["ja"][concept(word)] for word in ("what", "where")}
    in_place = [q.split() for q in world_table(0, "qa", "train", "ja", 100)["question"].to_pylist()]
    assert all(words[0] not in wh for words in in_place)


@pytest.mark.parametrize("hard", [0.0, 0.5])
def test_nli_labels_follow_from_the_events(hard):
    seen = Counter()
    for first, second, label, _ in islice(nli_pairs(0, "train", hard), 3000):
        changed = {field for field in FIELDS if getattr(first, field) != getattr(second, field)}
        seen[label] += 1
        if label == "entailment":
            assert not (first.negated and changed)
            for field in changed:
                weaker = getattr(second, field) == ABSENT and field in MODIFIERS
                assert weaker or HYPERNYM[getattr(first, field)] == getattr(second, field)
        elif label == "contradiction":
            opposite = [f for f in changed if ANTONYM.get(getattr(first, f)) == getattr(second, f)]
            assert ("negated" in changed) != bool(opposite)
        else:
            assert "negated" not in changed
            assert "tense" in changed or any(
                getattr(second, f) not in (ABSENT, HYPERNYM.get(getattr(first, f))) for f in changed
            )
    assert min(seen.values()) > 900


def test_paws_pairs_have_the_same_words_and_a_label_that_follows_from_roles():
    labels = Counter()
    for first, second, label, _ in islice(paws_pairs(0, "train", passive=0.1), 2000):
        said = [[getattr(event, field) for field in FIELDS] for event in (first, second)]
        assert sorted(said[0]) == sorted(said[1])
        assert (said[0] == said[1]) == (label == "1")
        labels[label] += 1
    assert 850 < labels["1"] < 1150
    rows = world_table(0, "paws", "test", "de", 200, passive=0.0).to_pylist()
    assert all(Counter(row["text_a"].split()) == Counter(row["text_b"].split()) for row in rows)
    assert all(row["text_a"] != row["text_b"] for row in rows)


def test_parameters_change_the_items():
    easy, hard = (world_table(0, "nli", "train", "en", 50, hard=hard) for hard in (0.0, 0.5))
    assert not easy["text_a"].equals(hard["text_a"])


def test_grammars_follow_the_real_languages():
    said = {"agent": "dog", "agent_adjective": "big", "verb": "see", "patient": "Anna", "negated": 1} | {
        "adposition": "in",
        "place": "house",
    }
    assert sentence("en", "SVO", **said) == "the big dog not see Anna in house"
    assert sentence("fr", "SVO", **said) == "the dog big see not Anna in house"
    assert sentence("ja", "SOV", **said) == "big dog house in Anna obj see not"
    assert sentence("tr", "SOV", **said).startswith("big dog house in Anna obj see")
    assert [order for order, _ in grammar("mg").orders] == ["VOS"]
    others = {order for language in LANGUAGES if language != "mg" for order, _ in grammar(language).orders}
    assert "VOS" not in others and {"SVO", "SOV", "VSO"} <= others


def test_all_languages_have_observed_features():
    _, observed = syntax_features()
    assert all(np.isfinite(observed[language]).sum() >= 60 for language in LANGUAGES)


def test_related_languages_share_more_words_than_unrelated_ones():
    def shared_forms(seed, language):
        forms, english = (np.delete(lexicons(seed)[code], SHARED) for code in (language, "en"))
        return np.mean(forms == english)

    mean = {code: np.mean([shared_forms(seed, code) for seed in range(5)]) for code in LANGUAGES}
    assert mean["en"] == 1 and mean["nl"] > mean["es"] + 0.1 and mean["es"] > mean["tr"] + 0.05
    assert all(0.2 < mean[code] < 0.5 for code in ("tr", "ja", "sw", "ar"))
    assert all(len({lexicons(0)[code][concept] for code in LANGUAGES}) == 1 for concept in SHARED)


def test_code_mixing_replaces_about_that_share_of_the_words():
    plain, mixed = (world_table(0, "text", "train", "ja", 1000, code_mixing=share) for share in (0.0, 0.2))
    pairs = [(a, b) for texts in zip(plain["text"].to_pylist(), mixed["text"].to_pylist(), strict=True)
             for a, b in zip(*map(str.split, texts), strict=True)]  # fmt: skip
    japanese, english = lexicons(0)["ja"], set(lexicons(0)["en"])
    foreign = {word for word in japanese if word not in english}
    changed = [a != b for a, b in pairs if a in foreign]
    assert 0.17 < np.mean(changed) < 0.23
    assert all(b in english for a, b in pairs if a != b)


def test_tables_depend_on_the_seed():
    assert not world_table(4, "nli", "test", "cy", 20).equals(world_table(3, "nli", "test", "cy", 20))


def test_text_has_only_words_of_its_language():
    rows = world_table(3, "text", "train", "cy", 200).to_pylist()
    assert {word for row in rows for word in f"{row['text']} {row['text_b']}".split()} <= set(lexicons(3)["cy"])


def test_tables_are_the_same_in_another_process():
    code = (
        "import hashlib, json\nfrom xstilts.data.world.tables import world_table\n"
        "t = world_table(7, 'text', 'train', 'ar', 40, code_mixing=0.1)\n"
        "print(hashlib.sha256(json.dumps(t.to_pylist()).encode()).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert elsewhere == digest(world_table(7, "text", "train", "ar", 40, code_mixing=0.1))


def test_items_are_those_of_a_recorded_digest():
    rows = [world_table(1, kind, "train", "cy", 30, code_mixing=0.1).to_pylist() for kind in KINDS]
    assert hashlib.sha256(json.dumps(rows).encode()).hexdigest() == (
        "3d6ad95843199b1a9e6f0f7c55a6eaa41667c9f411aa34898ecb62af5368d62c"
    )


def test_the_world_has_english_first_and_families_of_real_languages():
    assert 16 <= len(LANGUAGES) <= 18 and LANGUAGES[0] == "en"
    assert PATHS["mg"][0][0] == "Austronesian"


@pytest.mark.parametrize("names", [("nil", "train", "en"), ("nli", "trian", "en"), ("nli", "train", "xx")])
def test_unknown_names_are_refused(names):
    with pytest.raises(XstiltsError) as error:
        world_table(0, *names, 1)
    assert error.value.kind == "unknown-name"
