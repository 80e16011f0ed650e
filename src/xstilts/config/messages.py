"""Mistakes in YAML written by people: all at once, each with its line and the closest right name."""

from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages import language

Where = tuple[str | int, ...]
Problem = tuple[Where, str]
Lines = dict[Where, int]
"""The line of every setting, by its place."""


def parse(text: str, origin: str, lines: Lines) -> tuple[dict[str, Any], list[Problem]]:
    """The mapping that a YAML text is, and keys given twice; fills `lines`. Raises XstiltsError where it is none."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
        twice = list(_note_lines(node, (), lines)) if isinstance(raw, dict) else []
    except yaml.YAMLError as error:
        raise XstiltsError(
            "bad-file", f"{origin} is not YAML", " ".join(str(error).split()), "check its indentation"
        ) from None
    except RecursionError:
        raise XstiltsError(
            "bad-setting", f"{origin} holds itself", "an alias stands inside what it names", "write it out"
        ) from None
    if not isinstance(raw, dict):
        raise XstiltsError(
            "bad-setting", f"{origin} is no mapping", "it must be a mapping of settings", "see docs/studies.md"
        )
    return raw, twice


def _note_lines(node: Any, where: Where, lines: dict[Where, int]) -> Iterator[Problem]:
    """Fills `lines` with the line of every setting, and yields the keys that are given twice."""
    lines[where] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            place, line = (*where, key.value), key.start_mark.line + 1
            if key.value in seen:
                yield place, f"'{key.value}' is given twice, first in line {seen[key.value]}"
            seen[key.value] = line
            yield from _note_lines(value, place, lines)
            lines[place] = line
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            yield from _note_lines(value, (*where, i), lines)


def mistaken(origin: str, problems: list[Problem], lines: Lines) -> XstiltsError:
    """The error that tells all of them, in the order of their lines."""
    listed = sorted(problems, key=lambda problem: _line(problem[0], lines))
    return XstiltsError(
        "bad-setting",
        f"{origin}: {len(problems)} mistake{'s' if len(problems) > 1 else ''}",
        "\n".join(_describe(where, what, lines) for where, what in listed),
        "mend these lines; docs/studies.md explains every setting",
    )


def _line(where: Where, lines: dict[Where, int]) -> int:
    while where and where not in lines:
        where = where[:-1]
    return lines.get(where, 1)


def _describe(where: Where, what: str, lines: dict[Where, int]) -> str:
    return f"  line {_line(where, lines)}, {'.'.join(map(str, where)) or 'the study'}: {what}"


def shape_problems(error: ValidationError, model: type[BaseModel]) -> Iterator[Problem]:
    """What pydantic found wrong with the shape of a model's settings."""
    for item in error.errors():
        where: Where = tuple(part for part in item["loc"] if not _is_kind(part))
        if item["type"] == "extra_forbidden":
            hint = did_you_mean(str(where[-1]), _fields(item["loc"][:-1], model))
            yield where, f"unknown setting '{where[-1]}'" + (f"; {hint}" if hint else "")
        elif item["type"] == "missing":
            yield where, "is missing"
        else:
            found = item["input"]
            shown = "" if isinstance(found, dict | list) else f", found {found!r}"
            yield where, f"{item['msg'][:1].lower()}{item['msg'][1:]}{shown}"


def _is_kind(part: str | int) -> bool:
    """Whether a part of a place is the name of the kind of source that was meant, which nobody wrote."""
    return isinstance(part, str) and part.endswith("Source")


def _fields(where: Where, model: type[BaseModel]) -> list[str]:
    """The settings known at a place below a model."""
    inner = [model]
    for part in where:
        named = [m for m in inner if m.__name__ == part]
        known = [m for m in inner if part in m.model_fields]
        if named:
            inner = named
        elif known:
            inner = _models(known[0].model_fields[str(part)].annotation) or inner
    return list(inner[0].model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in getattr(annotation, "__args__", ()) for model in _models(inner)]


def mapping(raw: dict[str, Any], key: str) -> dict[str, Any]:
    """A raw setting that ought to be a mapping, empty where it is none: its shape is told elsewhere."""
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def listed(raw: dict[str, Any], key: str) -> list[Any]:
    """A raw setting that ought to be a list, empty where it is none."""
    value = raw.get(key)
    return value if isinstance(value, list) else []


def setting(entry: Any, key: str) -> Any:
    """A setting of a raw entry, None where it has none or is no mapping."""
    return entry.get(key) if isinstance(entry, dict) else None


def type_of(entry: Any) -> str:
    """The type of a raw task, "" where it says none."""
    return str(setting(entry, "type") or "")


def unknown(where: Where, name: str, known: dict[str, Any], what: str) -> Iterator[Problem]:
    """A name that nothing answers to; `what` it ought to name."""
    if name not in known:
        hint = did_you_mean(name, known)
        yield where, f"unknown {what} '{name}'" + (f"; {hint}" if hint else "")


def language_problems(where: Where, codes: Any) -> Iterator[Problem]:
    """Languages that there are not, or under another code than the one that data and splits have for them."""
    for i, code in enumerate(codes if isinstance(codes, list) else []):
        try:
            ours = language(str(code)).code
            if ours != code:
                yield (*where, i), f"write '{ours}' for '{code}'"
        except XstiltsError as error:
            yield (*where, i), f"{error.what}; {error.hint}"
