"""Studies of a few seconds, one for each path through a training, on which faults.py and kills.py try their faults.

They are the built-in `pocket` with few examples and short trainings; each is a dictionary of its YAML file.
"""

import json
import random
from pathlib import Path
from typing import Any

Settings = dict[str, Any]

RECIPE = {"learning_rate": 2.0e-3}
SMALL = {"examples": 200, "epochs": 1, "recipe": RECIPE}
TAGS = ("O", "B-PER", "B-LOC")
LANGUAGES = ("en", "de", "nl", "tr", "ja", "sw", "ar")


def _few(name: str, **examples: int) -> Settings:
    return {"extends": name, "source": {"rows": examples}}


TASKS = {
    "tiny-text": _few("pocket-text", train=300),
    "tiny-nli": _few("pocket-nli", train=300, validation=60, test=60),
    "tiny-paws": _few("pocket-paws", train=300, validation=60, test=60),
    "tiny-qa": _few("pocket-qa", train=200, validation=40),
    "tiny-tatoeba": _few("pocket-tatoeba", test=40),
}
TAGGED = {
    "type": "tagging",
    "max_length": 64,
    "labels": list(TAGS),
    "languages": list(LANGUAGES),
    "source": {
        "format": "tagged",
        "files": {split: f"{split}-{{lang}}.conll" for split in ("train", "validation", "test")},
        "columns": {"tokens": 0, "tags": 1},
    },
}
BASE: Settings = {
    "extends": "pocket",
    "replicates": 1,
    "languages": {"candidates": list(LANGUAGES[1:]), "always_held_out": None, "minimum": 2},
    "tasks": TASKS,
    "encoders": {"pocket": {"seeds": 1, "pretrain": {"corpus": "tiny-text", "updates": 50}}},
    "intermediate": {"nli": {"task": "tiny-nli", **SMALL}},
    "arms": {
        **dict.fromkeys(("english", "near", "english-again", "in-language")),
        "far": {"intermediate": "nli", "languages": "far", "count": 2},
    },
    "targets": {
        **dict.fromkeys(("pocket-nli", "pocket-paws", "pocket-tatoeba")),
        "tiny-nli": {"training": SMALL},
    },
    "primary": ["tiny-nli"],
    "contrasts": ["far - none"],
    "controls": [],
    "quick": None,
}

LETTERS = {"model": "bpe", "size": 500, "segments": None}
TAGGING: Settings = {
    "tasks": {"tagged": TAGGED},
    "intermediate": {"tags": {"task": "tagged", **SMALL}},
    "arms": {"far": {"intermediate": "tags"}},
    "encoders": {"pocket": {"pretrain": {"vocabulary": LETTERS, "config": {"initializer_range": 0.02}}}},
    "targets": {"tiny-nli": None, "tagged": {"training": SMALL}},
    "primary": ["tagged"],
}

STUDIES: dict[str, Settings] = {
    "classification": {"checkpoint": "best", "targets": {"tiny-tatoeba": {"layers": [1]}}},
    "tagging": TAGGING,
    "qa": {
        "targets": {"tiny-nli": None, "tiny-qa": {"test": "validation", "training": SMALL}},
        "primary": ["tiny-qa"],
    },
    "mixture": {
        "checkpoint": "average",
        "intermediate": {
            "paws": {"task": "tiny-paws", **SMALL},
            "both": {"mixture": {"nli": 1, "paws": 0.5}, "examples": 300, "recipe": RECIPE},
        },
        "arms": {"far": {"intermediate": "both", "languages": "all", "count": None}},
    },
    "masked": {
        "arms": {
            "far": {"mlm": {"corpus": "tiny-text", "share": 0.3, "languages": "sources"}},
            "alone": {"intermediate": "nli", "mlm": {"corpus": "tiny-text", "share": 1}},
        },
    },
    "oracle": {
        "arms": {"in-language": {"intermediate": "nli", "languages": "held-out", "count": 3, "role": "control"}},
        "targets": {"tiny-nli": {"oracle": "validation"}},
        "controls": ["in-language - none"],
    },
    "retry": {**TAGGING, "arms": {name: {"intermediate": "tags"} for name in ("english", "far")}},
    "two-processes": {},
    "discard": {},
}
"""What each study changes of `BASE`."""
OPTIONS = {"two-processes": ("--ranks", "2"), "discard": ("--keep-models", "none")}
"""Options of `xstilts study` for some of them."""


def merge(base: Settings, changes: Settings) -> Settings:
    """`base` with `changes`, mapping by mapping."""
    merged = dict(base)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = merge(base[name], value) if both else value
    return merged


def write_study(name: str, folder: Path) -> list[str]:
    """Write a study with its data into a folder; the words that run it there after `xstilts`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = merge(BASE, {"name": name, "question": f"Does {name} survive?", **STUDIES[name]})
    (folder / "study.yaml").write_text(json.dumps(settings, indent=1))  # JSON is YAML
    words = ["study", "study.yaml", "--out", "runs/tiny", "--jobs", "2", "--threads", "1", *OPTIONS.get(name, ())]
    if "tagged" in settings["tasks"]:
        _write_tagged(folder / "data", learnable=name != "retry")
        words += ["--data", "data"]
    return words


def _write_tagged(folder: Path, learnable: bool) -> None:
    """Sentences of made-up words, whose first letter decides their tag in every language.

    learnable: False gives the training examples in other languages than English tags that follow from nothing.
    """
    rng = random.Random(1)
    folder.mkdir(exist_ok=True)
    for number, code in enumerate(LANGUAGES):
        for split, count in (("train", 200), ("validation", 40), ("test", 40)):
            lines = []
            for sentence in range(count):
                for position in range(4 + sentence % 3):
                    kind = (sentence * (position + 2) + number) % len(TAGS)
                    word = f"{'abc'[kind]}{code}{split[0]}{sentence % 17}{position}"
                    random_tag = not learnable and split == "train" and code != "en"
                    lines.append(f"{word}\t{rng.choice(TAGS) if random_tag else TAGS[kind]}")
                lines.append("")
            (folder / f"{split}-{code}.conll").write_text("\n".join(lines) + "\n")
