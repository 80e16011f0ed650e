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


@dataclass(frozen=True)
class YamlFile:
    """The settings of a YAML file, the line of each of them by its place, and the keys that are given twice.

    A text in a list also has its line under the place that ends in the text itself.
    """

    origin: str
    settings: dict[str, Any]
    lines: dict[Place, int]
    mistakes: list[Mistake]

    def line(self, place: Place) -> int:
        """The line of a setting, or of the closest one above it that the file has."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


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


def error_of(file: YamlFile, mistakes: Iterable[Mistake]) -> XstiltsError:
    """The error that lists all mistakes in a file, in the order of their lines."""
    listed = sorted({(file.line(place), ".".join(map(str, place)) or "file", what) for place, what in mistakes})
    return XstiltsError(
        "bad-setting",
        f"{file.origin}: {len(listed)} mistake{'s' if len(listed) > 1 else ''}",
        "\n".join(f"  line {line}, {place}: {what}" for line, place, what in listed),
        "fix these lines; docs/studies.md and docs/tasks.md explain every setting",
    )


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
        inner: Place = tuple(part for part in item["loc"] if not _is_tag(part))
        place, message = (*above, *inner), item["msg"].removeprefix("Value error, ")
        if item["type"] == "mistake":
            yield place, message
        elif item["type"] == "extra_forbidden":
            hint = did_you_mean(str(inner[-1]), _setting_names(Entry))
            yield place, f"unknown setting '{inner[-1]}'" + (f"; {hint}" if hint else "")
        elif item["type"] == "missing":
            yield place, "is missing"
        elif item["type"] in ("string_type", "invalid_key"):
            yield place, _not_a_text(item["input"])
        else:
            shown = "" if isinstance(item["input"], dict | list) else f", found {item['input']!r}"
            yield place, message[:1].lower() + message[1:] + shown


def _not_a_text(value: Any) -> str:
    """What to do about a value that should be text: YAML reads a bare `no` as false and `1` as a number."""
    if isinstance(value, bool):
        words, example = ("yes, on and true", "yes") if value else ("no, off and false", "no")
        return f"must be text, found {value}: YAML reads bare {words} as {value}; put the word in quotes: '{example}'"
    if isinstance(value, dict | list | None):
        return "must be text" + (", found nothing" if value is None else "")
    return f"must be text, found {value}: put it in quotes: '{value}'"


def _setting_names(model: type[BaseModel]) -> set[str]:
    """The settings of a model and of everything derived from it."""
    return {*model.model_fields}.union(*map(_setting_names, model.__subclasses__()))


def _is_tag(part: str | int) -> bool:
    """Whether a part of a pydantic location is no setting: the class of a data source, or the mark of a key."""
    return isinstance(part, str) and (part.endswith("Source") or part == "[key]")
