"""Identity, distance, selection and split of languages."""

import hashlib
import subprocess
import sys
import time
from itertools import combinations

import numpy as np
import pytest
import yaml

from support import ROOT
from xstilts.errors import XstiltsError
from xstilts.languages import (
    MEASURES,
    STRATEGIES,
    all_languages,
    distance,
    distance_matrix,
    language,
    read_scores,
    select,
    split_languages,
    syntax_features,
)
from xstilts.languages.identity import DATA
from xstilts.languages.strategies import exchange, exhaustive, spread

XNLI = ["ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
XQUAD = ["ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh"]
TYDIQA = ["ar", "bn", "fi", "id", "ko", "ru", "sw", "te"]
# fmt: off
UDPOS = ["af", "ar", "bg", "de", "el", "es", "et", "eu", "fa", "fi", "fr", "he", "hi", "hu", "id", "it", "ja", "kk",
         "ko", "mr", "nl", "pt", "ru", "ta", "te", "th", "tl", "tr", "ur", "vi", "yo", "zh"]
# fmt: on
PANX = [*UDPOS, "bn", "jv", "ka", "ml", "ms", "my", "sw"]
CODES = {name: text.split() for name, text in yaml.safe_load((ROOT / "tests/language_codes.yaml").read_text()).items()}
FIFTY = [one.code for one in all_languages()[:50]]


def test_data_is_as_it_was_built():
    lines = (DATA / "SHA256SUMS").read_text().splitlines()
    assert {line.split("  ")[1] for line in lines} == {path.name for path in DATA.glob("*.csv")}
    for line in lines:
        expected, name = line.split("  ")
        assert hashlib.sha256((DATA / name).read_bytes()).hexdigest() == expected, name


def test_import_brings_no_heavy_library():
    code = "import sys, xstilts.languages; print({'torch', 'pandas', 'scipy', 'pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize(
    "query", ["sw", "SW", "swh", "swa", "swh_Latn", "sw-KE", "sw_KE", "sw-Latn-KE", "Swahili", " swahili ", "swah1253"]
)
def test_every_spelling_of_swahili(query):
    assert language(query) == language("sw")
    assert (language(query).iso639_3, language(query).uriel) == ("swh", "swa")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("jw", "jv"),
        ("iw", "he"),
        ("in", "id"),
        ("zh-CN", "zh"),
        ("cmn", "zh"),
        ("zho", "zh"),
        ("fil", "tl"),
        ("ji", "yi"),
        ("arb_Arab", "ar"),
        ("pes", "fa"),
        ("azj", "az"),
        ("zsm", "ms"),
        ("ekk", "et"),
        ("hye", "hy"),
        ("ga", "ga"),
        ("Hixkaryána", "hix"),
        ("Ainu", "ain"),
        ("Greek", "el"),
        ("mo", "ro"),
        ("haw", "haw"),
    ],
)
def test_codes_of_other_standards(query, code):
    assert language(query).code == code


@pytest.mark.parametrize(
    ("name", "codes", "languages"),
    [
        ("flores200", 205, 197), ("nllb200", 202, 196), ("belebele", 122, 115), ("panx", 40, 40), ("tatoeba", 36, 36),
        ("udpos", 33, 33), ("masakhaner2", 20, 20), ("americasnli", 10, 10), ("massive", 51, 50),
        ("universal_dependencies", 198, 198),
    ],
)  # fmt: skip
def test_codes_of_public_data_sets(name, codes, languages):
    assert len(CODES[name]) == codes and len({language(code).code for code in CODES[name]}) == languages


@pytest.mark.parametrize("code", CODES["private"])
def test_private_codes_name_no_language(code):
    with pytest.raises(XstiltsError) as caught:
        language(code)
    assert caught.value.kind == "unknown-name"


def test_a_script_in_the_tag_replaces_the_usual_one():
    assert (language("zh").script, language("zh_Hant").script, language("zho-Hant-TW").script) == (
        "Hans",
        "Hant",
        "Hant",
    )


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("Swahilli", "'swahili'"),
        ("Ga", "ga (Irish), gaa (Ga)"),
        ("xxx-yyy-zzz", "unknown language"),
        ("", "unknown language"),
        ("sw-Latin", "unknown language"),
    ],
)
def test_what_names_no_one_language_is_refused(query, says):
    with pytest.raises(XstiltsError) as caught:
        language(query)
    assert says in str(caught.value)


def test_the_table():
    everyone = all_languages()
    assert len(FIFTY) == 50 and FIFTY[0] == "en" and len(everyone) > 7800
    for attribute in ("code", "iso639_3", "uriel", "glottocode"):
        values = [getattr(one, attribute) for one in everyone if getattr(one, attribute)]
        assert len(set(values)) == len(values) > 2500, attribute
    for one in everyone[:50]:
        assert one.glottocode and one.script and one.family and one.latitude is not None and one.longitude is not None
    for one in everyone:
        assert language(one.code) is one


def test_features():
    names, features = syntax_features()
    assert len(names) == 103 and set(features) == {one.code for one in all_languages() if one.uriel}
    assert not np.isnan(features["en"]).any()
    observed = {code: int((~np.isnan(features[code])).sum()) for code in ("az", "ms", "qu", "et", "ar", "kk", "jv")}
    assert observed == {"az": 55, "ms": 101, "qu": 82, "et": 80, "ar": 98, "kk": 12, "jv": 17}
    values = np.stack(list(features.values()))
    assert np.nanmin(values) == 0 and np.nanmax(values) == 1 and (~np.isnan(values)).any(axis=1).all()
    with pytest.raises(ValueError):
        features["en"][0] = 0.5


@pytest.mark.parametrize(
    ("code", "value", "shared"),
    [
        ("de", 0.115, 87),
        ("es", 0.132, 101),
        ("ru", 0.159, 90),
        ("zh", 0.217, 102),
        ("ar", 0.308, 98),
        ("tr", 0.418, 89),
        ("sw", 0.425, 85),
        ("my", 0.434, 83),
        ("bg", 0.109, 86),
        ("az", 0.367, 55),
    ],
)
def test_distances_from_english(code, value, shared):
    found = distance("en", code)
    assert (round(found.value, 3), found.shared) == (value, shared)
    assert found == distance("English", code)


def test_too_little_in_common_is_missing():
    assert np.isnan(distance("en", "kk").value) and distance("en", "kk").shared == 12
    assert round(distance("en", "kk", minimum_shared=12).value, 3) == 0.333
    with pytest.raises(XstiltsError):
        distance("en", "de", minimum_shared=0)


def test_matrix():
    found = distance_matrix(FIFTY)
    assert found.codes == tuple(FIFTY) and found.measure == "syntax"
    assert np.array_equal(found.values, found.values.T, equal_nan=True) and np.array_equal(found.shared, found.shared.T)
    assert (np.diag(found.values) == 0).all()
    known = found.values[~np.isnan(found.values)]
    assert known.min() >= 0 and known.max() <= 1
    assert np.array_equal(np.isnan(found.values), (found.shared < 30) & ~np.eye(50, dtype=bool))
    _, features = syntax_features()
    for i, j in [(3, 7), (10, 40), (49, 2)]:
        gap = np.abs(features[FIFTY[i]] - features[FIFTY[j]])
        assert found.values[i, j] == pytest.approx(np.nanmean(gap))
    assert distance_matrix([]).values.shape == (0, 0)


@pytest.mark.parametrize(
    ("candidates", "strategy", "expected"),
    [
        (XNLI, "near", "bg de es"),
        (XNLI, "far", "ar tr sw"),
        (XNLI, "diverse", "hi tr sw"),
        (XQUAD, "near", "de es ru"),
        (XQUAD, "far", "hi ar tr"),
        (XQUAD, "diverse", "hi ar tr"),
        (TYDIQA, "near", "ru id fi"),
        (TYDIQA, "far", "te bn sw"),
        (TYDIQA, "diverse", "ko ar sw"),
    ],
)
def test_known_selections(candidates, strategy, expected):
    found = select(strategy, candidates, 3)
    assert found.languages == tuple(expected.split()) and found.exact and found.excluded == {}
    assert found == select(strategy, [*reversed(candidates), "en", candidates[0]], 3, seed=9)
    assert list(found.distances.values()) == sorted(found.distances.values())
    assert found.distances == {code: distance("en", code).value for code in found.languages}
    assert found.shared == {code: distance("en", code).shared for code in found.languages}


@pytest.mark.parametrize("candidates", [XNLI, XQUAD, TYDIQA, FIFTY[20:34]])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_diverse_is_the_brute_force_optimum(candidates, k):
    def spread(members):
        values = distance_matrix(["en", *members]).values[np.triu_indices(k + 1, 1)]
        return (-np.inf, 0) if np.isnan(values).any() else (values.min(), round(values.sum(), 9))

    usable = [code for code in candidates if not np.isnan(distance("en", code).value)]
    best = max(spread(members) for members in combinations(usable, k))
    assert spread(select("diverse", candidates, k).languages) == pytest.approx(best)


def test_exchange_comes_close_to_the_exact_optimum():
    d = distance_matrix(["en", *XNLI]).values
    for k in (2, 3, 5):
        assert spread(d, exchange(d, k))[0] >= 0.9 * spread(d, exhaustive(d, k))[0]


def test_diverse_over_many_candidates():
    found = select("diverse", FIFTY, 8)
    assert len(found.languages) == 8 and set(found.excluded) == {"kk", "jv"}
    assert not np.isnan(distance_matrix(found.languages).values).any()


def test_the_unmeasured_are_never_chosen():
    for strategy in ("near", "far", "diverse", "random"):
        found = select(strategy, ["kk", "jv", "de", "tr"], 2, exact=False)
        assert set(found.languages) == {"de", "tr"}
        assert found.excluded["kk"] == "12 shared features, 30 needed"


def test_draws():
    thirds = {"near": ["bg", "de", "es", "ru", "fr"], "far": ["ur", "hi", "ar", "tr", "sw"]}
    for strategy in ("near", "far", "diverse", "random"):
        drawn = [select(strategy, XNLI, 3, exact=False, seed=seed) for seed in range(30)]
        assert drawn[4] == select(strategy, [*reversed(XNLI)], 3, exact=False, seed=4)
        assert len({one.languages for one in drawn}) > 3 and not any(one.exact for one in drawn)
        assert {len(set(one.languages)) for one in drawn} == {3}
        if strategy in thirds:
            assert {code for one in drawn for code in one.languages} == set(thirds[strategy])
    assert select("near", XNLI, 5, exact=False).languages == select("near", XNLI, 5).languages
    assert not select("random", XNLI, 3).exact


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("farr", XNLI, 3), "unknown-name 'far'"),
        (("far", ["de", "kk", "en"], 2), "too-few kk: 12 shared features, 30 needed"),
        (("far", XNLI, 0), "bad-argument at least one"),
        (("far", ["de", "germen"], 1), "unknown-name 'german'"),
        (("near", [], 1), "too-few none"),
    ],
)
def test_bad_selections_are_refused(arguments, says):
    kind, _, fact = says.partition(" ")
    with pytest.raises(XstiltsError) as caught:
        select(*arguments)
    assert caught.value.kind == kind and fact in str(caught.value)


def test_a_set_that_cannot_be_compared_is_refused():
    matrix = distance_matrix(["en", *FIFTY[1:]])
    i, j = next(p for p in np.argwhere(np.isnan(matrix.values)) if not np.isnan(matrix.values[0, p]).any())
    with pytest.raises(XstiltsError, match="known distances"):
        select("diverse", [matrix.codes[i], matrix.codes[j]], 2)


@pytest.mark.parametrize("candidates", [XNLI, XQUAD, TYDIQA, FIFTY, XNLI[:7]])
@pytest.mark.parametrize("share", [0.25, 0.4, 0.5, 0.7])
def test_split_reaches_from_near_to_far_on_both_sides(candidates, share):
    for seed in range(5):
        found = split_languages(candidates, held_out=share, seed=seed)
        assert found == split_languages([*reversed(candidates)], held_out=share, seed=seed)
        measured = select("near", candidates, len({*candidates} - {"en", "kk", "jv"})).languages
        held = [code for code in found.held_out if code in measured]
        assert sorted([*found.pool, *held]) == sorted(measured)
        assert abs(len(held) - share * len(measured)) <= 0.5
        reach = -(-len(measured) // 3) if len(measured) > 8 else -(-len(measured) // 2)
        for side in (found.pool, held):
            assert {*side} & {*measured[:reach]} and {*side} & {*measured[-reach:]}


def test_split_spreads_scripts():
    for seed in range(10):
        found = split_languages(FIFTY, seed=seed)
        for script in ("Latn", "Cyrl", "Arab", "Deva"):
            sides = [sum(language(code).script == script for code in side) for side in (found.pool, found.held_out)]
            unmeasured = sum(language(code).script == script for code in found.excluded)
            assert abs(sides[0] - (sides[1] - unmeasured)) <= 2, (script, sides)


def test_split_follows_the_seed():
    assert len({split_languages(XNLI, seed=seed).pool for seed in range(20)}) > 5


def test_what_is_forced_in_a_split():
    pawsx = ["de", "es", "fr", "zh", "ja", "ko"]
    for seed in range(5):
        found = split_languages([*XNLI, *pawsx, "kk"], always_held_out=pawsx, never_held_out=["swh"], seed=seed)
        assert {*pawsx} <= {*found.held_out} and "sw" in found.pool and len(found.pool) == 8
        assert found.pool[0] == "bg" and found.held_out[-2:] == ("tr", "kk")
        assert found.excluded == {"kk": "12 shared features, 30 needed"}
    assert "kk" not in split_languages([*XNLI, "kk"], never_held_out=["kk"]).held_out


def test_the_pool_may_be_empty_by_wish():
    split = split_languages(["sw", "tr"], always_held_out=["sw", "tr"])
    assert split.pool == () and set(split.held_out) == {"sw", "tr"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"held_out": 0.0}, "between 0 and 1"),
        ({"held_out": 1.0}, "between 0 and 1"),
        ({"always_held_out": ["fi"]}, "'fi' is forced"),
        ({"always_held_out": ["de"], "never_held_out": ["deu"]}, "'de' is forced to both sides"),
        ({"never_held_out": XNLI}, "held-out set would be empty"),
        ({"anchor": "englih"}, "'english'"),
        ({"candidates": []}, "source pool would be empty"),
    ],
)
def test_bad_splits_are_refused(options, says):
    with pytest.raises(XstiltsError) as caught:
        split_languages(**{"candidates": XNLI, **options})
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        ("syntax-knn", {"de": 0.097, "tr": 0.493, "sw": 0.541, "kk": 0.552}),
        ("lang2vec", {"de": 0.431, "tr": 0.707, "sw": 0.714, "kk": 0.899, "ht": 0.656}),
        ("genetic", {"de": 0.456, "nl": 0.556, "ru": 0.833, "tr": 1.0, "eu": 1.0, "qu": 1.0}),
        ("geographic", {"de": 1060, "id": 12036, "my": 8498, "ht": 7094}),
    ],
)
def test_other_measures_give_the_known_distances_from_english(measure, expected):
    for code, value in expected.items():
        assert distance("en", code, measure=measure).value == pytest.approx(value, abs=1 if value > 2 else 0.0006)


def test_phonology_and_inventory_count_what_both_have():
    assert (
        distance("en", "de", measure="phonology").shared == 25 and distance("en", "kk", measure="phonology").shared == 2
    )
    assert np.isnan(distance("en", "he", measure="phonology").value)
    assert distance("en", "tr", measure="inventory").shared == 158
    assert np.isnan(distance("en", "et", measure="inventory").value)


@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_symmetric_with_its_interval_around_it(measure):
    found = distance_matrix(FIFTY, measure=measure, intervals=True)
    assert np.array_equal(found.values, found.values.T, equal_nan=True) and (np.diag(found.values) == 0).all()
    assert np.nanmin(found.values) >= 0 and (measure == "geographic" or np.nanmax(found.values) <= 1)
    pair = distance_matrix(["tr", "sw"], measure=measure, intervals=True).pair(0, 1)
    assert pair == found.pair(FIFTY.index("tr"), FIFTY.index("sw")) == distance("tr", "sw", measure=measure)
    assert (pair.low is None) == (MEASURES[measure].kind == "")
    assert pair.low is None or pair.low < pair.value < pair.high


def test_coordinates_of_every_language():
    hawaiian, zulu = language("haw"), language("zu")
    assert abs(hawaiian.latitude - 20) < 3 and abs(hawaiian.longitude + 156) < 3
    assert abs(zulu.latitude + 25) < 4 and abs(zulu.longitude - 31) < 3
    assert all(one.latitude is not None and abs(one.latitude) <= 90 for one in all_languages() if one.uriel)


def test_a_language_without_features_has_unknown_distances_and_a_place_in_the_family():
    assert np.isnan(distance("en", "Slovak").value)
    assert distance("cs", "sk", measure="genetic").value < distance("ru", "sk", measure="genetic").value < 0.5
    assert distance("cs", "sk", measure="geographic").value < 400


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("Slovak", "sk"), ("Nynorsk", "nn"), ("Asturian", "ast"), ("Naija", "pcm"), ("nah", "nah"), ("Otomi", "oto"),
        ("Nheengatu", "yrl"), ("Farsi", "fa"), ("Mandarin", "zh"), ("kiswahili", "sw"), ("ger", "de"), ("chi", "zh"),
        ("fre", "fr"), ("fil", "tl"), ("中文", "zh"), ("kmr_Latn", "ku"), ("arb_Arab", "ar"), ("nob", "nb"),
    ],
)  # fmt: skip
def test_every_language_is_known_by_its_codes_and_names(query, code):
    assert language(query).code == code


def test_intervals_are_those_of_the_grouped_bootstrap():
    # What an independent program found with 42 groups of features; ours are 44.
    known = {"bg": (0.05, 0.19), "de": (0.06, 0.17), "es": (0.07, 0.21), "ar": (0.21, 0.43), "tr": (0.23, 0.57)}
    known |= {"sw": (0.25, 0.62), "gu": (0.06, 0.40), "ka": (0.17, 0.35), "ml": (0.06, 0.62), "zh": (0.11, 0.32)}
    for code, (low, high) in known.items():
        found = distance("en", code)
        assert abs(found.low - low) < 0.04 and abs(found.high - high) < 0.04, found
    assert distance("en", "kk").low is None


def test_speed():
    start = time.process_time()
    distance_matrix(FIFTY, intervals=True)
    assert time.process_time() - start < 2
    start = time.process_time()
    assert distance_matrix([one.code for one in all_languages()[:2000]]).values.shape == (2000, 2000)
    assert time.process_time() - start < 10


def test_results_print_well():
    assert str(distance("en", "tr")) == "en–tr 0.418 [0.246, 0.581], 89 shared features (syntax)"
    assert str(distance("en", "kk")) == "en–kk unknown, 12 shared features (syntax)"
    assert str(distance("en", "de", measure="geographic")) == "en–de 1060 (geographic)"
    assert str(distance_matrix(["en", "de"])).splitlines()[1].split() == ["en", "0.000", "0.115"]
    shown = str(select("far", XNLI, 3))
    assert shown.startswith("far from en by syntax: ar tr sw") and "89 shared  P 0.9" in shown


def write(path, *rows):
    path.write_text("\n".join(rows) + "\n")
    return str(path)


def test_distances_of_ones_own(tmp_path):
    file = write(tmp_path / "own.csv", ",eng,tur,swh_Latn", "tr,.3,0,", "English,0,.3,.5", "sw,.5,,0")
    found = distance_matrix(["sw", "en", "tr", "de"], measure=file)
    assert found.values[0, 1] == 0.5 and found.values[1, 2] == 0.3 and found.shared is None
    assert np.isnan(found.values[0, 2]) and np.isnan(found.values[:3, 3]).all() and found.values[3, 3] == 0
    chosen = select("far", ["sw", "tr", "de"], 1, measure=file)
    assert chosen.languages == ("sw",) and chosen.excluded == {"de": f"no distance by '{file}'"}
    assert chosen.evidence[1].probability is None and "syntax" in chosen.evidence[1].agree
    with pytest.raises(XstiltsError, match="none"):
        select("far", ["de", "fr"], 1, measure=file)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([",en,tr", "en,0,-.1", "tr,-.1,0"], "distance of en to tr is '-.1'"),
        ([",en,tr", "en,0,.1", "tr,.2,0"], "en to tr is 0.1, but tr to en is 0.2"),
        ([",en,tr", "en,0,.1", "tr,,0"], "en to tr is 0.1"),
        ([",en,tr", "en,.1,.1", "tr,.1,0"], "en to itself is 0.1"),
        ([",en,qqq", "en,0,.1", "qqq,.1,0"], "row 1, column 3: unknown language 'qqq'"),
        ([",en,Ga", "en,0,.1", "Ga,.1,0"], "names more than one language"),
        ([",en,tr", "en,0,far", "tr,far,0"], "distance of en to tr is 'far'"),
        ([",en,tr", "en,0,inf", "tr,inf,0"], "distance of en to tr is 'inf'"),
        ([",en,sw,swh", "en,0,1,1", "sw,1,0,0", "swh,1,0,0"], "names 'sw' twice"),
        ([",en,tr", "en,0,.1", "de,.1,0"], "only one side has de, tr"),
        ([",en,tr", "en,0", "tr,.1,0"], "not a square table"),
        ([""], "not a square table"),
    ],
)
def test_a_bad_table_of_distances_is_refused_with_its_cell(tmp_path, rows, says):
    with pytest.raises(XstiltsError) as caught:
        distance("en", "tr", measure=write(tmp_path / "own.csv", *rows))
    assert says in str(caught.value)


# Candidates, strategy, and the languages with the probabilities that an independent program found (42 groups).
KNOWN = [
    (XNLI, "near", {"bg": 0.86, "de": 0.82, "es": 0.56}),
    (XNLI, "far", {"tr": 0.91, "sw": 0.85, "ar": 0.54}),
    (XNLI, "diverse", {"hi": 0.31, "sw": 0.78, "tr": 0.91}),
    (XQUAD, "near", {"de": 0.94, "es": 0.83, "ru": 0.59}),
    (XQUAD, "far", {"tr": 0.95, "ar": 0.81, "hi": 0.65}),
    (XQUAD, "diverse", {"ar": 0.86, "hi": 0.48, "tr": 0.92}),
    (TYDIQA, "near", {"ru": 0.94, "id": 0.79, "fi": 0.75}),
    (TYDIQA, "far", {"sw": 0.78, "bn": 0.74, "te": 0.62}),
    (TYDIQA, "diverse", {"ar": 0.54, "ko": 0.44, "sw": 0.93}),
    (UDPOS, "near", {"bg": 0.60, "nl": 0.44, "it": 0.47}),
    (UDPOS, "far", {"tr": 0.67, "eu": 0.34, "tl": 0.42}),
    (UDPOS, "diverse", {"eu": None, "ta": None, "tl": None}),
    (PANX, "near", {"bg": 0.59, "nl": 0.44, "it": 0.46}),
    (PANX, "far", {"my": 0.49, "sw": 0.53, "tr": 0.39}),
    (PANX, "diverse", {"eu": None, "my": None, "tl": None}),
]


@pytest.mark.parametrize(("candidates", "strategy", "expected"), KNOWN)
def test_selections_and_their_probabilities_are_the_known_ones(candidates, strategy, expected):
    found = select(strategy, candidates, 3)
    assert set(found.languages) == set(expected)
    share = {one.language: one.probability for one in found.evidence}
    assert sum(share.values()) == pytest.approx(3)
    for code, value in expected.items():
        assert value is None or abs(share[code] - value) < 0.09, (code, share[code])


def test_evidence():
    found = {one.language: one for one in select("near", XNLI, 3).evidence}
    assert list(found) == list(select("near", XNLI, 14).languages)
    assert {code for code, one in found.items() if one.chosen} == {"bg", "de", "es"}
    assert found["tr"].family == "Turkic" and found["tr"].script == "Latn" and found["tr"].probability == 0
    assert {"syntax", "syntax-knn", "lang2vec"} <= set(found["de"].agree) <= set(MEASURES)
    # All but the near relatives of English are at the same genetic distance: nothing to choose them by.
    assert all("genetic" not in one.agree for one in select("far", XNLI, 3).evidence)
    drawn = select("random", XNLI, 3).evidence
    assert all(one.probability is None and one.agree is None for one in drawn) and sum(one.chosen for one in drawn) == 3


def test_stratified_is_equally_spaced_and_the_best_such_set():
    for k in (1, 2, 3, 5, 14):
        found = select("stratified", XNLI, k)
        at = np.array([distance("en", code).value for code in select("near", XNLI, 14).languages])
        points = np.linspace(at[0], at[-1], k) if k > 1 else np.array([(at[0] + at[-1]) / 2])
        best = min(np.abs(np.array(s) - points).sum() for s in combinations(at, k))
        assert np.abs(np.array(list(found.distances.values())) - points).sum() == pytest.approx(best)
    drawn = {select("stratified", XNLI, 3, exact=False, seed=seed).languages for seed in range(30)}
    assert len(drawn) > 5 and all(len(set(one)) == 3 for one in drawn)


def test_script_and_family_can_be_held_constant():
    same, other = select("same-script", PANX, 3), select("other-script", PANX, 3)
    assert {language(code).script for code in same.languages} == {"Latn"} and same.excluded[
        "ru"
    ] == "script Cyrl, Latn needed"
    assert "Latn" not in {language(code).script for code in other.languages}
    assert same.languages == select("near", PANX, 3, match=["script"]).languages
    found = select("near", PANX, 3, match=["script"], exclude=["family"])
    assert found.languages == ("et", "id", "ms") and found.excluded["de"] == "family Indo-European, like en"
    with pytest.raises(XstiltsError, match="'script'"):
        select("near", PANX, 3, match=["scrpt"])


def test_predicted_chooses_by_scores(tmp_path):
    rows = ["de,fi,60", "tr,fi,70", "sw,fi,50", "de,hu,80", "tr,hu,90", "es,hu,86"]
    write(tmp_path / "scores.csv", "source,target,score", *rows)
    scores = read_scores(tmp_path / "scores.csv", held_out=["ko"])
    assert scores["tr"] == pytest.approx((10 + 90 - 256 / 3) / 2)
    found = select("predicted", [*XNLI, "kk"], 2, scores=scores)
    assert set(found.languages) == {"tr", "es"} and found.excluded["fr"] == "no score"
    with pytest.raises(XstiltsError, match="'hu' is held out"):
        read_scores(tmp_path / "scores.csv", held_out=["hun"])
    for bad in ("de,fi", "de,fi,much", "de,fi,nan", "qqq,fi,1"):
        write(tmp_path / "bad.csv", "source,target,score", bad)
        with pytest.raises(XstiltsError, match="row 2"):
            read_scores(tmp_path / "bad.csv")


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "predicted"])
@pytest.mark.parametrize("measure", MEASURES)
def test_every_strategy_works_with_every_measure(strategy, measure):
    for exact in (True, False):
        found = select(strategy, XNLI, 2, measure=measure, exact=exact, seed=3)
        assert len(found.languages) == 2 and len(found.evidence) >= 2 and str(found)


def test_the_way_to_the_most_diverse_set_is_told():
    assert select("diverse", XNLI, 3).method == "364 sets, all compared"
    many = select("diverse", FIFTY, 8)
    assert "greedy" in many.method and many.evidence[0].probability is None
