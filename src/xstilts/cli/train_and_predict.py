"""The verbs for one's own data: train, predict, evaluate."""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from xstilts.cli import options
from xstilts.cli.root import app
from xstilts.report.console import clock, emit, interval, number, print_table, say
from xstilts.workflows.user_data.kinds import KINDS

TEXT = Annotated[list[str] | None, typer.Option("--text", help="Column of texts; twice for pairs.")]
MODEL = Annotated[Path, typer.Argument(help="The folder of a model that `train` wrote.")]
PATTERN = "Labelled rows to score on: a path in which {lang} stands for the language, or a file with a column of it."
SHOTS = "Labelled rows in these languages to train on as well, given as for --test."
PLACE = r"A folder, or OWNER/NAME\[@REVISION]."
ARMS = (
    r"Trainings to compare, with commas: none, TASK\[@STRATEGY\[:COUNT]], translate, shots, lora, balanced, best, "
    "average; several with + between them."
)


@app.command(
    epilog="Examples:\n\n  xstilts train reviews.csv --for sw,th -o model         infers, plans, trains\n\n"
    "  xstilts train reviews.csv --for sw --dry-run           only says what it would do\n\n"
    "  xstilts train ner.conll --for sw --intermediate panx --sources near:3\n\n"
    "  xstilts train reviews.csv --for sw,th --test test-{lang}.csv --compare none,mnli,translate --seeds 5\n\n"
    "  xstilts train reviews.csv --for sw --shots sw.csv      adds a few labelled rows in Swahili\n\n"
    "  xstilts train reviews.csv --for sw --encoder FacebookAI/xlm-roberta-base --lora --class-weights balanced\n\n"
    "  xstilts train nli.tsv --for sw --intermediate mnli_translated --sources near:3 --encoder ./e5-small"
)
def train(
    data: Annotated[Path, typer.Argument(help="Labelled rows: CSV, TSV, JSONL, JSON, Parquet, CoNLL, SQuAD.")],
    for_: Annotated[str, typer.Option("--for", help="Languages that the model is for: codes or names, with commas.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the model.")] = Path("model"),
    text: TEXT = None,
    label: Annotated[str | None, typer.Option("--label", help="Column of labels.")] = None,
    language: Annotated[str | None, typer.Option("--language", help="Column of languages, or the code of all.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help=f"If it is not inferred: {', '.join(KINDS)}.")] = None,
    test: Annotated[str | None, typer.Option("--test", help=PATTERN)] = None,
    shots: Annotated[str | None, typer.Option("--shots", help=SHOTS)] = None,
    intermediate: Annotated[str, typer.Option("--intermediate", help="A task to train on first.")] = "",
    sources: Annotated[str, typer.Option("--sources", help="Languages of the intermediate task, such as near:3.")] = "",
    examples: Annotated[
        int | None, typer.Option("--examples", min=1, help="Examples of the intermediate task.", show_default="10,000")
    ] = None,
    compare: Annotated[str, typer.Option("--compare", help=ARMS)] = "",
    encoder: Annotated[str, typer.Option("--encoder", help=PLACE, show_default="multilingual-e5-small")] = "",
    translator: Annotated[
        str, typer.Option("--translator", help="Model of `translate`: folder or repository.", show_default="M2M-100")
    ] = "",
    seeds: Annotated[int, typer.Option("--seeds", min=1, max=100, help="Runs of each training.")] = 1,
    epochs: Annotated[
        int | None, typer.Option("--epochs", min=1, help="Passes over the data.", show_default="about 300 updates")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--learning-rate", help="Peak learning rate.", show_default="by the encoder's size")
    ] = None,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, help="Examples per update.")] = 32,
    max_length: Annotated[
        int | None, typer.Option("--max-length", min=8, help="Tokens that are read.", show_default="128 or 384")
    ] = None,
    lora: Annotated[bool, typer.Option("--lora", help="Train low-rank adapters; needs peft.")] = False,
    class_weights: Annotated[
        Literal["balanced"] | None, typer.Option("--class-weights", help="Rare labels count more.")
    ] = None,
    checkpoint: Annotated[
        Literal["last", "best", "average"],
        typer.Option("--checkpoint", help="Weights to keep: the last, the best on dev rows, or an average."),
    ] = "last",
    seed: Annotated[int, typer.Option("--seed", help="Seed of all randomness.")] = 1,
    licence: Annotated[str, typer.Option("--licence", help="Licence of your data, for the model card.")] = "",
    store: Annotated[Path, typer.Option("--store", help="Folder of finished steps.")] = Path("runs/store"),
    device: options.DEVICE = "auto",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", min=1, help="Parallel steps, a core each.", show_default="cores; one training alone gets all"
        ),
    ] = None,
    per_gpu: options.PER_GPU = 1,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")] = False,
    progress: options.PROGRESS = "auto",
    as_json: options.JSON = False,
) -> None:
    """Train a model on your own labelled data in one language, for use in others."""
    from xstilts.cli.progress import Watcher
    from xstilts.engine import Store
    from xstilts.workflows.prepare_training import chosen_arms, estimate, executor, prepare
    from xstilts.workflows.trained_model import finish
    from xstilts.workflows.user_data.row_languages import codes_of
    from xstilts.workflows.user_study import DEFAULT_ENCODER, TrainingOptions

    console = Console(stderr=as_json)
    arms = chosen_arms(compare, intermediate, sources, shots is not None)
    settings = TrainingOptions(
        codes_of(for_), arms, encoder, translator, seeds=seeds, examples=examples, epochs=epochs,
        learning_rate=learning_rate, batch_size=batch_size, max_length=max_length, lora=lora,
        class_weights=class_weights or "", checkpoint=checkpoint, seed=seed, licence=licence,
    )  # fmt: skip
    columns: dict[str, Any] = {"text": text, "label": label, "language": language, "kind": kind}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, out.name) if dry_run else out
        prepared = prepare(data, settings, folder, columns, test=test, shots=shots, device=device)
    for line in prepared.notes:
        say(line, console=console)
    cost = estimate(prepared, Store(store))
    runs = f"{cost['runs']} training{'s' * (cost['runs'] > 1)}"
    took = clock(3600 * cost["hours"])
    name = (encoder or DEFAULT_ENCODER).partition("@")[0]
    say(f"plan: {name}, {', '.join(arms)}, {runs}, about {took} here", console=console)
    if not encoder:
        say("the encoder is a download of 471 MB, unless it is in the hub's cache", console=console)
    if dry_run:
        emit({"notes": prepared.notes, "study": prepared.study, **cost}, as_json)
        return
    if as_json and progress == "auto":  # standard output is for the result
        progress = "quiet"
    with Watcher(prepared.planned.plan, progress) as watcher:
        model = finish(prepared, Store(store), out, executor(prepared, jobs, per_gpu), watcher)
    if emit({"model": str(out), **model.facts}, as_json):
        return
    _print_scores(model.scores)
    dev, floor = (number(model.facts[name]) for name in ("dev_score", "dev_baseline"))
    say(f"dev rows ({model.facts['language']}): {dev} {model.facts['metric']}, baseline {floor}")
    if model.recommendation:
        say(f"recommended: {model.recommendation}", wrap=True)
    say(f"Model: {out}; next: xstilts predict {out} new.csv -o predictions.jsonl")


@app.command(
    epilog="Examples:\n\n  xstilts predict model new.csv -o predictions.jsonl     a JSON line a row; resumes\n\n"
    "  cat texts.txt | xstilts predict model - --lang sw      one text a line"
)
def predict(
    model: MODEL,
    data: Annotated[str, typer.Argument(help="CSV, TSV, JSONL, Parquet, .txt (a text a line), or -.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File of predictions.", show_default="print")] = None,
    text: TEXT = None,
    lang: Annotated[str, typer.Option("--lang", help="Language of texts to tag: where their words end.")] = "",
    device: options.DEVICE = "auto",
) -> None:
    """Predict for each row of a file of any length: labels, tags of words, or answers."""
    from xstilts.workflows.model import load
    from xstilts.workflows.predict_file import predict_file, predict_rows

    loaded = load(model)
    if out is None:
        for row in predict_rows(loaded, data, tuple(text or ()), lang=lang, device=device):
            print(json.dumps(row, ensure_ascii=False))
        return
    begin, console = time.monotonic(), Console(stderr=True)

    def progress(rows: int) -> None:
        if console.is_terminal:
            print(f"\r{rows:,} rows, {rows / (time.monotonic() - begin):,.0f} a second", end="", file=sys.stderr)

    rows = predict_file(loaded, data, out, tuple(text or ()), lang, device, progress)
    say(f"\n{rows:,} predictions in {out}" if console.is_terminal else f"{rows:,} predictions in {out}")


@app.command(
    epilog="Examples:\n\n  xstilts evaluate model test-{lang}.csv\n\n"
    "  xstilts evaluate model test-{lang}.csv --for sw,th --metric macro_f1 --json\n\n"
    "  xstilts evaluate OWNER/NAME --task xnli --for sw,th     any NLI model, on a task of the catalogue\n\n"
    "  xstilts evaluate ./nli --task mine --tasks mine.yaml --data DIR --labels yes,no"
)
def evaluate(
    model: Annotated[str, typer.Argument(help=f"A model of `train`; with --task any model. {PLACE}")],
    test: Annotated[str | None, typer.Argument(help=PATTERN)] = None,
    for_: Annotated[str, typer.Option("--for", help="Languages.", show_default="those of the model or task")] = "",
    metric: Annotated[str, typer.Option("--metric", help="Another metric of the task type, such as macro_f1.")] = "",
    task: Annotated[str, typer.Option("--task", help="Score on this task of the catalogue or of --tasks.")] = "",
    split: Annotated[str, typer.Option("--split", help="Split of the task.", show_default="test")] = "",
    data_source: options.SOURCE = None,
    data: options.DATA = None,
    tasks: options.TASKS = None,
    labels: Annotated[str, typer.Option("--labels", help="The task's label for each output of the model.")] = "",
    device: options.DEVICE = "auto",
    as_json: options.JSON = False,
) -> None:
    """Score a model on labelled rows or on a task, with intervals and baselines."""
    from xstilts.workflows.evaluate import evaluate as score

    of_task = {"split": split, "data_source": data_source, "data": data, "tasks": tasks, "labels": _listed(labels)}
    given: dict[str, Any] = {name: value for name, value in of_task.items() if value}
    if task and sys.stderr.isatty():
        given["progress"] = lambda share: print(f"\r{share:.0%} predicted", end="\n" * (share == 1), file=sys.stderr)
    console = Console(stderr=True)
    result = score(model, test, _listed(for_), metric, device, lambda line: say(line, console=console), task, **given)
    if not emit(result, as_json):
        _print_scores(result)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _print_scores(scores: dict[str, Any]) -> None:
    cells = [
        (code, number(row["score"]), interval(row, 1).replace("+", ""), number(row["baseline"]), f"{row['examples']:,}")
        for code, row in scores.items()
    ]
    if cells:
        print_table(("language", ">score", ">95% interval over rows", ">baseline", ">rows"), cells, "Scores")
