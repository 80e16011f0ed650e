"""The verbs that run and report studies: study, report."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xstilts.cli import options
from xstilts.cli.options import Row
from xstilts.cli.root import app
from xstilts.errors import XstiltsError
from xstilts.report.console import say


@app.command(
    epilog="Examples:\n\n  xstilts study                                   the offline study 'pocket'\n\n"
    "  xstilts study pocket --quick                    its small form, in about a minute\n\n"
    "  xstilts study laptop --data-source files --data DIR --keep-models best\n\n"
    "  xstilts study mine.yaml --out runs/mine --jobs 4\n\n"
    "  xstilts study mine.yaml --device cuda --per-gpu 4    up to four steps share a GPU\n\n"
    "  xstilts study mine.yaml --engine ray --store s3://bucket/store --device cuda\n\n"
    "  xstilts study mine.yaml --progress json 2> progress.jsonl"
)
def study(
    name: options.STUDY = "pocket",
    out: Annotated[Path | None, typer.Option("--out", help="Run folder.", show_default="runs/NAME")] = None,
    data: options.DATA = None,
    store: options.STORE = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Steps to run in parallel.", show_default="cores")
    ] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads per worker.")] = None,
    quick: options.QUICK = False,
    replicates: options.REPLICATES = None,
    seed: options.SEED = None,
    device: options.DEVICE = "auto",
    source: options.SOURCE = None,
    allow_few: options.ALLOW_FEW = False,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster.")] = "local",
    address: Annotated[str, typer.Option("--address", help="The Ray cluster's address.")] = "auto",
    ranks: Annotated[int, typer.Option("--ranks", min=1, help="Processes (GPUs) that share each training.")] = 1,
    per_gpu: options.PER_GPU = 1,
    keep: Annotated[
        Literal["none", "best", "all"],
        typer.Option(
            "--keep-models",
            help="Trained models that stay once no step needs them: best is the one with the highest development score "
            "of each target and encoder.",
        ),
    ] = "all",
    progress: options.PROGRESS = "auto",
) -> None:
    """Run a study: train what is missing, analyse, report. An interrupted study resumes."""
    from xstilts.cli.progress import Watcher
    from xstilts.engine import Store
    from xstilts.runs.run_files import LEFT_OUT, read_json
    from xstilts.study.data_access import data_access, data_warnings
    from xstilts.study.executors import check_sharing, local_executor
    from xstilts.study.results import describe_left_out
    from xstilts.study.run import run_study

    if engine == "ray" and jobs:
        why = "a Ray cluster runs as many steps as it has room for"
        raise XstiltsError("bad-argument", "--jobs is for --engine local", why, "leave --jobs out")
    if engine == "local" and address != "auto":
        why, hint = "the local engine runs on this machine", "add --engine ray, or leave --address out"
        raise XstiltsError("bad-argument", "--address is for --engine ray", why, hint)
    if keep != "all" and (engine == "ray" or "://" in (store or "")):
        why = "a store that other machines use keeps all models"
        raise XstiltsError("bad-argument", f"--keep-models {keep} is for a store on this machine", why, "leave it out")
    changes: Row = {"quick": quick, "replicates": replicates, "seed": seed, "data_source": source}
    planned = options.planned_study(name, data, device, allow_few, out, resolved=True, ranks=ranks, **changes)
    out = out or options.run_folder(planned.frozen.study.name, quick)
    if quick:
        say("smoke test (--quick): scores are meaningless")
    for warning in [*planned.frozen.warnings, *data_warnings(planned, data_access(planned))]:
        say(f"warning: {warning}")
    if engine == "ray":
        check_sharing(planned.frozen.device, per_gpu)
        executor = _on_ray(address, threads, per_gpu)
    else:
        executor = local_executor(jobs, threads, planned.frozen.device, keep != "all", per_gpu)
    failure = None
    with Watcher(planned.plan, progress) as watcher:
        try:
            run_study(planned, Store(store or out.parent / "store"), out, executor, watcher, keep)
        except XstiltsError as error:
            if error.kind != "step-failed":
                raise
            failure = error
    for part in read_json(out, LEFT_OUT):
        say(f"warning: {describe_left_out(part)}")
    try:
        _report(out, warnings=False)
    except XstiltsError as error:
        raise failure or error from None
    say(watcher.summary())
    if failure:
        raise failure


@app.command(
    epilog="Examples:\n\n  xstilts report runs/pocket\n\n"
    "  xstilts report runs/base runs/large --page both.html     several runs side by side"
)
def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders of studies.", show_default="runs/pocket")
    ] = None,
    page: Annotated[Path | None, typer.Option("--page", help="Write several runs side by side to this page.")] = None,
) -> None:
    """Analyse the predictions of a run again and write its report, or of several side by side; nothing is trained."""
    from xstilts.report.side_by_side import print_side_by_side, write_side_by_side
    from xstilts.report.write import write_report

    folders = runs or [Path("runs/pocket")]
    if len(folders) == 1:
        if page:
            what, hint = "--page needs several runs", "name another run folder, or leave --page out"
            raise XstiltsError("bad-argument", what, "it shows runs side by side", hint)
        _report(folders[0], warnings=True)
        return
    results = {str(folder): write_report(folder) for folder in folders}
    print_side_by_side(results)
    if page:
        write_side_by_side(results, page)


@app.command(epilog="Example:\n\n  xstilts verify runs/pocket")
def verify(run: options.RUN = Path("runs/pocket")) -> None:
    """Check that a run folder is what its study wrote: plan, design and predictions against their hashes.

    Exit status: 0 if it is, 4 if not. `report`, `claims`, `transfer rank` and `submit` check the same first.
    """
    from xstilts.runs.reader import read_run

    plan = read_run(run).plan
    say(f"{run} is what its study wrote; the hash of its plan is {plan['hash']}")


def _report(run: Path, warnings: bool) -> None:
    from xstilts.report.terminal import print_report
    from xstilts.report.write import write_report

    print_report(write_report(run), run, warnings)


def _on_ray(address: str, threads: int | None, per_gpu: int) -> Any:
    try:
        from xstilts.engine.ray import execute_on_ray
    except ImportError as error:
        hint = "pip install 'xstilts[ray]'"
        raise XstiltsError("missing-package", "Ray is not installed", str(error), hint) from None
    return partial(execute_on_ray, address=address, threads=threads or 1, per_gpu=per_gpu)
