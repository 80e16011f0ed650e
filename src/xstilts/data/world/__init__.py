"""Artificial languages: a small world with one meaning and many grammars, in which zero-shot transfer is real.

Each language borrows its grammar from the syntax features of the real language of its name and its words from a
family tree. Text for pretraining is not parallel; item i of a task means the same in all languages.
"""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from xstilts.data.world.concepts import LANGUAGES, PATHS
from xstilts.data.world.grammar import grammar
from xstilts.data.world.lexicon import lexicons, shared_forms
from xstilts.data.world.tables import ROWS
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.task_types import SCHEMAS as TYPES

__all__ = ["LANGUAGES", "SCHEMAS", "World"]

SCHEMAS: dict[str, pa.Schema] = {
    "text": TYPES["mlm"],
    "nli": TYPES["classification"],
    "paws": TYPES["classification"],
    "qa": TYPES["qa"],
    "retrieval": TYPES["retrieval"],
}
"""Arrow schema of each kind of table. `text_b` of `text` is the second sentence of a document."""


class World:
    """A world: its preferences, words and items follow from `seed`, its grammars from the real languages.

    `code_mixing` is the share of words in pretraining text that are said in English.
    """

    def __init__(self, seed: int, languages: tuple[str, ...] | None = None, code_mixing: float = 0.0) -> None:
        self.seed, self.code_mixing = seed, code_mixing
        self.languages = LANGUAGES if languages is None else languages
        for language in self.languages:
            _check("language", language, LANGUAGES)

    def table(self, kind: str, split: str, language: str, n: int, **parameters: float) -> pa.Table:
        """The first n items of a split ('train', 'validation', 'test') in one language.

        `nli` takes `hard`, the share of neutral items that differ by a content word or by roles, and `paws` takes
        `passive`, the share of restatements in the passive; items of other parameters are other items. An item of
        `retrieval` is two rows.
        """
        _check("kind of data", kind, SCHEMAS)
        _check("language", language, self.languages)
        if kind == "text":
            parameters = {"code_mixing": self.code_mixing, **parameters}
        rows = list(ROWS[kind](self.seed, split, language, n, **parameters))
        schema = SCHEMAS[kind]
        columns = zip(*rows, strict=True) if rows else [()] * len(schema)
        return pa.table([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema)

    def words(self) -> list[str]:
        """All word forms of the world's languages, sorted: the vocabulary of a word-level tokenizer."""
        languages = {"en", *self.languages} if self.code_mixing else {*self.languages}
        return sorted({form for language in languages for form in lexicons(self.seed)[language]})

    def facts(self) -> dict[str, dict[str, Any]]:
        """For each language its family, grammar, and share of forms that it has in common with English."""
        return {
            language: {
                "family": PATHS[language][0][0],
                "grammar": asdict(grammar(language)),
                "shared_forms": shared_forms(self.seed, language),
            }
            for language in self.languages
        }


def _check(what: str, word: str, known: Iterable[str]) -> None:
    if word not in known:
        hint = did_you_mean(word, known) or f"choose one of {', '.join(known)}"
        raise XstiltsError("unknown-name", f"unknown {what} '{word}'", "this artificial world does not have it", hint)
