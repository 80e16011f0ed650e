"""Tokenizers that a study trains."""

from support import make_tokenizer


def test_a_limited_alphabet_is_the_same_in_every_training(tmp_path):
    """All rare characters are equally frequent: which of them are kept must not depend on chance."""
    rare = [chr(0x4E00 + i) for i in range(300)]
    texts = ["the river " * 5, *("".join(rare[i : i + 10]) for i in range(0, 300, 10))]
    first, *others = (make_tokenizer(tmp_path / str(i), texts, 230).get_vocab() for i in range(3))
    assert all(first == other for other in others)
    kept = sorted(set(rare) & set(first))
    assert 150 < len(kept) < 200 and kept == rare[: len(kept)], "ties are broken by code point"
