"""What is known of an encoder before its weights are at hand: type, licence, languages of its pretraining."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from xstilts.errors import XstiltsError
from xstilts.hashing import folder_digest


@dataclass(frozen=True)
class Published:
    """name: the repository, or the folder's name; licence: "" if it is not stated; languages: codes of the pretraining,
    () if unknown; model: type in `transformers`, "" if unknown, which decides what heads there are; mlm: whether its
    files have the head of masked language modelling; weight_bytes: per weight, as stored; prefix: what texts begin with
    in its training.
    """

    name: str
    licence: str = ""
    languages: tuple[str, ...] = ()
    model: str = ""
    mlm: bool = True
    weight_bytes: int = 4
    prefix: str = ""


def published(load: str) -> Published:
    """What is known of a model on the hub by its repository, or of one in a folder by the card in it (README.md).

    >>> published("intfloat/multilingual-e5-small").licence, len(published("FacebookAI/xlm-roberta-base").languages)
    ('MIT', 93)
    """
    folder, table = Path(load), _table()
    if not folder.is_dir():
        return table.get(load, Published(load))
    card = front_matter(folder / "README.md")
    base = card.get("base_model")
    origin = table.get(base[0] if isinstance(base, list) and base else str(base), Published(""))
    return Published(folder.resolve().name, str(card.get("license") or origin.licence), origin.languages)


@cache
def cc100_gigabytes() -> dict[str, float]:
    """Code → gigabytes of text in CC-100, the pretraining corpus of XLM-R, without romanised text.

    Conneau et al. 2020 (aclanthology.org/2020.acl-main.747), appendix A.

    >>> cc100_gigabytes()["sw"], "qu" in cc100_gigabytes()
    (1.6, False)
    """
    with files("xstilts.models").joinpath("cc100.csv").open(encoding="utf-8") as file:
        return {row["language"]: float(row["gigabytes"]) for row in csv.DictReader(file)}


def front_matter(card: Path) -> dict[str, Any]:
    """The YAML between the two lines `---` at the beginning of a model card; {} if there is none that can be read."""
    try:
        start, block, _ = card.read_text(encoding="utf-8").split("---", 2)
        facts = yaml.safe_load(block) if not start.strip() else {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return facts if isinstance(facts, dict) else {}


@cache
def _table() -> dict[str, Published]:
    entries = yaml.safe_load(files("xstilts.models").joinpath("published.yaml").read_text(encoding="utf-8"))
    table: dict[str, Published] = {}
    for name, facts in entries.items():
        if name[0] == ".":  # a list that entries share
            continue
        origin = table.get(facts.get("adapted_from", ""), Published(""))
        languages = tuple(dict.fromkeys((*origin.languages, *facts.get("languages", "").split())))
        described = {key: value for key, value in facts.items() if key not in ("adapted_from", "languages")}
        table[name] = Published(name, languages=languages, **described)
    return table


def check_unchanged(arguments: Mapping[str, Any]) -> None:
    """Raises XstiltsError if the folder `load` of a step no longer has the `content` with which it was planned."""
    if (content := arguments.get("content")) and content != folder_digest(Path(arguments["load"])):
        what, why = f"the files in {arguments['load']} have changed", "the plan was made from other content"
        raise XstiltsError("inconsistent", what, why, "run the same command again: it makes a new plan")
