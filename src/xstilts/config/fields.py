"""Fields of the entries of a study file that several kinds of entry share, and entries with rules about their fields.

Names of other entries are checked if the validation context maps each kind of entry ("task", "arm", …) to the known
names.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from xstilts.config.messages import SHOWN, reject, unknown
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.tasks.data_source import Entry

Positive = Annotated[int, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
LONGEST_NAME, LONGEST_PATH = 255, 4000
"""Bytes of a file's name, and of a path, on the file systems that are in use."""
Names = Mapping[str, Collection[str]]
"""The names of the entries of each kind: the validation context, or empty if names are not checked."""


def checked(messages: Callable[[str, Names], Iterable[str]]) -> AfterValidator:
    """A validator that rejects a text with all messages about it."""

    def check(text: str, info: ValidationInfo) -> str:
        reject(("", message) for message in messages(text, info.context or {}))
        return text

    return AfterValidator(check)


def reference(kind: str, optional: bool = False) -> AfterValidator:
    """A validator that rejects the name of an unknown entry; "" names none if it is optional."""
    return checked(
        lambda name, names: unknown(name, names[kind], kind) if (name or not optional) and kind in names else ()
    )


def language_messages(code: str, names: Names) -> Iterator[str]:
    """Messages about the code of a language that is unknown or not the preferred one."""
    try:
        preferred = language(code).code
    except XstiltsError as error:
        yield f"{error.what}; {error.hint}"
    else:
        if preferred != code:
            yield f"write '{preferred}' instead of '{code}'"


def check_unique(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names; rejects one that occurs twice."""
    reject((name, f"names '{name}' twice") for name, count in Counter(names).items() if count > 1)
    return names


def check_languages(codes: tuple[str, ...]) -> tuple[str, ...]:
    """The codes of languages; rejects those that `language_messages` is about, the first ones of many."""
    mistakes = ((i, message) for i, code in enumerate(codes) for message in language_messages(code, {}))
    reject(islice(mistakes, SHOWN))
    return check_unique(codes)


def path_messages(path: str, names: Names) -> Iterator[str]:
    """The message about a path that no file can have."""
    if len(path.encode()) > LONGEST_PATH or any(len(part.encode()) > LONGEST_NAME for part in path.split("/")):
        yield f"is too long for a path: a name has at most {LONGEST_NAME} bytes"


TaskName = Annotated[str, reference("task", optional=True)]
TrainingName = Annotated[str, reference("intermediate training", optional=True)]
PartName = Annotated[str, reference("intermediate training")]
TranslatorName = Annotated[str, reference("translator", optional=True)]
ArmName = Annotated[str, reference("arm", optional=True)]
LanguageCode = Annotated[str, checked(language_messages)]
LanguageCodes = Annotated[tuple[str, ...], AfterValidator(check_languages)]
FilePath = Annotated[str, checked(path_messages)]
TargetNames = Annotated[tuple[Annotated[str, reference("target")], ...], AfterValidator(check_unique)]
Rules = list[tuple[bool, str, str]]
"""Whether a rule is broken, the setting that is wrong ("" is the whole entry), and the message."""


class Checked(Entry):
    """An entry with rules about several of its settings."""

    def rules(self) -> Rules:
        """The rules, broken or not."""
        return []

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        reject((setting, message) for broken, setting, message in self.rules() if broken)
        return self
