"""Builds the table of languages and their URIEL features from pinned wheels, byte for byte the same each time.

    python scripts/build_languages.py GLOTTOLOG [WHEEL_FOLDER]

GLOTTOLOG is the folder `cldf` of github.com/glottolog/glottolog-cldf at b6d3ea20a1a3. Without a folder the wheels are
downloaded with pip from the Python package index. The three wheels are read as archives and never installed: lang2vec
(URIEL), langcodes (codes and likely scripts), language_data (the IANA registry of language subtags, names from CLDR).
Writes `languages.csv`, `aliases.csv` and `names.csv`, the tables of features (`syntax.csv`, `syntax-knn.csv`,
`phonology.csv`, `inventory.csv`), `families.csv`, `groups.csv` and `SHA256SUMS` to `src/xstilts/languages/uriel/`.
"""

import ast
import csv
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import iso_languages
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

OUT = Path(__file__).parents[1] / "src/xstilts/languages/uriel"
COLUMNS = ("code", "name", "iso639_3", "uriel", "glottocode", "script", "family", "latitude", "longitude")
WHEELS = {
    "lang2vec-1.1.2": "bc43eddce15175ee1561c8a0566f56e42019d5987ea6c2890770a1b5d1f48fa4",
    "langcodes-3.5.1": "b6a9c25c603804e2d169165091d0cdb23934610524a21d226e4f463e8e958a72",
    "language_data-1.4.0": "f741927c24ab14cbed2a57bc2bfe82b00cff266c427179597e8b14123364f084",
}
PREFIXES = {"syntax": "S_", "phonology": "P_", "inventory": "INV_"}
# Features form one group while their mean |r| is at least .4, each r resting on at least 30 languages.
CUT = 0.6
MINIMUM_PAIRS = 30

# The languages of XTREME and XTREME-R, checked by hand: the individual language behind each code, the URIEL row with
# the richest features (often that of the macrolanguage), and Glottolog 5.1's code, family and coordinates.
XTREME = """\
en,English,eng,eng,stan1293,Latn,Indo-European,53.00,-1.00
af,Afrikaans,afr,afr,afri1274,Latn,Indo-European,-22.00,30.00
ar,Arabic,arb,ara,stan1318,Arab,Afro-Asiatic,27.96,43.85
bg,Bulgarian,bul,bul,bulg1262,Cyrl,Indo-European,43.36,25.05
bn,Bengali,ben,ben,beng1280,Beng,Indo-European,24.00,90.00
de,German,deu,deu,stan1295,Latn,Indo-European,48.65,12.47
el,Greek,ell,ell,mode1248,Grek,Indo-European,38.36,23.13
es,Spanish,spa,spa,stan1288,Latn,Indo-European,40.44,-1.12
et,Estonian,ekk,est,esto1258,Latn,Uralic,58.55,25.82
eu,Basque,eus,eus,basq1248,Latn,Basque (isolate),43.28,-1.32
fa,Persian,pes,fas,west2369,Arab,Indo-European,32.90,53.30
fi,Finnish,fin,fin,finn1318,Latn,Uralic,64.76,25.56
fr,French,fra,fra,stan1290,Latn,Indo-European,48.00,2.00
he,Hebrew,heb,heb,hebr1245,Hebr,Afro-Asiatic,31.11,35.02
hi,Hindi,hin,hin,hind1269,Deva,Indo-European,25.00,77.00
hu,Hungarian,hun,hun,hung1274,Latn,Uralic,46.91,19.66
id,Indonesian,ind,ind,indo1316,Latn,Austronesian,-7.33,109.72
it,Italian,ita,ita,ital1282,Latn,Indo-European,43.05,12.65
ja,Japanese,jpn,jpn,nucl1643,Jpan,Japonic,35.00,135.00
jv,Javanese,jav,jav,java1254,Latn,Austronesian,-7.00,109.29
ka,Georgian,kat,kat,nucl1302,Geor,Kartvelian,41.85,43.79
kk,Kazakh,kaz,kaz,kaza1248,Cyrl,Turkic,51.17,71.45
ko,Korean,kor,kor,kore1280,Kore,Koreanic,37.54,126.98
ml,Malayalam,mal,mal,mala1464,Mlym,Dravidian,9.59,76.77
mr,Marathi,mar,mar,mara1378,Deva,Indo-European,17.93,76.67
ms,Malay,zsm,msa,stan1306,Latn,Austronesian,3.09,101.70
my,Burmese,mya,mya,nucl1310,Mymr,Sino-Tibetan,20.79,93.97
nl,Dutch,nld,nld,dutc1256,Latn,Indo-European,52.00,5.00
pt,Portuguese,por,por,port1283,Latn,Indo-European,39.91,-8.10
ru,Russian,rus,rus,russ1263,Cyrl,Indo-European,59.00,50.00
sw,Swahili,swh,swa,swah1253,Latn,Atlantic-Congo,-8.26,37.62
ta,Tamil,tam,tam,tami1289,Taml,Dravidian,10.52,78.83
te,Telugu,tel,tel,telu1262,Telu,Dravidian,16.45,78.70
th,Thai,tha,tha,thai1261,Thai,Tai-Kadai,14.19,100.67
tl,Tagalog,tgl,tgl,taga1270,Latn,Austronesian,14.06,121.75
tr,Turkish,tur,tur,nucl1301,Latn,Turkic,39.87,32.87
ur,Urdu,urd,urd,urdu1245,Arab,Indo-European,25.00,67.00
vi,Vietnamese,vie,vie,viet1252,Latn,Austroasiatic,20.68,105.77
yo,Yoruba,yor,yor,yoru1245,Latn,Atlantic-Congo,7.15,3.67
zh,Chinese,cmn,zho,mand1415,Hans,Sino-Tibetan,40.02,116.23
az,Azerbaijani,azj,aze,nort2697,Latn,Turkic,40.98,46.47
gu,Gujarati,guj,guj,guja1252,Gujr,Indo-European,22.69,71.10
lt,Lithuanian,lit,lit,lith1251,Latn,Indo-European,55.14,23.96
pa,Punjabi,pan,pan,panj1256,Guru,Indo-European,30.04,75.67
pl,Polish,pol,pol,poli1260,Latn,Indo-European,51.84,18.63
qu,Quechua,quy,que,ayac1239,Latn,Quechuan,-13.85,-74.32
ro,Romanian,ron,ron,roma1327,Latn,Indo-European,46.39,24.23
uk,Ukrainian,ukr,ukr,ukra1253,Cyrl,Indo-European,49.80,29.95
ht,Haitian Creole,hat,hat,hait1244,Latn,Indo-European,18.80,-72.14
wo,Wolof,wol,wol,nucl1347,Latn,Atlantic-Congo,15.25,-15.38
"""

# The registry's first description is not the usual English name of these.
NAMES = {
    "ak": "Akan",
    "gd": "Scottish Gaelic",
    "ht": "Haitian Creole",
    "kl": "Greenlandic",
    "km": "Khmer",
    "ky": "Kyrgyz",
    "ne": "Nepali",
    "or": "Odia",
    "ps": "Pashto",
    "si": "Sinhala",
    "ug": "Uyghur",
}


def wheels(folder: Path) -> dict[str, zipfile.ZipFile]:
    """The pinned wheels in `folder` by package name, each checked against its SHA-256."""
    opened = {}
    for pin, expected in WHEELS.items():
        path = folder / f"{pin}-py3-none-any.whl"
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != expected:
            sys.exit(f"{path.name}: SHA-256 {found}, expected {expected}")
        opened[pin.partition("-")[0]] = zipfile.ZipFile(path)
    return opened


def download(folder: Path) -> None:
    """Fetches the pinned wheels with pip, without their dependencies."""
    pins = [pin.replace("-", "==") for pin in WHEELS]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), *pins], check=True)


def tables(wheel: zipfile.ZipFile) -> dict[str, Any]:
    """The literal dictionaries of langcodes' data module, read without running it."""
    body = ast.parse(wheel.read("langcodes/data_dicts.py").decode()).body
    wanted = {"LANGUAGE_ALPHA3", "LIKELY_SUBTAGS", "NORMALIZED_MACROLANGUAGES"}
    found = {}
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in wanted:
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def current(records: dict[str, dict[str, list[str]]]) -> dict[str, dict[str, str]]:
    """Subtag -> the first of each field, for every language that is not deprecated."""
    firsts = {code: {key: values[0] for key, values in fields.items()} for code, fields in records.items()}
    return {code: fields for code, fields in firsts.items() if "Deprecated" not in fields}


def array(wheel: zipfile.ZipFile, name: str) -> Any:
    """One of lang2vec's archives of arrays, read without pickle."""
    return np.load(io.BytesIO(wheel.read(f"lang2vec/data/{name}.npz")), allow_pickle=False)


def features(wheel: zipfile.ZipFile, kind: str) -> tuple[list[str], dict[str, np.ndarray]]:
    """URIEL's features of a kind averaged over its sources: names and row -> values, -1 where nothing was observed."""
    archive = array(wheel, "feature_averages")
    columns = [i for i, name in enumerate(archive["feats"]) if name.startswith(PREFIXES[kind])]
    values = archive["data"][:, columns, 0]
    observed = {str(row): v for row, v in zip(archive["langs"], values, strict=True) if (v >= 0).any()}
    return [str(archive["feats"][i]) for i in columns], observed


def imputed(wheel: zipfile.ZipFile, names: list[str]) -> dict[str, np.ndarray]:
    """Row -> the values of the features `names`, with those that were not observed as predicted by URIEL's kNN."""
    archive = array(wheel, "feature_predictions")
    place = {str(name): i for i, name in enumerate(archive["feats"])}
    values = archive["data"][:, [place[name] for name in names], 0]
    return {str(row): v for row, v in zip(archive["langs"], values, strict=True)}


def groups(values: np.ndarray) -> list[int]:
    """Groups [features] of correlated features: average linkage on 1 - |r| over the languages (rows) with both.

    Numbered by their first feature. Where r is not known (too few languages, or a constant) it counts as 0.
    """
    x = np.where(values < 0, np.nan, values)
    count = x.shape[1]
    gap = np.ones((count, count))
    np.fill_diagonal(gap, 0)
    for i in range(count):
        for j in range(i):
            both = x[~np.isnan(x[:, i]) & ~np.isnan(x[:, j])][:, [i, j]]
            if len(both) >= MINIMUM_PAIRS and (both.std(axis=0) > 0).all():
                gap[i, j] = gap[j, i] = round(1 - abs(float(np.corrcoef(both.T)[0, 1])), 9)
    found = fcluster(linkage(squareform(gap), "average"), CUT, "distance")
    order = {group: number for number, group in enumerate(dict.fromkeys(found))}
    return [order[group] for group in found]


def clades(wheel: zipfile.ZipFile) -> dict[str, list[str]]:
    """URIEL row -> the names of the clades that hold it, in URIEL's order."""
    archive = array(wheel, "family_features")
    names = [str(name).removeprefix("F_") for name in archive["feats"]]
    rows = zip(archive["langs"], archive["data"][:, :, 0] > 0, strict=True)
    return {str(row): [names[i] for i in np.flatnonzero(member)] for row, member in rows}


def points(wheel: zipfile.ZipFile) -> dict[str, tuple[str, str]]:
    """URIEL row -> latitude and longitude in degrees, from its distances to 299 points of the globe.

    The `geo` features are great-circle distances over half the circumference, so that cos(pi d) is the inner product
    of two unit vectors: the row's own vector is the least-squares solution of 299 linear equations.
    """
    archive = array(wheel, "geocoord_features")
    known = np.radians([[float(part) for part in name.split("_")[1:]] for name in archive["feats"]])
    basis = np.stack([np.cos(known[:, 0]) * np.cos(known[:, 1]), np.cos(known[:, 0]) * np.sin(known[:, 1]),
                      np.sin(known[:, 0])], axis=1)  # fmt: skip
    x, y, z = np.linalg.lstsq(basis, np.cos(np.pi * archive["data"][:, :, 0].astype(float)).T, rcond=None)[0]
    latitude, longitude = np.degrees(np.arctan2(z, np.hypot(x, y))), np.degrees(np.arctan2(y, x))
    rows = zip(archive["langs"], latitude, longitude, strict=True)
    return {str(row): (f"{north:.1f}", f"{east:.1f}") for row, north, east in rows}


def families(wheel: zipfile.ZipFile) -> dict[str, str]:
    """URIEL row -> its top-level family, the clade of the row that holds the most languages."""
    archive = array(wheel, "family_features")
    member = archive["data"][:, :, 0] > 0
    sizes = member.sum(axis=0)
    top = np.where(member, sizes, 0).argmax(axis=1)
    names = [str(name).removeprefix("F_") for name in archive["feats"]]
    rows = zip(archive["langs"], top, member.any(axis=1), strict=True)
    return {str(row): names[clade] for row, clade, known in rows if known}


def languages(sources: dict[str, zipfile.ZipFile], observed: dict[str, np.ndarray]) -> list[dict[str, str]]:
    """One record for each language that has at least one syntax feature, XTREME's first."""
    by_hand = list(csv.DictReader(io.StringIO(XTREME), COLUMNS))
    known, codes, family = (
        current(iso_languages.registry(sources["language_data"])),
        tables(sources["langcodes"]),
        families(sources["lang2vec"]),
    )
    short = {long: code for code, long in codes["LANGUAGE_ALPHA3"].items() if len(code) == 2 and code in known}
    normalized = sorted(codes["NORMALIZED_MACROLANGUAGES"].items())
    # CLDR has Fanti behind Akan, although Twi, with a code of its own, is the larger part of it.
    individual = {macro: one for one, macro in normalized if len(one) == 3 and macro != "ak"}
    records = {record["code"]: record for record in by_hand}
    place = points(sources["lang2vec"])
    for row in sorted(observed):
        code = short.get(row, row)
        if code in records or code not in known:
            continue
        iso = individual.get(code, row) if len(code) == 2 else row
        richest = max((row, iso), key=lambda r: (observed[r] >= 0).sum() if r in observed else 0)
        likely = codes["LIKELY_SUBTAGS"].get(code, "").split("-")
        script = likely[1] if len(likely) > 1 else known[code].get("Suppress-Script", "")
        macro = known[code].get("Macrolanguage", code)
        clade = family.get(richest) or family.get(codes["LANGUAGE_ALPHA3"].get(macro, macro), "")
        name = NAMES.get(code) or iso_languages.plain_name(known[code]["Description"])
        records[code] = dict(zip(COLUMNS, (code, name, iso, richest, "", script, clade, *place[richest]), strict=True))
    represented = {row for r in records.values() for row in (r["iso639_3"], r["uriel"]) if row != r["code"]}
    hand = {record["code"] for record in by_hand}
    rest = sorted(code for code in records if code not in hand and code not in represented)
    return by_hand + [records[code] for code in rest]


def table(header: list[str], rows: list[list[str]]) -> bytes:
    """Comma-separated values in UTF-8 with Unix line ends."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()


def feature_table(names: list[str], records: list[dict[str, str]], values: dict[str, np.ndarray]) -> bytes:
    """A row per language of which `values` knows the URIEL row; a field is empty where nothing was observed."""
    known = [r for r in records if r["uriel"] in values]
    cells = [[r["code"], *("" if v < 0 else f"{v:g}" for v in values[r["uriel"]])] for r in known]
    return table(["code", *names], cells)


def build(glottolog: Path, folder: Path) -> None:
    """Writes the tables from Glottolog's languoids and the wheels in `folder`."""
    sources = wheels(folder)
    uriel = sources["lang2vec"]
    kinds = {kind: features(uriel, kind) for kind in PREFIXES}
    names, observed = kinds["syntax"]
    records, member = languages(sources, observed), clades(uriel)
    places = iso_languages.glottolog(glottolog, {clade for clades_of in member.values() for clade in clades_of})
    known, codes = iso_languages.registry(sources["language_data"]), tables(sources["langcodes"])
    for record in records:
        record["glottocode"] = record["glottocode"] or places.get(record["iso639_3"], {}).get("glottocode", "")
    further = iso_languages.further_languages(records, known, codes["LANGUAGE_ALPHA3"], codes["LIKELY_SUBTAGS"], places)
    everyone = records + [{column: record[column] for column in COLUMNS} for record in further]
    for record in everyone:
        record["script"] = iso_languages.SCRIPTS.get(record["code"], record["script"])
    named = iso_languages.other_names(everyone, known, iso_languages.names_of(sources["language_data"]))
    other_codes = [list(pair) for pair in iso_languages.aliases(everyone, known).items()]
    related = [[r["code"], "|".join(member[r["uriel"]] or member[r["iso639_3"]])] for r in records]
    related += [[r["code"], r["clades"]] for r in further]
    grouped = [
        [kind, feature, str(group)]
        for kind, (columns, values) in kinds.items()
        for feature, group in zip(
            columns, groups(np.array([values[r["uriel"]] for r in records if r["uriel"] in values])), strict=True
        )
    ]
    files = {
        "languages.csv": table(list(COLUMNS), [list(r.values()) for r in everyone]),
        "aliases.csv": table(["alias", "code"], other_codes),
        "names.csv": table(["name", "code"], named),
        "syntax.csv": feature_table(names, records, observed),
        "syntax-knn.csv": feature_table(names, records, imputed(uriel, names)),
        "phonology.csv": feature_table(kinds["phonology"][0], records, kinds["phonology"][1]),
        "inventory.csv": feature_table(kinds["inventory"][0], records, kinds["inventory"][1]),
        "families.csv": table(["code", "clades"], related),
        "groups.csv": table(["kind", "feature", "group"], grouped),
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    for name, data in {**files, "SHA256SUMS": sums.encode()}.items():
        (OUT / name).write_bytes(data)
        print(f"{name}: {len(data):,} bytes")
    print(f"{len(everyone)} languages, {len(records)} of them with features, {len(names)} features")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    if len(sys.argv) == 3:
        build(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            download(Path(temporary))
            build(Path(sys.argv[1]), Path(temporary))
