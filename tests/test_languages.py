"""Identity, distance, selection and split of languages."""

import hashlib
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from xstilts.errors import XstiltsError
from xstilts.languages import (
    all_languages,
    distance,
    distance_matrix,
    language,
    select,
    split_languages,
    syntax_features,
)
from xstilts.languages.identity import DATA
from xstilts.languages.strategies import exchange, exhaustive, spread

XNLI = ["ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
XQUAD = ["ar", "de", "el", "es", "hi", "ru", "th", "tr", "vi", "zh"]
TYDIQA = ["ar", "bn", "fi", "id", "ko", "ru", "sw", "te"]
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
        ("xxx-yyy-zzz", "Unknown language"),
        ("", "Unknown language"),
        ("sw-Latin", "Unknown language"),
    ],
)
def test_what_names_no_one_language_is_refused(query, says):
    with pytest.raises(XstiltsError) as caught:
        language(query)
    assert says in str(caught.value)


def test_the_table():
    everyone = all_languages()
    assert len(FIFTY) == 50 and FIFTY[0] == "en" and len(everyone) > 2000
    for attribute in ("code", "iso639_3", "uriel"):
        assert len({getattr(one, attribute) for one in everyone}) == len(everyone), attribute
    for one in everyone[:50]:
        assert one.glottocode and one.script and one.family and one.latitude is not None and one.longitude is not None
    for one in everyone:
        assert language(one.code) is one


def test_features():
    names, features = syntax_features()
    assert len(names) == 103 and set(features) == {one.code for one in all_languages()}
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
        (("farr", XNLI, 3), "'far'"),
        (("far", ["de", "kk", "en"], 2), "kk: 12 shared features, 30 needed"),
        (("far", XNLI, 0), "at least one"),
        (("far", ["de", "germen"], 1), "'german'"),
        (("near", [], 1), "none"),
    ],
)
def test_bad_selections_are_refused(arguments, says):
    with pytest.raises(XstiltsError) as caught:
        select(*arguments)
    assert says in str(caught.value)


def test_a_set_that_cannot_be_compared_is_refused():
    matrix = distance_matrix(["en", *FIFTY[1:]])
    i, j = next(p for p in np.argwhere(np.isnan(matrix.values)) if not np.isnan(matrix.values[0, p]).any())
    with pytest.raises(XstiltsError, match="compared"):
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


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"held_out": 0.0}, "between 0 and 1"),
        ({"held_out": 1.0}, "between 0 and 1"),
        ({"always_held_out": ["fi"]}, "'fi' is forced"),
        ({"always_held_out": ["de"], "never_held_out": ["deu"]}, "'de' is forced to both sides"),
        ({"always_held_out": XNLI}, "source pool would be empty"),
        ({"never_held_out": XNLI}, "held-out set would be empty"),
        ({"anchor": "englih"}, "'english'"),
    ],
)
def test_bad_splits_are_refused(options, says):
    with pytest.raises(XstiltsError) as caught:
        split_languages(XNLI, **options)
    assert says in str(caught.value)
