"""Languages beyond URIEL's: every one of ISO 639-3, other codes and names of all, and Glottocodes.

Used by `build_languages.py`. Codes, names and scripts come from the IANA registry and CLDR (the wheels langcodes and
language_data), Glottocodes, families and points from Glottolog's table of languoids (CC BY 4.0).
"""

import ast
import csv
import hashlib
import re
import sys
import zipfile
from pathlib import Path

Record = dict[str, str]
PLACE = ("glottocode", "family", "latitude", "longitude", "clades")
GLOTTOLOG = "b5cb2e35d74d97d590469d3a219e16dd93629adf1e247c25a3da27327758c5e7"
"""SHA-256 of `cldf/languages.csv` of glottolog/glottolog-cldf at b6d3ea20a1a3."""
BIBLIOGRAPHIC = {
    "alb": "sq", "arm": "hy", "baq": "eu", "bur": "my", "chi": "zh", "cze": "cs", "dut": "nl", "fre": "fr", "geo": "ka",
    "ger": "de", "gre": "el", "ice": "is", "mac": "mk", "mao": "mi", "may": "ms", "per": "fa", "rum": "ro", "slo": "sk",
    "tib": "bo", "wel": "cy",
}  # fmt: skip
"""ISO 639-2/B codes, all twenty that differ from the terminological ones."""
COMMON_NAMES = {
    "Farsi": "fa", "Mandarin": "zh", "Standard Arabic": "ar", "Modern Standard Arabic": "ar", "Nigerian Pidgin": "pcm",
    "Naija": "pcm", "Nahuatl": "nah", "Bahasa Indonesia": "id", "Bahasa Melayu": "ms", "Castilian": "es",
    "Filipino": "tl", "Flemish": "nl", "Modern Greek": "el", "Myanmar": "my", "Bokmål": "nb",
    "Nynorsk": "nn", "Otomi": "oto",
}  # fmt: skip
COLLECTIONS = ("nah", "oto")
"""Groups of languages that data sets treat as one: Nahuatl and Otomi in AmericasNLI."""
MERGED = {"fil": "tl"}
"""Codes of one language with another name."""
OLD = {"in": "id", "iw": "he", "ji": "yi", "jw": "jv", "mo": "ro"}
"""Retired codes, whatever the registry prefers in their place."""
SCRIPTS = {"grc": "Grek", "cu": "Cyrs", "akk": "Xsux", "sa": "Deva", "lzh": "Hant", "orv": "Cyrl"}
"""Where CLDR's likely script is that of few texts, or missing: as the treebanks of Universal Dependencies have them."""


def glottolog(folder: Path, clades: set[str]) -> dict[str, Record]:
    """ISO 639-3 code → Glottocode, family, point and clades of each language, from Glottolog's table and trees.

    clades: names that are kept, URIEL's; the family is always.
    """
    file = folder / "languages.csv"
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != GLOTTOLOG:
        sys.exit(f"{file}: SHA-256 {found}, expected {GLOTTOLOG}")
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    above = lineages(folder / "classification.nex")
    names, order = {row["ID"]: row["Name"] for row in rows}, {"family": 0, "dialect": 1, "language": 2}
    table = {}
    for row in sorted(rows, key=lambda row: order[row["Level"]]):  # a language replaces a dialect of the same code
        if code := row["ISO639P3code"]:
            alone = f"{row['Name']} (isolate)" if row["Is_Isolate"] == "true" else ""
            point = [f"{float(row[axis]):.2f}" if row[axis] else "" for axis in ("Latitude", "Longitude")]
            family = names.get(row["Family_ID"], alone)
            groups = [names.get(group, "") for group in above.get(row["ID"]) or above.get(row["Language_ID"], [])]
            kept = "|".join(group for group in groups if group in clades or group == family)
            table[code] = dict(zip(PLACE, (row["ID"], family, *point, kept or family), strict=True))
    return table


def lineages(nexus: Path) -> dict[str, list[str]]:
    """Glottocode → the Glottocodes of the groups above it, nearest last, from Glottolog's trees in Newick's form."""
    parent: dict[str, str] = {}
    for line in nexus.read_text(encoding="utf-8").splitlines():
        open_groups: list[list[str]] = []
        for token in re.findall(r"\(|\)?\w+:\d+", line.partition("[&R]")[2]):
            if token == "(":
                open_groups.append([])
                continue
            code = token.strip(")").partition(":")[0]
            if token.startswith(")"):
                parent |= dict.fromkeys(open_groups.pop(), code)
            if open_groups:
                open_groups[-1].append(code)
    lines = {}
    for code in parent:
        line, above = [], code
        while above := parent.get(above, ""):
            line.append(above)
        lines[code] = line[::-1]
    return lines


def registry(wheel: zipfile.ZipFile) -> dict[str, dict[str, list[str]]]:
    """Subtag → fields of every language of the IANA registry, those of collections and private use left out."""
    text = wheel.read("language_data/data/language-subtag-registry.txt").decode().replace("\n  ", " ")
    records = {}
    for block in text.split("%%\n"):
        fields: dict[str, list[str]] = {}
        for line in block.splitlines():
            key, _, value = line.partition(": ")
            fields.setdefault(key, []).append(value)
        scope = fields.get("Scope", [""])[0]
        subtag = fields.get("Subtag", [""])[0]
        single = scope not in ("collection", "special", "private-use") or subtag in COLLECTIONS
        if fields.get("Type") == ["language"] and single:
            records[subtag] = fields
    return records


def plain_name(description: str) -> str:
    """A registry description without its remarks: 'Modern Greek (1453-)' -> 'Modern Greek'."""
    head, _, remark = description.partition(" (")
    technical = remark.startswith(("macrolanguage", "individual")) or any(c.isdigit() for c in remark)
    return head if technical else description


def names_of(wheel: zipfile.ZipFile) -> dict[str, Record]:
    """Code → language of the name → name, from CLDR; read without running it."""
    for node in ast.parse(wheel.read("language_data/name_data.py").decode()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CODE_TO_NAMES":
            return dict(ast.literal_eval(node.value))
    sys.exit("language_data has no CODE_TO_NAMES")


def further_languages(
    records: list[Record],
    known: dict[str, dict[str, list[str]]],
    alpha3: Record,
    likely: Record,
    places: dict[str, Record],
) -> list[Record]:
    """A record for each language of the registry that no record stands for, without features, by code."""
    taken = {code for record in records for code in (record["code"], record["iso639_3"], record["uriel"])}
    rows = []
    for code, fields in sorted(known.items()):
        iso = alpha3.get(code, code)
        if "Deprecated" in fields or code in MERGED or taken & {code, iso}:
            continue
        place = places.get(iso, dict.fromkeys(PLACE, ""))
        script = likely.get(code, "").split("-")[1:2] or fields.get("Suppress-Script", [""])
        name = plain_name(fields["Description"][0])
        rows.append({"code": code, "name": name, "iso639_3": iso, "uriel": "", "script": script[0], **place})
    return rows


def aliases(records: list[Record], known: dict[str, dict[str, list[str]]]) -> dict[str, str]:
    """Code that is no record's → that of the record it stands for: bibliographic, retired and merged codes."""
    codes = {record["code"] for record in records}
    stands = {record[key]: record["code"] for key in ("uriel", "iso639_3", "code") for record in records if record[key]}
    table = {code: target for code, target in (BIBLIOGRAPHIC | MERGED | OLD).items() if target in codes}
    for code, fields in known.items():
        preferred = fields.get("Preferred-Value", [""])[0]
        if code not in stands and preferred in stands:
            table.setdefault(code, stands[preferred])
    return dict(sorted(table.items()))


def other_names(
    records: list[Record], known: dict[str, dict[str, list[str]]], cldr: dict[str, Record]
) -> list[list[str]]:
    """Rows of a name and a code: further names in the registry, in English, and of the language in itself."""
    rows = set(COMMON_NAMES.items())
    for record in records:
        code, own = record["code"], cldr.get(record["code"], {})
        candidates = [text.partition(" (")[0] for text in known.get(code, {}).get("Description", [])]
        candidates += [own.get("en", ""), own.get(code, "")]
        rows |= {(name, code) for name in candidates if name and name.casefold() != record["name"].casefold()}
    present = {record["code"] for record in records}
    return [list(row) for row in sorted(rows, key=lambda row: (row[1], row[0])) if row[1] in present]
