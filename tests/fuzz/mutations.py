"""Valid inputs made invalid at random: bytes and lines of files, values of nested settings, words of a command line."""

import random
from typing import Any

PIECES = [
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\r", b"\n\n", b"\t\t", b",", b";", b'"', b"'", b"{", b"}", b"[",
    b"]", b":", b"- ", b"&a ", b"*a", b"<<: *a", b"!!int ", b"| ", b"null", b"NaN", b"-1", b"1e999", b"9" * 30,
    b"\xf0\x9f\x98\x80", b"\xed\xa0\x80", b"\\ud800", b"{lang:>9999999}", b"../..", b"#", b"-DOCSTART-", b" " * 50,
    b"x" * 300, b"\x1f\x8b",
    "\u2028\u202e\u0000".encode(), b"=1+1", b"inf", b"true", b"2020-13-45",
]  # fmt: skip
VALUES: list[Any] = [
    None, True, False, 0, -1, 3, 10**6, 10**18, 10**30, 0.5, -0.5, float("nan"), float("inf"), "", " ", "x", "en", "de",
    "zz", "x" * 300, "../../x", "/dev/null", ".", "{lang", "{lang:>999999999}", "{x}", "\n", "é😀", "none", "null", "1",
    [], [[]], {}, [1], ["en"], ["x", "x"], {"a": 1}, {"": None}, {"x": {"y": []}},
]  # fmt: skip


def mutated_bytes(rng: random.Random, content: bytes) -> bytes:
    """A text or binary file with one to four changes: bits, pieces, lines, or its end."""
    for _ in range(rng.randint(1, 4)):
        place, change = rng.randint(0, len(content)), rng.randrange(7)
        if change == 0 and content:
            place = rng.randrange(len(content))
            content = content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]
        elif change == 1:
            content = content[:place] + rng.choice(PIECES) + content[place:]
        elif change == 2:
            content = content[:place] + content[place + rng.randint(1, 20) :]
        elif change == 3:
            content = content[:place]
        else:
            lines = content.split(b"\n")
            one, other = rng.randrange(len(lines)), rng.randrange(len(lines))
            if change == 4:
                lines[one], lines[other] = lines[other], lines[one]
            elif change == 5:
                lines.insert(other, lines[one])
            else:
                del lines[one]
            content = b"\n".join(lines)
    return content


def mutated_value(rng: random.Random, value: Any) -> Any:
    """A copy of nested mappings and lists with one value or key replaced, removed, repeated or moved."""
    if not isinstance(value, dict | list) or not value or rng.random() < 0.1:
        return rng.choice(VALUES)
    result: Any = dict(value) if isinstance(value, dict) else list(value)
    key = rng.choice(list(result)) if isinstance(result, dict) else rng.randrange(len(result))
    change = rng.randrange(8)
    if change == 0:
        del result[key]
    elif change == 1 and isinstance(result, dict):
        result[rng.choice(["x", "", "en", "type", "task", "a b", "x" * 300, "no"])] = result.pop(key)
    elif change == 2 and isinstance(result, list):
        result.append(result[key])
    elif change == 3:
        result[key] = rng.choice([*result.values()] if isinstance(result, dict) else result)
    else:
        result[key] = mutated_value(rng, result[key])
    return result


def mutated_words(rng: random.Random, words: list[str]) -> list[str]:
    """The words of a command with one to three of them replaced, removed, repeated or added."""
    words = [*words]
    for _ in range(rng.randint(1, 3)):
        place, change = rng.randint(0, len(words)), rng.randrange(4)
        word = rng.choice([*(str(value) for value in VALUES if not isinstance(value, list | dict)), "--json",
                           "--for", "--help", "--", "-", "--task", "--out", "@", "\udcff", "--device", "=",
                           "--x=y"])  # fmt: skip
        if change == 0:
            words.insert(place, word)
        elif words and place < len(words):
            if change == 1:
                words[place] = word
            elif change == 2:
                del words[place]
            else:
                words.insert(place, words[place])
    return words
