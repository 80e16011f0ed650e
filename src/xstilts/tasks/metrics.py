"""Official metrics as pure functions."""

from collections.abc import Sequence


def chunks(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Chunks (first word, last word, type) of a tag sequence, by the rule of conlleval and seqeval 0.0.12.

    A tag is a prefix (B, I, E, S, O) and a type after the last hyphen; a tag without a hyphen is its own type,
    and its first letter is read as the prefix: so adjacent equal parts of speech merge into one chunk, while
    those that start with S or B never do and those that start with O never count. An I- without a
    chunk before it opens one.
    """
    found = set()
    start, kind, previous = 0, "", "O"
    for i, tag in enumerate([*tags, "O"]):
        prefix, name = tag[:1], tag.split("-")[-1]
        if _ends(previous, prefix, kind, name):
            found.add((start, i - 1, kind))
        if _begins(previous, prefix, kind, name):
            start = i
        previous, kind = prefix, name
    return found


def _ends(previous: str, prefix: str, kind: str, name: str) -> bool:
    if previous in "ES":
        return True
    if previous in "BI" and prefix in "BSO":
        return True
    return previous not in "O." and kind != name


def _begins(previous: str, prefix: str, kind: str, name: str) -> bool:
    if prefix in "BS":
        return True
    if previous in "ESO" and prefix in "EI":
        return True
    return prefix not in "O." and kind != name
