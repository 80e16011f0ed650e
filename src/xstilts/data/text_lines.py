"""Lines of text files in UTF-8, also compressed by gzip; other encodings are refused with the command that converts."""

import codecs
import gzip
import shlex
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from xstilts.errors import XstiltsError

GZIP = b"\x1f\x8b"
BINARY = {
    b"PK\x03\x04": ("an Excel workbook or a zip archive", "save the sheet as 'CSV UTF-8', or unpack the archive"),
    b"PAR1": ("Parquet", "give the file the format `parquet`, or a name that ends in .parquet"),
    b"BZh": ("compressed by bzip2", "unpack it with bunzip2"),
    b"\xfd7zXZ": ("compressed by xz", "unpack it with unxz"),
    b"\x28\xb5\x2f\xfd": ("compressed by zstd", "unpack it with unzstd"),
}
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


def raw_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a text file, which may be compressed by gzip, by the rules of `text_only`."""
    with path.open("rb") as file:
        packed = file.read(len(GZIP)) == GZIP
        file.seek(0)
        try:
            yield from text_only(gzip.GzipFile(fileobj=file) if packed else file, str(path))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise XstiltsError("bad-file", f"{path} is a damaged gzip file", str(error), "get the file again") from None


def text_only(stream: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield lines with their ends and without a byte order mark; only a line feed ends a line.

    Raises XstiltsError, in which `name` stands for the file, if its first line shows that it is binary or in UTF-16, if
    only carriage returns divide it, or at a NUL byte.
    """
    for number, line in enumerate(stream, 1):
        if number == 1:
            _refuse_binary(line, name)
            line = line.removeprefix(codecs.BOM_UTF8)
        if b"\0" in line:
            why = "text has no NUL bytes: the file is damaged, binary, or in UTF-16 without a byte order mark"
            encoding = "UTF-16BE" if line.startswith(b"\0") else "UTF-16LE"
            hint = f"for UTF-16: {iconv(encoding, name)}; otherwise remove them with tr -d '\\000'"
            raise XstiltsError("bad-file", f"{name}, line {number}: a NUL byte", why, hint)
        yield line


def _refuse_binary(first: bytes, name: str) -> None:
    for mark, (what, hint) in BINARY.items():
        if first.startswith(mark):
            raise XstiltsError("bad-file", f"{name} is {what}", "its name or format says that it is text", hint)
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if first.startswith(mark):
            what, why = f"{name} is {encoding}", "line 1 begins with its byte order mark; only UTF-8 is read"
            raise XstiltsError("bad-file", what, why, f"convert it: {iconv(encoding, name)}")
    if b"\r" in first.rstrip(b"\r") and not first.endswith(b"\n"):
        why, hint = (
            "line 1 is all of it: it has carriage returns (CR) and no line feed (LF)",
            "replace CR: tr '\\r' '\\n'",
        )
        raise XstiltsError("bad-file", f"{name} has the line ends of old Macs", why, hint)


def iconv(encoding: str, name: str) -> str:
    """The command that converts a file to UTF-8."""
    path = Path(name)
    target = path.with_name(f"{path.stem}-utf8{path.suffix}")
    return f"iconv -f {encoding} -t UTF-8 {shlex.quote(str(path))} > {shlex.quote(str(target))}"


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines without their ends, by the rules of `raw_lines`.

    Bytes that are not UTF-8 become surrogates, which `invalid_text` finds.
    """
    for number, line in enumerate(raw_lines(path), 1):
        yield number, line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def suffix(path: Path) -> str:
    """The ending of a file's name in lower case, without that of gzip: `.csv` of `dev.CSV.gz`."""
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix
