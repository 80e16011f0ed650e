"""The nine tasks of XTREME as its own `evaluate.py` defines them: languages, label words, groups."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["labels", "tags", "answers", "pairs", "indices"]


@dataclass(frozen=True)
class Target:
    """One task of the benchmark. `kind` is what a line or an entry of its files is; `words` are the label words
    (empty where any text or number may stand)."""

    kind: Kind
    group: str
    languages: tuple[str, ...]
    words: tuple[str, ...] = ()

    @property
    def aligned(self) -> bool:
        """Whether line i of the predictions answers line i of the labels."""
        return self.kind in ("labels", "indices", "tags")

    def file(self, language: str) -> str:
        """The name of a language's file below the task's folder."""
        return f"test-{language}.{'json' if self.kind == 'answers' else 'tsv'}"


def _codes(text: str) -> tuple[str, ...]:
    return tuple(text.split())


UPOS = _codes("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X")
ENTITIES = _codes("O B-LOC I-LOC B-ORG I-ORG B-PER I-PER")

TARGETS: dict[str, Target] = {
    "pawsx": Target("labels", "classification", _codes("de en es fr ja ko zh"), ("0", "1")),
    "xnli": Target(
        "labels",
        "classification",
        _codes("ar bg de el en es fr hi ru sw th tr ur vi zh"),
        ("entailment", "neutral", "contradiction"),
    ),
    "panx": Target(
        "tags",
        "tagging",
        _codes(
            "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur "
            "fa fr it pt es bg ru ja ka ko th sw yo my zh kk tr et fi hu"
        ),
        ENTITIES,
    ),
    "udpos": Target(
        "tags",
        "tagging",
        _codes("af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh"),
        UPOS,
    ),
    "bucc2018": Target("pairs", "retrieval", _codes("de fr ru zh")),
    "tatoeba": Target(
        "indices",
        "retrieval",
        _codes(
            "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur "
            "fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi hu"
        ),
    ),
    "xquad": Target("answers", "qa", _codes("en es de el ru tr ar vi th zh hi")),
    "mlqa": Target("answers", "qa", _codes("en es de ar hi vi zh")),
    "tydiqa": Target("answers", "qa", _codes("en ar bn fi id ko ru sw te")),
}
"""In the order of `evaluate.py`, from which languages and groups are taken (English stands where it is listed)."""

GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(name for name, target in TARGETS.items() if target.group == group)
    for group in ("classification", "tagging", "qa", "retrieval")
}
