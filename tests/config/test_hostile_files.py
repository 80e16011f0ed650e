"""Study and task files that would take all time or memory, or hold what no study can: refused when they are read."""

import pytest
import yaml

from xstilts.config.load import load_study, read_task_file
from xstilts.config.messages import LARGEST_FILE, SHOWN
from xstilts.errors import XstiltsError


def aliases(levels: int, inner: str, around: str) -> str:
    """Each level holds nine aliases of the level below."""
    lines = [f"a0: &a0 {inner}"]
    for level in range(1, levels):
        named = ", ".join(around.format(number=number, alias=f"*a{level - 1}") for number in range(9))
        lines.append(f"a{level}: &a{level} " + (f"{{{named}}}" if ":" in around else f"[{named}]"))
    return "\n".join(lines) + "\n"


REFUSED = {
    "lists of aliases": aliases(9, "[x, x]", "{alias}"),
    "mappings of aliases": aliases(9, "{a: 1}", "k{number}: {alias}"),
    "merged aliases": "\n".join(
        ["a0: &a0 {a: 1}"] + [f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    ),
    "an alias inside itself": "a: &x {b: *x}",
    "many brackets": "x: " + "[" * 3000 + "]" * 3000,
    "many levels": "x: " + "{a: " * 90 + "1" + "}" * 90,
    "a number of 5,000 digits": "seed: " + "1" * 5000,
    "a long hexadecimal number": "seed: 0x" + "f" * 40_000,
    "minutes of minutes": "seed: 1" + ":59" * 5000,
    "no date": "seed: 2020-13-45",
    "no whole number": "seed: !!int x",
    "no truth value": "seed: !!bool x",
    "no date by its tag": "seed: !!timestamp x",
    "a Python object": "seed: !!python/object/apply:os.system [ls]",
    "a NUL character": 'extends: "a\\0b"',
    "half of a surrogate pair": 'question: "\\ud800"',
    "a list as a key": "? [a]\n: 1",
    "a large file": "# " + "x" * LARGEST_FILE,
    "many values": "x: [" + "1, " * 30_000 + "1]",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("read", [load_study, read_task_file])
def test_a_file_that_no_one_means_is_refused(name, read, tmp_path):
    (tmp_path / "study.yaml").write_text(REFUSED[name])
    with pytest.raises(XstiltsError) as error:
        read(str(tmp_path / "study.yaml") if read is load_study else tmp_path / "study.yaml")
    assert error.value.kind == "bad-file"


def mistakes(folder, changes):
    (folder / "study.yaml").write_text(yaml.safe_dump({"extends": "pocket", **changes}))
    with pytest.raises(XstiltsError) as error:
        load_study(str(folder / "study.yaml"))
    assert error.value.kind == "bad-setting"
    return error.value.why


def encoder(**config):
    return {"encoders": {"pocket": {"pretrain": {"config": config}}}}


def nli(**settings):
    return {"tasks": {"pocket-nli": {"extends": "pocket-nli", **settings}}}


TRAINED = {"training": {"epochs": 1, "recipe": {"learning_rate": 1e-3}}}


@pytest.mark.parametrize(("changes", "place"), [
    (encoder(hidden_size="abc"), "config.hidden_size"),
    (encoder(hidden_size=10**12), "config.hidden_size"),
    (encoder(num_hidden_layers=[1]), "config.num_hidden_layers"),
    (encoder(num_attention_heads=0), "config.num_attention_heads"),
    (encoder(num_attention_heads=3), "config.num_attention_heads"),
    (encoder(hidden_act="glue"), "config.hidden_act"),
    (encoder(hidden_act=["gelu"]), "config.hidden_act"),
    (encoder(hidden_dropout_prob=float("nan")), "hidden_dropout_prob"),
    (encoder(hidden_dropout_prob=1.5), "config.hidden_dropout_prob"),
    (encoder(model_type=5), "config.model_type"),
    (encoder(model_type="nonesuch"), "encoders.pocket"),
    (encoder(max_position_embeddings=32), "encoders.pocket"),
    (encoder(model_type="roberta", max_position_embeddings=64), "encoders.pocket"),  # the first of them is of padding
    (nli(max_length=65), "encoders.pocket"),
    ({"intermediate": {"nli": {"mixture": 5}}}, "intermediate.nli.mixture"),
    ({"replicates": 10**9}, "replicates"),
    ({"replicates": 9000}, "replicates"),  # times arms, targets and encoders
    ({"encoders": {"pocket": {"seeds": 10**9}}}, "encoders.pocket.seeds"),
    ({"languages": {"candidates": ["de"] * 10_000}}, "languages.candidates"),
    ({"languages": {"candidates": [f"unknown{i}" for i in range(10_000)]}}, "languages.candidates"),
    ({"targets": {"n" * 250: {"task": "pocket-nli", **TRAINED}}}, "at most 200 bytes"),
    ({"targets": {"語" * 90: {"task": "pocket-nli", **TRAINED}}}, "at most 200 bytes"),
    ({"arms": {"a\nb": {}}}, "control characters"),
    ({"encoders": {"pocket": None, "long": {"load": "a" * 10_000}}}, "encoders.long.load"),
    ({"arms": {"far": {"languages": "predicted", "scores": "a" * 300}}}, "arms.far.scores"),
    ({"task_files": ["a" * 10_000]}, "task_files.0"),
])  # fmt: skip
def test_what_would_fail_or_never_end_later_is_a_mistake(tmp_path, changes, place):
    assert place in mistakes(tmp_path, changes)


def test_a_configuration_that_is_no_object_is_a_mistake(tmp_path):
    (tmp_path / "config.json").write_text("[1]")
    assert "encoders.mine.load" in mistakes(tmp_path, {"encoders": {"pocket": None, "mine": {"load": str(tmp_path)}}})


def test_values_of_a_configuration_that_json_lacks_are_a_mistake(tmp_path):
    for value in ("2020-01-01", "!!binary aGVsbG8=", "!!set {a, b}", ".nan"):
        text = f"extends: pocket\nencoders: {{pocket: {{pretrain: {{config: {{x: {value}}}}}}}}}"
        (tmp_path / "study.yaml").write_text(text)
        with pytest.raises(XstiltsError) as error:
            load_study(str(tmp_path / "study.yaml"))
        assert "config" in error.value.why, value


def test_a_study_that_extends_no_possible_file_is_refused(tmp_path):
    (tmp_path / "study.yaml").write_text(f"extends: {'a' * 10_000}")
    with pytest.raises(XstiltsError) as error:
        load_study(str(tmp_path / "study.yaml"))
    assert error.value.kind == "missing-file"


def test_of_very_many_mistakes_the_first_are_listed_and_the_rest_counted(tmp_path):
    why = mistakes(tmp_path, {f"unknown{i}": 1 for i in range(500)})
    assert len(why.splitlines()) == SHOWN + 1 and "400 more" in why
