"""What is known of an encoder besides its weights: its licence, and the languages of its pretraining."""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Published:
    """name: the repository, or the folder's name; licence: "" if it is not stated; languages: codes, () if unknown."""

    name: str
    licence: str = ""
    languages: tuple[str, ...] = ()


def published(load: str) -> Published:
    """What is known of a model on the hub by its repository, or of one in a folder by the card in it (README.md).

    >>> published("intfloat/multilingual-e5-small").licence, len(published("FacebookAI/xlm-roberta-base").languages)
    ('MIT', 93)
    """
    folder, table = Path(load), _table()
    if not folder.is_dir():
        facts = table.get(load, {})
        return Published(load, facts.get("licence", ""), tuple(facts.get("languages", "").split()))
    card = front_matter(folder / "README.md")
    base = card.get("base_model")
    origin = table.get(base[0] if isinstance(base, list) and base else str(base), {})
    licence = str(card.get("license") or origin.get("licence", ""))
    return Published(folder.resolve().name, licence, tuple(origin.get("languages", "").split()))


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
def _table() -> dict[str, dict[str, str]]:
    return dict(yaml.safe_load(files("xstilts.models").joinpath("published.yaml").read_text(encoding="utf-8")))
