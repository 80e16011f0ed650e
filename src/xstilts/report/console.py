"""Everything that is printed: lines and tables for people, JSON and CSV for programs.

Text of users and of data is never read as markup, and its control characters are shown as escapes; in CSV, none is
read as a formula.
"""

import csv
import io
import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xstilts.errors import XstiltsError

NONE = "–"
LEAST = 8
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""What a cell begins with that a spreadsheet evaluates."""
Part = str | tuple[str, str]
"""Text, or text and its style."""

# Control characters, marks of direction, characters without width that no word needs, and the lone surrogates of file
# names that are not UTF-8.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060\u2066-\u2069\ud800-\udfff\ufeff]"
)
VERDICT_STYLES = {"better": "bold green", "worse": "bold red", "equivalent": "bold cyan", "undetermined": "bold"}


def visible(value: object, keep: str = "") -> str:
    r"""Show control characters as escapes, except those in `keep`.

    >>> print(visible("\x1b[31mred"))
    \x1b[31mred
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], str(value))


def _text(parts: Iterable[Part], keep: str = "") -> Text:
    pairs = ((part, "") if isinstance(part, str) else part for part in parts)
    return Text.assemble(*((visible(text, keep), style) for text, style in pairs))


def say(*parts: Part, indent: int = 0, wrap: bool = False, console: Console | None = None) -> None:
    """Print a line; `wrap` breaks it at the width of the terminal, else it can be copied whole."""
    text = _text(parts, keep="\n")
    (console or Console()).print(Padding(text, (0, 0, 0, indent), expand=False) if indent else text, soft_wrap=not wrap)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Part]], title: str = "") -> None:
    """Print a table; headings that begin with `>` are of columns of numbers, which are never broken. It is wider than a
    terminal in which a column of text would have less than `LEAST` letters a line."""
    console = Console()
    cells = [[_text([cell]) for cell in row] for row in rows]
    if title:
        console.print()
    layout: dict[str, Any] = {"box": box.SIMPLE_HEAD, "show_edge": False, "pad_edge": False, "padding": (0, 1, 0, 0)}
    table = Table(title=_text([title]) if title else None, title_style="bold", title_justify="left", **layout)
    needed = 0
    for position, heading in enumerate(headings):
        name, right = _text([heading.removeprefix(">")]), heading.startswith(">")
        longest = max(text.cell_len for text in (name, *(row[position] for row in cells)))
        least = longest if right else min(LEAST, longest)
        needed += least + 2  # a space and the box's
        table.add_column(name, justify="right" if right else "left", no_wrap=right, overflow="fold", min_width=least)
    for row in cells:
        table.add_row(*row)
    console.width = max(console.width, needed)
    console.print(table)


def number(value: float | None, digits: int = 1) -> str:
    """Format a value with fixed digits; a dash if there is none."""
    return NONE if value is None else f"{value:.{digits}f}"


def clock(seconds: float | None) -> str:
    """Minutes and seconds, or hours and minutes; `?` if unknown.

    >>> clock(438), clock(4000)
    ('7:18', '1 h 06 min')
    """
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def short(value: float) -> str:
    """Format a large number with three digits and a prefix.

    >>> short(12_300), short(4.56e15), short(999_700)
    ('12.3 k', '4.56 P', '1 M')
    """
    value = float(f"{value:.3g}")
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if value >= 10**power:
            return f"{value / 10**power:.3g} {prefix}"
    return f"{value:.3g} " if value else NONE


def signed(value: float | None, digits: int = 2) -> str:
    """Format a difference with its sign; what rounds to zero has none."""
    if value is None:
        return NONE
    text = f"{value:+.{digits}f}"
    return text if float(text) else f"{0:.{digits}f}"


def interval(effect: dict[str, Any], digits: int = 2) -> str:
    """Format `low` and `high` of an effect; without them, as with a single replicate, it has no interval.

    >>> interval({"low": -0.5, "high": 2.0}), interval({"low": None, "high": None})
    ('[-0.50, +2.00]', 'no interval')
    """
    if effect["low"] is None or effect["high"] is None:
        return "no interval"
    return f"[{signed(effect['low'], digits)}, {signed(effect['high'], digits)}]"


def as_json_text(data: Any, indent: int | None = None) -> str:
    r"""JSON with the characters that a terminal could act on as escapes.

    >>> print(as_json_text("\x9b31m é"))
    "\u009b31m é"
    """
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return _CONTROLS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def emit(data: Any, as_json: bool, as_csv: bool = False, rows: Iterable[dict[str, Any]] | None = None) -> bool:
    """Print `data` as JSON, or `rows` (by default `data`) as CSV; whether one of them was asked for."""
    if as_json and as_csv:
        why = "output has one format"
        raise XstiltsError("bad-argument", "--json and --csv are both given", why, "give one of them")
    if as_json:
        print(as_json_text(data, indent=1))
    elif as_csv:
        records = list(data if rows is None else rows)
        sys.stdout.write(csv_text(records, list(records[0]) if records else []))
    return as_json or as_csv


def csv_text(rows: Iterable[dict[str, Any]], columns: Sequence[str]) -> str:
    """Columns of rows as CSV; a cell of text that a spreadsheet would evaluate gets an apostrophe, numbers none.

    >>> print(csv_text([{"arm": "=1+1", "gain": -0.5, "text": "-0.50"}], ["arm", "gain", "text"]), end="")
    arm,gain,text
    '=1+1,-0.5,-0.50
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({name: _csv_cell(row.get(name)) for name in columns} for row in rows)
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return f"'{visible(value)}" if value.startswith(FORMULA) and not _is_number(value) else visible(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def markdown(text: object) -> str:
    r"""Text for Markdown in which nothing is HTML, code, a link, or the end of a table's cell.

    >>> print(markdown("<b>x</b> | [site](http://a)"))
    \<b>x\</b> \| [site]\(http://a)
    """
    return re.sub(r"[\\`<|*]|(?<=\])\(", r"\\\g<0>", visible(text))


def markdown_code(text: object) -> str:
    """Text as a Markdown span of code, whatever backticks it has.

    >>> print(markdown_code("positive"), markdown_code("a`b"))
    `positive` `` a`b ``
    """
    shown = visible(text)
    ticks = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    return f"{ticks} {shown} {ticks}" if "`" in shown else f"{ticks}{shown}{ticks}"
