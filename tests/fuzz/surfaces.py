"""What reads input of others: each function makes one input from a random generator in an empty folder, and reads it.

It returns if the input was accepted or refused with an XstiltsError; another exception is a defect.
"""

import csv
import io
import json
import random
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from mutations import VALUES, mutated_bytes, mutated_value, mutated_words

from made_runs import make_run
from xstilts.cli import main
from xstilts.config.load import builtin_studies, load_study, read_task_file
from xstilts.data.check import check
from xstilts.data.examples import load_examples
from xstilts.evaluation import scoring
from xstilts.languages.user_tables import read_distances, read_scores
from xstilts.report.next_step import last_start
from xstilts.runs.events import read_events
from xstilts.runs.reader import read_run
from xstilts.runs.score_table import read_score_table
from xstilts.runs.verify import seal
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.tasks.task import Task, catalogue_entries
from xstilts.transfer.read_tables import read_tables
from xstilts.workflows.compare_files import compare_files
from xstilts.workflows.user_data.entry import infer_entry
from xstilts.workflows.user_data.tables import read_table
from xstilts.workflows.user_data.user_task import understand

PLANNED = 2000
"""The most scores of a study that is also planned: larger ones take seconds."""


def _yaml(rng: random.Random, value: object) -> bytes:
    """A YAML text with a change of a value, or of the text."""
    if rng.random() < 0.6:
        for _ in range(rng.randint(1, 2)):
            value = mutated_value(rng, value)
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=True).encode("utf-8", "surrogatepass")
    return mutated_bytes(rng, yaml.safe_dump(value, sort_keys=False).encode())


STUDIES = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(builtin_studies().values())]


def study_file(rng: random.Random, folder: Path) -> None:
    """A study: read, and planned if it is small."""
    file = folder / "study.yaml"
    file.write_bytes(_yaml(rng, rng.choice(STUDIES)))
    study = load_study(str(file), quick=rng.random() < 0.3)
    cells = sum(encoder.seeds for encoder in study.encoders.values()) * study.replicates * len(study.arms)
    if cells * len(study.targets) <= PLANNED:
        build_plan(freeze(study, folder, "cpu", allow_few=True)).frozen.describe()


def task_file(rng: random.Random, folder: Path) -> None:
    """A file of tasks."""
    entries = catalogue_entries()
    names = rng.sample(sorted(entries), 2)
    (folder / "tasks.yaml").write_bytes(_yaml(rng, {f"my-{name}": entries[name] for name in names}))
    for task in read_task_file(folder / "tasks.yaml").values():
        for split in task.source.named_splits:
            load_examples(task, split, "en", folder, {}) if not getattr(task.source, "hub", "") else None


PAIRS = [
    {"id": str(i), "text_a": f"a river {i}", "text_b": "town, old", "label": "yes" if i % 2 else "no"} for i in range(6)
]
TAGGED = "-DOCSTART- O\n\nJohn B-PER\nLewis I-PER\nis O\n\nTroy B-LOC\n"
CONLLU = "# newdoc\n# text = a b\n1\ta\ta\tDET\t_\t_\t2\tdet\t_\t_\n2\tb\tb\tNOUN\t_\t_\t0\troot\t_\tx=B-X\n"
SQUAD = {"data": [{"title": "t", "paragraphs": [{"context": "a river runs", "qas": [
    {"id": "1", "question": "what?", "answers": [{"text": "river", "answer_start": 2}]}]}]}]}  # fmt: skip
PARALLEL = {"train": "{lang}"}
LABELLED = {"type": "classification", "labels": ["yes", "no"]}


def table_text(delimiter: str) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, PAIRS[0], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(PAIRS)
    return text.getvalue()


def parquet_bytes() -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(PAIRS), buffer)
    return buffer.getvalue().to_pybytes()


CSV = table_text(",").encode()
TAGS = ["O", "B-PER", "I-PER", "B-LOC"]
BITEXT = {"format": "bitext", "english": "eng", "gold": "gold"}
BLOCKS = {"format": "blocks", "block": 2, "columns": {"text_a": 0, "label": 1}}
NAMES = {name: name for name in PAIRS[0]}
FORMATS: dict[str, tuple[dict, bytes]] = {
    "csv": ({**LABELLED, "source": {"format": "table", "delimiter": "comma", "columns": NAMES}}, CSV),
    "tsv": ({**LABELLED, "source": {"format": "table", "columns": NAMES}}, CSV.replace(b",", b"\t")),
    "jsonl": ({**LABELLED, "source": {"format": "jsonl"}}, "\n".join(map(json.dumps, PAIRS)).encode()),
    "json": ({**LABELLED, "source": {"format": "json"}}, json.dumps(PAIRS).encode()),
    "parquet": ({**LABELLED, "source": {"format": "parquet"}}, parquet_bytes()),
    "conll": ({"type": "tagging", "labels": TAGS, "source": {"format": "tagged"}}, TAGGED.encode()),
    "conllu": ({"type": "tagging", "labels": ["DET", "NOUN"], "source": {"format": "conllu"}}, CONLLU.encode()),
    "squad": ({"type": "qa", "source": {"format": "squad"}}, json.dumps(SQUAD, indent=1).encode()),
    "txt": ({"type": "mlm", "source": {"format": "lines"}}, b"a river\nthe town\n\nold\n"),
    "bitext": ({"type": "retrieval", "mining": True, "metrics": ["f1"], "source": BITEXT},
               b"de-1\tein Fluss\nde-2\tdie Stadt\n"),
    "blocks": ({"type": "classification", "labels": ["a", "b"], "source": BLOCKS}, b"text\na\nmore\nb\n"),
}  # fmt: skip


def data_file(rng: random.Random, folder: Path) -> None:
    """A file of examples of each format, and the report of `data check` about it."""
    entry, content = FORMATS[rng.choice(list(FORMATS))]
    task = Task.model_validate({"name": "t", **entry, "source": {**entry["source"], "files": PARALLEL}})
    (folder / "en").write_bytes(mutated_bytes(rng, content))
    (folder / "eng").write_bytes(mutated_bytes(rng, b"en-1\ta river\nen-2\tthe town\n"))
    (folder / "gold").write_bytes(mutated_bytes(rng, b"de-1\ten-1\n"))
    check(task, "train", ["en"], folder, {})
    load_examples(task, "train", "en", folder, {})


def user_file(rng: random.Random, folder: Path) -> None:
    """A file of a user, whose columns `train` and `data check` infer."""
    name = rng.choice(["csv", "tsv", "jsonl", "json", "parquet", "conll", "conllu", "squad", "txt"])
    file = folder / f"data.{'json' if name == 'squad' else name}"
    content = FORMATS[name][1]
    if name in ("csv", "tsv") and rng.random() < 0.7:
        lines = content.splitlines(keepends=True)
        content = lines[0] + b"".join(lines[1:]) * 4
    file.write_bytes(mutated_bytes(rng, content) if rng.random() < 0.95 else b"")
    entry, _ = infer_entry(file, rng.choice(["", "en"]))
    Task.model_validate({"name": "mine", **entry})
    understand(read_table(file))


def prediction_files(rng: random.Random, folder: Path) -> None:
    """Predictions of two systems, and gold, in one of the formats that `compare` reads."""
    labels = ["yes", "no", "no", "yes", "no", "yes"]
    records = [{"id": str(i), "prediction": label, "gold": label, "language": "en"} for i, label in enumerate(labels)]
    text = io.StringIO()
    writer = csv.DictWriter(text, records[0])
    writer.writeheader()
    writer.writerows(records)
    forms = {
        "txt": "\n".join(labels), "csv": text.getvalue(), "tsv": text.getvalue().replace(",", "\t"),
        "jsonl": "\n".join(map(json.dumps, records)),
        "json": json.dumps({row["id"]: row["prediction"] for row in records}),
        "conll": TAGGED.replace("-DOCSTART- O\n\n", "").replace(" ", rng.choice([" ", "\t"])),
    }  # fmt: skip
    form = rng.choice(list(forms))
    ending = "txt" if form == "conll" else form
    for side in ("ours", "theirs", "gold"):
        (folder / side).mkdir()
        content = forms[form].encode()
        (folder / side / f"sw.1.{ending}").write_bytes(mutated_bytes(rng, content) if rng.random() < 0.6 else content)
    gold = folder / "gold" if rng.random() < 0.8 else None
    compare_files(folder / "ours", folder / "theirs", gold, task_type=rng.choice(["", "classification", "tagging"]))


SUBMISSION = {
    "xnli/test-sw.tsv": b"entailment\nneutral\ncontradiction\n", "pawsx/test-de.tsv": b"0\n1\n",
    "panx/test-sw.tsv": b"B-PER\nI-PER\n\nO\nB-LOC\n", "udpos/test-sw.tsv": b"NOUN\nVERB\n\nPUNCT\n",
    "xquad/test-de.json": b'{"1": "a river", "2": "town"}', "tatoeba/test-de.tsv": b"0\n1\n2\n",
    "bucc2018/test-de.tsv": b"de-000000001\ten-000000002\n",
}  # fmt: skip


def submission(rng: random.Random, folder: Path) -> None:
    """A folder of predictions in XTREME's layout, and one of labels."""
    for side in ("predictions", "labels"):
        for name, content in SUBMISSION.items():
            if rng.random() < 0.9:
                file = folder / side / (name if rng.random() < 0.97 else name.replace("sw", "x"))
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(mutated_bytes(rng, content) if rng.random() < 0.2 else content)
    version = rng.choice(["xtreme-2020", "xtreme-r-v1"])
    read = rng.choice([scoring.score, scoring.check])
    read(folder / "predictions", folder / "labels", version)


LONG = "source,target,score,examples\nde,fr,70.1,1000\nde+fr,sw,60,500+500\nen,sw,55.5,1000\nen,fr,66,1000\n"
MATRIX = ",de,fr,sw\nde,80,70,60\nen,75,71,50\nfr,70,81,\n"
SUMEVAL = json.dumps([{"train_config": {"en": 100, "de": 50}, "eval_results": {"fr": 0.7, "sw": 0.5}}] * 2)
DISTANCES = ",en,de,sw\nen,0,0.2,0.7\nde,0.2,0,0.6\nsw,0.7,0.6,0\n"
SCORES = "source,target,score,learned_from\nde,fr,1.5,fr\nen,fr,0.5,fr sw\n"


def result_tables(rng: random.Random, folder: Path) -> None:
    """Tables of published results, of distances and of scores of languages."""
    name, content = rng.choice([("t.csv", LONG), ("t.tsv", LONG.replace(",", "\t")), ("m.csv", MATRIX),
                                ("XNLI_xlmr.json", SUMEVAL), ("d.csv", DISTANCES), ("s.csv", SCORES)])  # fmt: skip
    (folder / name).write_bytes(mutated_bytes(rng, content.encode()))
    if name == "d.csv":
        read_distances(folder / name, ["en", "de", "sw", "fr"])
    elif name == "s.csv":
        read_scores(folder / name, ["tr"])
    else:
        read_tables(folder / name)


_RUN: list[dict[str, bytes]] = []
ODD_COLUMNS = [
    lambda n: pa.nulls(n), lambda n: pa.array(range(n)), lambda n: pa.array([1.5] * n), lambda n: pa.array([True] * n),
    lambda n: pa.array([["x"]] * n), lambda n: pa.array([b"\xff"] * n), lambda n: pa.array([{"x": 1}] * n),
    lambda n: pa.array([""] * n), lambda n: pa.array([10**12] * n), lambda n: pa.array(["x"] * n).dictionary_encode(),
]  # fmt: skip


def run_folder(rng: random.Random, folder: Path) -> None:
    """A run folder with a changed file or table, once as it is found and once with checksums that fit the change."""
    if not _RUN:
        arms = {"none": {}, "mnli": {"intermediate": "mnli"}}
        make_run(folder / "made", arms, ("xnli",), items=8, replicates=2)
        _RUN.append({str(file.relative_to(folder / "made")): file.read_bytes()
                     for file in sorted((folder / "made").rglob("*")) if file.is_file()})  # fmt: skip
    run = folder / "run"
    for name, content in _RUN[0].items():
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(content)
    file = run / rng.choice(list(_RUN[0]))
    if file.suffix == ".parquet" and rng.random() < 0.8:
        table = pq.read_table(file)
        place, kind = rng.randrange(table.num_columns), rng.choice(["xnli", "tagging", "qa", "multilabel"])
        table = table.set_column(place, table.column_names[place], rng.choice(ODD_COLUMNS)(len(table)))
        pq.write_table(table.drop_columns(table.column_names[0]) if rng.random() < 0.1 else table, file)
        for metric in ("accuracy", "f1"):
            kind = "classification" if kind == "xnli" else kind
            read_score_table(file, kind, metric)
    elif file.suffix == ".json" and rng.random() < 0.7:
        file.write_text(json.dumps(mutated_value(rng, json.loads(file.read_bytes()))))
    else:
        file.write_bytes(mutated_bytes(rng, file.read_bytes()))
    if rng.random() < 0.5:
        seal(run)
    opened = read_run(run)
    for target in opened.scored:
        opened.score_table(target)


EVENT = {
    "time": 1.5,
    "session": "a",
    "event": "plan",
    "steps": 2,
    "todo": ["x"],
    "slots": 1,
    "host": "h",
    "command": "xstilts study",
}


def event_file(rng: random.Random, folder: Path) -> None:
    """The log of a run."""
    events = [EVENT, {"time": 2, "session": "a", "event": "finished", "step": "x", "seconds": 3.5},
              {"time": 3, "session": "a", "event": "failed", "step": "y", "why": "full"}]  # fmt: skip
    lines = [json.dumps(mutated_value(rng, event)) if rng.random() < 0.5 else json.dumps(event) for event in events]
    (folder / "events.jsonl").write_bytes(mutated_bytes(rng, "\n".join(lines).encode()))
    last_start(folder)
    for event in read_events(folder):
        assert isinstance(event.get("session", ""), str) and event.get("time", 0) >= 0


COMMANDS = [
    "tasks", "tasks show xnli", "languages Swahili", "languages swh --json", "distances en de sw",
    "sources --for sw", "data check data.csv", "data list --json", "score predictions labels",
    "submit check predictions --labels labels", "compare a.txt b.txt --gold g.txt", "transfer fit t.csv -o m.json",
    "transfer rank --for sw", "power --help", "claims run", "report run", "verify run", "step --run run --list",
    "studies", "plan s.yaml", "plan s.yaml --json",
]  # fmt: skip
NEVER = {"study", "train", "evaluate", "doctor", "bench", "calibrate", "pocket", "watch"}
"""Words of commands that train, measure or wait: what they read is read by others here. None asks a hub."""


def command_line(rng: random.Random, folder: Path) -> None:
    """A command, with files that are there and others that are not."""
    words = mutated_words(rng, rng.choice(COMMANDS).split())
    if NEVER & set(words) or (words and words[0].startswith("power") and "--help" not in words):
        return
    (folder / "data.csv").write_bytes(mutated_bytes(rng, table_text(",").encode()))
    (folder / "s.yaml").write_bytes(_yaml(rng, {"extends": "xtreme-baseline", "seed": rng.choice(VALUES)}))
    for name in ("a.txt", "b.txt", "g.txt"):
        (folder / name).write_text("yes\nno\nyes\n")
    (folder / "t.csv").write_text(rng.choice([LONG, MATRIX, ""]))
    (folder / "run").mkdir()
    out, err = io.StringIO(), io.StringIO()
    with mock.patch("sys.argv", ["xstilts", *words]), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            assert end.code in (None, 0, 2, 3, 4), (words, err.getvalue())
    assert "Traceback" not in out.getvalue() + err.getvalue(), (words, err.getvalue())


SURFACES: dict[str, Callable[[random.Random, Path], None]] = {
    surface.__name__: surface
    for surface in (study_file, task_file, data_file, user_file, prediction_files, submission, result_tables,
                    run_folder, event_file, command_line)
}  # fmt: skip
