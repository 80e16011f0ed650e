"""Find the prediction files of two systems, and read from their names which language and seed each is of."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.tasks.xtreme import TARGETS

SUFFIXES = (".txt", ".conll", ".bio", ".iob", ".iob2", ".tsv", ".csv", ".jsonl", ".ndjson", ".json")
"""How names of prediction files end; other files of a folder are not read."""
QUOTE = "give two arguments, each a file, a folder or a quoted pattern: xstilts compare 'A/*.txt' 'B/*.txt'"
WITH_PATTERN = "name the parts of the file names, for example --pattern '{lang}.{seed}.txt'"
LANGUAGE = re.compile(r"(?<![A-Za-z0-9])[a-z]{2,3}(?:[-_][A-Z][a-z]{3})?(?:[-_][A-Z]{2})?(?![A-Za-z0-9])")
LANGUAGE_NAME = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{4,}(?![A-Za-z0-9])")
MARKED_SEED = re.compile(r"(?i)(?<![a-z0-9])(?:seed|run|replicate|rep|s)[-_.]?([0-9]+)(?![a-z0-9])")
BARE_SEED = re.compile(r"(?<![A-Za-z0-9])([0-9]+)(?![A-Za-z0-9])")
NO_LANGUAGE = {"pos", "run", "new", "old", "csv", "tsv", "bio", "raw", "one"}
"""Words of file names that are codes of small languages as well."""

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""A file, a folder, a pattern such as `A/*.txt`, or several files."""
Found = tuple[tuple[int, int], str]
"""What may be a language or seed in a path: where (part of the path from its end, number there), and its value."""


@dataclass(frozen=True)
class PredictionFile:
    """A file, with what its path says: the language and seed, "" if it names none, and the task of XTREME's layout."""

    path: Path
    language: str = ""
    seed: str = ""
    task: str = ""


def split_arguments(arguments: Sequence[str]) -> tuple[Paths, Paths]:
    """Which arguments of the command line are the left system's, and which the right one's.

    Two arguments are one each. More are files, which a shell made of patterns: those of the first folder are left,
    those of the second right. Raises XstiltsError if the files are not from exactly two folders.
    """
    if len(arguments) == 2:
        return arguments[0], arguments[1]
    folders: dict[Path, list[str]] = {}
    for argument in arguments:
        folders.setdefault(Path(argument).parent, []).append(argument)
    if len(folders) == 2 and all(Path(argument).is_file() for argument in arguments):
        left, right = folders.values()
        return left, right
    listed = ", ".join(map(str, list(folders)[:3])) + ", …" * (len(folders) > 3)
    what = f"cannot tell left from right in {len(arguments)} argument{'s' * (len(arguments) != 1)}"
    why = f"files of two folders are compared, and these are in {len(folders)} ({listed})"
    raise XstiltsError("bad-argument", what, why, QUOTE)


def list_files(paths: Paths) -> tuple[Path, list[Path]]:
    """The files that an argument names, and the folder from which their names count."""
    if not isinstance(paths, str | os.PathLike):
        files = [Path(path) for path in paths]
        if absent := [path for path in files if not path.is_file()]:
            raise XstiltsError("missing-file", f"there is no file {absent[0]}", "it was given", "check the path")
        return (Path(os.path.commonpath([path.parent for path in files])) if files else Path()), files
    path = Path(paths)
    if path.is_file():
        return path.parent, [path]
    if path.is_dir():
        below = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file())
        files = [each for each in below if not any(part.startswith(".") for part in each.relative_to(path).parts)]
        why = f"no name in it ends in {', '.join(SUFFIXES)}"
        root, what = path, f"there are no prediction files in {path}"
    else:
        parts = path.parts
        wild = next((i for i, part in enumerate(parts) if re.search(r"[*?[]", part)), None)
        if wild is None:
            raise XstiltsError(
                "missing-file", f"there is no {path}", "it is neither a file nor a folder", "check the path"
            )
        root = Path(*parts[:wild])
        files = sorted(each for each in root.glob(str(Path(*parts[wild:]))) if each.is_file())
        what, why = f"no file has a name like {path}", f"the pattern was looked up in {root.absolute()}"
    if not files:
        raise XstiltsError("missing-file", what, why, "check the path")
    return root, files


def system_names(left: Paths, right: Paths) -> tuple[str, str]:
    """The last parts of two paths that differ, without the suffix of a file; raises XstiltsError if they share one."""
    named = []
    for paths in (left, right):
        root, files = list_files(paths)
        path = files[0].with_suffix("") if isinstance(paths, str | os.PathLike) and Path(paths).is_file() else root
        named.append((files, path.absolute().parts))
    (left_files, left_parts), (right_files, right_parts) = named
    if {path.resolve() for path in left_files} & {path.resolve() for path in right_files}:
        what, why = "left and right have a file in common", f"both read {left_files[0]}"
        raise XstiltsError("bad-argument", what, why, "name the files of two systems")
    pairs = zip(reversed(left_parts), reversed(right_parts), strict=False)
    if differ := next((pair for pair in pairs if pair[0] != pair[1]), None):
        return differ
    return (left, right) if isinstance(left, str) and isinstance(right, str) else ("left", "right")


def read_names(root: Path, files: Sequence[Path], pattern: str = "") -> list[PredictionFile]:
    """The language, the seed and, in XTREME's layout, the task of each file, from its path below `root`.

    pattern: how paths end, with `{lang}` and `{seed}` (`*` is any text); by default the two are recognised. Raises
    XstiltsError if they cannot be told, or the path of a file does not end like the pattern.
    """
    names = [path.relative_to(root) if path.is_relative_to(root) else Path(path.name) for path in files]
    if pattern:
        return [_by_pattern(path, pattern) for path in files]
    targets = [_xtreme_target(path) for path in files]
    seeds = _choose("seed", files, [_seeds(name) for name in names])
    if all(targets):
        return [
            PredictionFile(path, code, seed, task)
            for path, (task, code), seed in zip(files, filter(None, targets), seeds, strict=True)
        ]
    codes = _choose("language", files, [_languages(name) for name in names])
    return [PredictionFile(path, code, seed) for path, code, seed in zip(files, codes, seeds, strict=True)]


def without_languages(files: Iterable[PredictionFile]) -> list[PredictionFile]:
    """The files, of one language that has no name."""
    return [replace(file, language="") for file in files]


def language_label(text: str) -> str:
    """The code of a language as the package writes it, with the script if it is not the usual one; other text as it is.

    >>> [language_label(text) for text in ("swa", "zho_Hans", "zho_Hant", "x1")]
    ['sw', 'zh', 'zh_Hant', 'x1']
    """
    try:
        known = language(text)
    except XstiltsError:
        return text
    return known.code if known.script == language(known.code).script else f"{known.code}_{known.script}"


def _xtreme_target(path: Path) -> tuple[str, str] | None:
    """The task and language of a file in XTREME's layout, None if it is in another one."""
    target = TARGETS.get(path.parent.name)
    codes = (code for code in target.languages if path.name == target.file(code)) if target else ()
    return next(((path.parent.name, code) for code in codes), None)


def _by_pattern(path: Path, pattern: str) -> PredictionFile:
    fields = re.findall(r"\{(\w*)\}", pattern)
    if not fields or not set(fields) <= {"lang", "seed"} or len(set(fields)) < len(fields):
        what, why = f"cannot use the pattern '{pattern}'", "it needs {lang}, {seed} or both, once each"
        raise XstiltsError("bad-argument", what, why, WITH_PATTERN)
    pieces = re.split(r"(\{lang\}|\{seed\}|\*)", pattern)
    patterns = {"{lang}": r"(?P<lang>[^/]+?)", "{seed}": r"(?P<seed>[^/]+?)", "*": "[^/]*"}
    match = re.search(
        "(?:^|/)" + "".join(patterns.get(each, re.escape(each)) for each in pieces) + "$", path.as_posix()
    )
    if not match:
        what, why = f"{path} does not fit the pattern", f"its path does not end like '{pattern}'"
        raise XstiltsError("bad-argument", what, why, WITH_PATTERN)
    values: Mapping[str, str] = match.groupdict()
    return PredictionFile(path, language_label(values.get("lang", "")), _without_zeros(values.get("seed", "")))


def _stem(part: str) -> str:
    """A file name without its endings that name a format."""
    while Path(part).suffix.lower() in SUFFIXES and Path(part).stem:
        part = Path(part).stem
    return part


def _found(name: Path, expression: re.Pattern[str]) -> list[tuple[tuple[int, int], re.Match[str]]]:
    """The matches in all parts of a path, with the place of each."""
    parts = [_stem(name.name), *reversed(name.parts[:-1])]
    return [((i, k), match) for i, part in enumerate(parts) for k, match in enumerate(expression.finditer(part))]


def _seeds(name: Path) -> list[Found]:
    """What may be the seed: a number after `seed` or `run`, else any number that stands alone."""
    marked = [(place, _without_zeros(match[1])) for place, match in _found(name, MARKED_SEED)]
    return marked or [(place, _without_zeros(match[1])) for place, match in _found(name, BARE_SEED)]


def _without_zeros(seed: str) -> str:
    return str(int(seed)) if seed.isdecimal() else seed


def _languages(name: Path) -> list[Found]:
    """What may be the language: a code, else an English name; in the file name, else in a folder's."""
    for expression in (LANGUAGE, LANGUAGE_NAME):
        found = []
        for place, match in _found(name, expression):
            try:
                known = match[0] not in NO_LANGUAGE and language(match[0])
            except XstiltsError:
                continue
            if known:
                found.append((place, language_label(match[0])))
        if found:
            nearest = min(place[0] for place, _ in found)
            return [each for each in found if each[0][0] == nearest]
    return []


def _choose(what: str, files: Sequence[Path], found: Sequence[list[Found]]) -> list[str]:
    """One value for each file, "" if no file has any: of several, those that differ between files."""
    if any(len(each) > 1 for each in found):
        values: dict[tuple[int, int], set[str]] = {}
        for place, value in (pair for each in found for pair in each):
            values.setdefault(place, set()).add(value)
        found = [[pair for pair in each if len(values[pair[0]]) > 1] or each for each in found]
    for path, each in zip(files, found, strict=True):
        options = sorted({value for _, value in each})
        if len(options) > 1:
            why = f"its path has {', '.join(options)}"
        elif not options and any(found):
            why = "its path has none, and those of other files have one"
        else:
            continue
        raise XstiltsError("bad-argument", f"cannot tell the {what} of {path}", why, WITH_PATTERN)
    return [each[0][1] if each else "" for each in found]
