"""Artificial languages: a small world with one meaning and many grammars, in which zero-shot transfer is real.

Each language has a grammar taken from the syntax features of the real language of its name, and words inherited along
a family tree. Text for pretraining is not parallel; item i of a task means the same in all languages.
"""

from dataclasses import asdict
from itertools import islice
from typing import Any

import pyarrow as pa

from xstilts.data.world.concepts import LANGUAGES, PATHS, check_known
from xstilts.data.world.grammar import grammar
from xstilts.data.world.lexicon import lexicons, shared_forms
from xstilts.data.world.tables import KINDS
from xstilts.tasks.task_types import SCHEMAS

__all__ = ["LANGUAGES", "World"]


class World:
    """A world: its preferences, words and items follow from `seed`, its grammars from the real languages.

    `code_mixing` is the share of words in pretraining text that are said in English.
    """

    def __init__(self, seed: int, languages: tuple[str, ...] = LANGUAGES, code_mixing: float = 0.0) -> None:
        self.seed, self.languages, self.code_mixing = seed, languages, code_mixing
        for language in languages:
            check_known("language", language, LANGUAGES)

    def table(self, kind: str, split: str, language: str, n: int, **parameters: float) -> pa.Table:
        """The first n items of a split ('train', 'validation', 'test') in one language.

        `nli` takes `hard`, the share of neutral items that differ by a content word or by roles, and `paws` takes
        `passive`, the share of restatements in the passive; items of other parameters are other items. An item of
        `retrieval` is two rows.

        >>> [World(seed=1).table("nli", "test", code, 1)["text_a"][0].as_py() for code in ("en", "de")]
        ['the cat push the bright bird', 'the cat the bright bird obj push']
        """
        check_known("kind of data", kind, KINDS)
        check_known("language", language, self.languages)
        if kind == "text":
            parameters = {"code_mixing": self.code_mixing, **parameters}
        task_type, stream = KINDS[kind]
        schema = SCHEMAS[task_type]
        rows = islice(stream(self.seed, split, language, **parameters), n * (2 if kind == "retrieval" else 1))
        columns = list(zip(*rows, strict=True)) or [()] * len(schema)
        return pa.table([pa.array(c, t) for c, t in zip(columns, schema.types, strict=True)], schema=schema)

    def words(self) -> list[str]:
        """All word forms of the world's languages, sorted: the vocabulary of a word-level tokenizer."""
        languages = {"en", *self.languages} if self.code_mixing else {*self.languages}
        return sorted({form for language in languages for form in lexicons(self.seed)[language]})

    def facts(self) -> dict[str, dict[str, Any]]:
        """The family, the grammar and the share of forms in common with English of each language."""
        return {
            language: {
                "family": PATHS[language][0][0],
                "grammar": asdict(grammar(language)),
                "shared_forms": shared_forms(self.seed, language),
            }
            for language in self.languages
        }
