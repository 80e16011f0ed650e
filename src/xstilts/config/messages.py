"""Mistakes in YAML written by people: reported all at once, each with its line and the closest valid name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import Entry

Place = tuple[str | int, ...]
"""The keys (and numbers of list items) that lead to a setting."""
Mistake = tuple[Place, str]


@dataclass
class YamlFile:
    """The settings of a YAML file, the line of each of them by its place, and the keys that are given twice.

    A text in a list also has its line under the place that ends in the text itself.
    """

    origin: str
    settings: dict[str, Any]
    lines: dict[Place, int]
    doubled: list[Mistake]

    def check(self, mistakes: Iterable[Mistake]) -> None:
        """Raise XstiltsError that lists these mistakes and keys that are given twice, by line, if there are any.

        The line of a setting that the file does not have is that of the closest one above it.
        """
        listed = set()
        for place, what in (*self.doubled, *mistakes):
            above = max((place[:i] for i in range(len(place) + 1) if place[:i] in self.lines), key=len)
            listed.add((self.lines[above], ".".join(map(str, place)) or "file", what))
        if listed:
            what = f"{self.origin}: {len(listed)} mistake{'s' if len(listed) > 1 else ''}"
            why = "\n".join(f"  line {line}, {place}: {mistake}" for line, place, mistake in sorted(listed))
            hint = "fix these lines; docs/studies.md and docs/tasks.md explain every setting"
            raise XstiltsError("bad-setting", what, why, hint)


def parse(text: str, origin: str) -> YamlFile:
    """Read a YAML text that must be a mapping; raises XstiltsError otherwise."""
    lines: dict[Place, int] = {}
    try:
        settings = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        doubled = list(_number_lines(node, (), lines)) if node and isinstance(settings, dict) else []
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise XstiltsError("bad-file", f"{origin} is not YAML", why, "check its indentation and quotes") from None
    except RecursionError:
        why = "a YAML alias stands inside the part of the file that it names"
        raise XstiltsError("bad-file", f"{origin} contains itself", why, "write that part out") from None
    if not isinstance(settings, dict):
        why = "it must be a mapping of settings"
        raise XstiltsError("bad-file", f"{origin} is not a mapping", why, "see docs/studies.md and docs/tasks.md")
    return YamlFile(origin, settings, lines, doubled)


def _number_lines(node: yaml.Node, place: Place, lines: dict[Place, int]) -> Iterator[Mistake]:
    """Fill `lines`, and yield the keys that are given twice."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            plain = key.tag.rpartition(":")[2] not in ("bool", "int")
            inner, line = (*place, key.value if plain else yaml.safe_load(key.value)), key.start_mark.line + 1
            if key.value in first:
                yield inner, f"'{key.value}' is given twice, first in line {first[key.value]}"
            first[key.value] = lines[inner] = line
            yield from _number_lines(value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            if isinstance(value, yaml.ScalarNode):
                lines[(*place, value.value)] = value.start_mark.line + 1
            yield from _number_lines(value, (*place, i), lines)


def unknown(name: str, known: Iterable[str], kind: str) -> Iterator[str]:
    """The message about a name that is not among the known ones; `kind` says what it should name."""
    known = list(known)
    if name not in known:
        hint = did_you_mean(name, known)
        yield f"unknown {kind} '{name}'" + (f"; {hint}" if hint else "")


def reject(mistakes: Iterable[tuple[str, str]]) -> None:
    """Raise all of these mistakes in one ValidationError, each at its setting ("" is the entry as a whole).

    Inside a validator, pydantic adds them to the other errors of the model.
    """
    details = []
    for setting, what in mistakes:
        kind = PydanticCustomError("mistake", "{what}", {"what": what})
        details.append(InitErrorDetails(type=kind, loc=(setting,) if setting else (), input=None))
    if details:
        raise ValidationError.from_exception_data("settings", details)


def mistakes_of(error: ValidationError, above: Place = ()) -> Iterator[Mistake]:
    """What a ValidationError says, as mistakes; `above` is the place of the model that it is about."""
    for item in error.errors():
        kind, value, message = item["type"], item["input"], item["msg"].removeprefix("Value error, ")
        # pydantic also names the class of a data source, and marks keys
        inner: Place = tuple(part for part in item["loc"] if part != "[key]" and not str(part).endswith("Source"))
        if kind == "extra_forbidden":
            name = str(inner[-1])
            [message] = unknown(name, _setting_names(Entry) - {name}, "setting")
        elif kind == "missing":
            message = "is missing"
        elif kind in ("string_type", "invalid_key") and isinstance(value, bool):
            words, example = ("yes, on and true", "yes") if value else ("no, off and false", "no")
            reading = f"YAML reads bare {words} as {value}"
            message = f"must be text, found {value}: {reading}; put the word in quotes: '{example}'"
        elif kind in ("string_type", "invalid_key"):
            detail = ", found nothing" if value is None else f", found {value}: put it in quotes: '{value}'"
            message = "must be text" + ("" if isinstance(value, dict | list) else detail)
        elif kind in ("tuple_type", "list_type"):
            message = "must be a list" + ("" if isinstance(value, dict) else f", found {value!r}: write ['{value}']")
            if isinstance(value, bool):
                message = f"must be a list of words, found {value}: write {['yes' if value else 'no']}"
        elif kind != "mistake":
            message = message[:1].lower() + message[1:]
            message += "" if isinstance(value, dict | list) else f", found {value!r}"
        yield (*above, *inner), message


def _setting_names(model: type[BaseModel]) -> set[str]:
    """The settings of a model and of everything derived from it."""
    return {*model.model_fields}.union(*map(_setting_names, model.__subclasses__()))
