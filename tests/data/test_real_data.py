"""Every folder of real data loads through a short entry, with the number of examples in its index."""

from pathlib import Path

import pytest

from xstilts.config.load import read_task_file
from xstilts.data.check import splits
from xstilts.data.examples import available, load_examples
from xstilts.languages import BENCHMARK_LANGUAGES, all_languages
from xstilts.tasks.task import catalogue

TASKS = {**catalogue(), **read_task_file(Path(__file__).parents[1] / "real_tasks.yaml")}
SIB200 = ["ay", "gn", *(language.code for language in all_languages()[:BENCHMARK_LANGUAGES])]
QUERIES = {"tatoeba", "bucc2018"}
COUNTS = {
    "xnli": {split: dict.fromkeys(TASKS["xnli"].languages, n) for split, n in (("validation", 2490), ("test", 501))},
    "pawsx": {"validation": dict.fromkeys(TASKS["pawsx"].languages, 2000)},
    "xquad": {"test": dict.fromkeys(["ar", "de", "el", "en", "es", "hi", "ro", "ru", "th", "tr", "vi", "zh"], 1190)},
    "lareqa": {"test": {"ar": 2385, "de": 2502, "el": 2405, "en": 2368, "es": 2370, "hi": 2429, "ru": 2405, "th": 2319,
                        "tr": 2382, "vi": 2360, "zh": 2392}},
    "mlqa": {"validation": {"ar": 337, "de": 482, "en": 415, "es": 500, "hi": 255, "vi": 331, "zh": 504}},
    "tydiqa": {"train": {"en": 1527, "ko": 982, "sw": 2755}},
    "bucc2018": {"dev": {"zh": 957 + 957}},
    "squad_v1": {"train": {"en": 44_427}, "validation": {"en": 10_570}},
    "squad_v2": {"validation": {"en": 11_873}},
    "hellaswag": {"validation": {"en": 10_042}},
    "cosmosqa": {"validation": {"en": 2985}},
    "commonsenseqa": {"validation": {"en": 200}},
    "siqa": {"validation": {"en": 1954}},
    "anli": {"r1": {"en": 1000}, "r2": {"en": 1000}, "r3": {"en": 1200}},
    "taxinli": {"train": {"en": 10_071}},
    "ocnli": {"train": {"zh": 10_000}, "validation": {"zh": 3000}},  # the last line has no end
    "indonli": {"train": {"id": 10_330}, "validation": {"id": 2197}, "test": {"id": 2201}},
    "farstail": {"train": {"fa": 7266}, "validation": {"fa": 1537}, "test": {"fa": 1564}},
    "jnli": {"validation": {"ja": 2434}},
    "jcommonsenseqa": {"train": {"ja": 8939}, "validation": {"ja": 1119}},
    "jsquad": {"validation": {"ja": 2258}},
    "sib200": {split: dict.fromkeys(SIB200, n)
               for split, n in (("train", 701), ("validation", 99), ("test", 204))},
    "masakhaner2": {"test": {"sn": 1773, "sw": 1883, "wo": 1312, "yo": 1964, "zu": 1670}},
    "ud": {"train": {"ta": 400, "te": 1051, "tr": 800, "vi": 1400}, "validation": {"en": 300},
           "test": {"en": 1000, "th": 400, "yo": 317, "ta": 120, "te": 146, "tr": 500, "ja": 250, "vi": 800,
                    "zh": 500}},
}  # fmt: skip


def counted(name, data, only=()):
    """Examples per split and language, unlabelled ones included; none are rejected or withheld."""
    task, counts = TASKS[name], {}
    for split in only or splits(task):
        codes = task.languages or tuple(language.code for language in all_languages())
        for code in available(task, split, codes, data, TASKS):
            examples = load_examples(task, split, code, data, TASKS)
            assert not examples.withheld and not examples.rejected
            counts.setdefault(split, {})[code] = len(examples.table) + examples.unlabelled
    return counts


@pytest.mark.parametrize("name", COUNTS)
def test_a_folder_has_the_number_of_examples_in_its_index(real_data, name):
    assert counted(name, real_data) == COUNTS[name]


@pytest.mark.parametrize(("name", "languages", "train", "en"), [("panx", 47, 47, 20_000), ("udpos", 34, 24, 10_000)])
def test_tagged_tasks_have_the_languages_and_examples_in_their_index(real_data, name, languages, train, en):
    counts = counted(name, real_data, only=("validation",))["validation"]
    assert len(counts) == languages and max(counts.values()) == 2000
    codes = tuple(language.code for language in all_languages())
    assert len(available(TASKS[name], "train", codes, real_data, TASKS)) == train
    assert len(load_examples(TASKS[name], "train", "en", real_data, TASKS).table) == en


def test_tatoeba_has_a_thousand_pairs_of_most_languages(real_data):
    counts = counted("tatoeba", real_data)
    fewer = {"jv": 205, "te": 234, "ta": 307, "sw": 390, "th": 548, "kk": 575, "ml": 687, "ka": 746}
    assert counts["test"] == {code: 2 * fewer.get(code, 1000) for code in TASKS["tatoeba"].languages}
