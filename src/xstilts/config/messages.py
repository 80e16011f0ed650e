"""Mistakes in YAML written by people: reported all at once, each with its line and the closest valid name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import Entry

Place = tuple[str | int, ...]
"""The keys (and numbers of list items) that lead to a setting."""
Mistake = tuple[Place, str]
LARGEST_FILE = 1_000_000
"""Bytes of a YAML file; the largest that comes with the package has 15,000."""
LARGEST, DEEPEST = 20_000, 50
"""Values in a file with its aliases written out, and levels of nesting: an alias of aliases of aliases would take hours
and all memory."""
LONGEST_NUMBER = 2**63
"""One more than the largest whole number that data formats hold."""
SHOWN = 100
"""How many mistakes an error lists; the rest are counted."""


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
            why = "\n".join(f"  line {line}, {place}: {mistake}" for line, place, mistake in sorted(listed)[:SHOWN])
            why += f"\n  and {len(listed) - SHOWN:,} more" if len(listed) > SHOWN else ""
            hint = "fix these lines; docs/studies.md and docs/tasks.md explain every setting"
            raise XstiltsError("bad-setting", what, why, hint)


class _Loader(yaml.SafeLoader):
    """The safe loader, for which every value that cannot be read is a YAMLError with its line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int) and abs(value) >= LONGEST_NUMBER:
                raise ValueError("whole numbers lie between -2^63 and 2^63")
            if isinstance(value, str):
                value.encode()  # half of a surrogate pair is no text
                if "\0" in value:
                    raise ValueError("text has no NUL characters")
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            kind, shown = node.tag.rpartition(":")[2], f"{node.value!r:.60}"
            raise yaml.constructor.ConstructorError(
                None, None, f"{shown} cannot be read as {kind} ({str(error)[:100]})", node.start_mark
            ) from None
        return value


def read_yaml(path: Path) -> YamlFile:
    """Read a YAML file, as `parse` does; raises XstiltsError if it is larger than any study or task file is."""
    if (size := path.stat().st_size) > LARGEST_FILE:
        why = f"it has {size:,} bytes; a study or task file has at most {LARGEST_FILE:,}"
        raise XstiltsError("bad-file", f"{path} is too large", why, "check the path; data are in files of their own")
    return parse(path.read_text(encoding="utf-8", errors="replace"), str(path))


def parse(text: str, origin: str) -> YamlFile:
    """Read a YAML text that must be a mapping; raises XstiltsError otherwise."""
    lines: dict[Place, int] = {}
    settings, doubled = None, []
    try:
        loader = _Loader(text)
        if node := loader.get_single_node():
            _check_extent(node, origin, {})
            if isinstance(node, yaml.MappingNode):
                doubled = list(_number_lines(loader, node, (), lines))
            settings = loader.construct_document(node)
    except yaml.YAMLError as error:
        why = " ".join(str(error).split())
        raise XstiltsError("bad-file", f"{origin} is not YAML", why, "check its indentation and quotes") from None
    except RecursionError:
        raise _too_deep(origin) from None
    if not isinstance(settings, dict):
        why = "it must be a mapping of settings"
        raise XstiltsError("bad-file", f"{origin} is not a mapping", why, "see docs/studies.md and docs/tasks.md")
    return YamlFile(origin, settings, lines, doubled)


def _check_extent(node: yaml.Node, origin: str, known: dict[int, tuple[int, int]]) -> tuple[int, int]:
    """How many values a node has with aliases written out, and levels of nesting; raises XstiltsError for too many.

    known: those of the nodes that were seen, by id; (0, 0) while a node is counted, which only an alias of a part that
    it stands in meets again.
    """
    if id(node) in known:
        if known[id(node)] == (0, 0):
            why = "a YAML alias stands inside the part of the file that it names"
            raise XstiltsError("bad-file", f"{origin} contains itself", why, "write that part out")
        return known[id(node)]
    known[id(node)] = size, depth = 0, 0
    values = [] if isinstance(node, yaml.ScalarNode) else node.value
    for value in values:
        for inner in value if isinstance(value, tuple) else (value,):
            inner_size, inner_depth = _check_extent(inner, origin, known)
            size, depth = size + inner_size, max(depth, inner_depth)
    if size >= LARGEST:
        line = node.start_mark.line + 1
        why = f"with its aliases written out, the part that begins in line {line} has more than {LARGEST:,} values"
        raise XstiltsError("bad-file", f"{origin} is too large", why, "write a smaller file")
    if depth >= DEEPEST:
        raise _too_deep(origin)
    known[id(node)] = size + 1, depth + 1
    return known[id(node)]


def _too_deep(origin: str) -> XstiltsError:
    why = f"settings have at most {DEEPEST} levels"
    return XstiltsError("bad-file", f"{origin} is nested too deeply", why, "check its brackets and indentation")


def _number_lines(loader: _Loader, node: yaml.Node, place: Place, lines: dict[Place, int]) -> Iterator[Mistake]:
    """Fill `lines`, and yield the keys that are given twice."""
    lines.setdefault(place, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):  # the loader refuses it
                continue
            plain = key.tag.rpartition(":")[2] not in ("bool", "int")
            inner, line = (*place, key.value if plain else loader.construct_object(key)), key.start_mark.line + 1
            if key.value in first:
                yield inner, f"'{key.value}' is given twice, first in line {first[key.value]}"
            first[key.value] = lines[inner] = line
            yield from _number_lines(loader, value, inner, lines)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            if isinstance(value, yaml.ScalarNode):
                lines[(*place, value.value)] = value.start_mark.line + 1
            yield from _number_lines(loader, value, (*place, i), lines)


def unknown(name: str, known: Iterable[str], kind: str) -> Iterator[str]:
    """The message about a name that is not among the known ones; `kind` says what it should name."""
    known = list(known)
    if name not in known:
        hint = did_you_mean(name, known)
        yield f"unknown {kind} '{name}'" + (f"; {hint}" if hint else "")


def reject(mistakes: Iterable[tuple[str | int, str]]) -> None:
    """Raise all of these mistakes in one ValidationError, each at its setting or list item ("" is the whole entry).

    Inside a validator, pydantic adds them to the other errors of the model.
    """
    details = []
    for setting, what in mistakes:
        kind = PydanticCustomError("mistake", "{what}", {"what": what})
        details.append(InitErrorDetails(type=kind, loc=() if setting == "" else (setting,), input=None))
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
