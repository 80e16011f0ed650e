"""The verbs that carry out studies: study, report."""

import json
import os
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from xstilts.cli.root import app

STUDY = Annotated[str, typer.Argument(help="A built-in study or the path of a YAML file.", show_default="pocket")]
DATA = Annotated[Path | None, typer.Option("--data", help="Folder below which the tasks' files lie.")]
OUT = Annotated[Path | None, typer.Option("--out", help="Run folder.", show_default="runs/NAME")]
STORE = Annotated[
    str | None, typer.Option("--store", help="Folder or URL of finished steps.", show_default="beside the run folder")
]
QUICK = Annotated[bool, typer.Option("--quick", help="The study's small form: shows the way, not the answer.")]
REPLICATES = Annotated[int | None, typer.Option("--replicates", min=1, help="Replicates per encoder.")]
SEED = Annotated[int | None, typer.Option("--seed", help="The study's seed.")]
DEVICE = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto.")]
SOURCE = Annotated[
    str | None, typer.Option("--data-source", help="XTREME's tasks from the 'hub', or from its own folder ('xtreme').")
]
ALLOW_FEW = Annotated[bool, typer.Option("--allow-few", help="Run with fewer held-out languages than the minimum.")]


@app.command(
    epilog="Examples:\n\n  xstilts study                                   the offline study 'pocket'\n\n"
    "  xstilts study pocket --quick                    its small form, in about a minute\n\n"
    "  xstilts study real-mini --data data             the same path on real files\n\n"
    "  xstilts study mine.yaml --out runs/mine --jobs 4\n\n"
    "  xstilts study mine.yaml --engine ray --store s3://bucket/store --device cuda"
)
def study(
    name: STUDY = "pocket",
    out: OUT = None,
    data: DATA = None,
    store: STORE = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Steps at once.", show_default="cores")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=1, help="Threads of each worker.")] = None,
    quick: QUICK = False,
    replicates: REPLICATES = None,
    seed: SEED = None,
    device: DEVICE = "auto",
    source: SOURCE = None,
    allow_few: ALLOW_FEW = False,
    engine: Annotated[Literal["local", "ray"], typer.Option(help="This machine, or a Ray cluster.")] = "local",
    address: Annotated[str, typer.Option("--address", help="The Ray cluster's address.")] = "auto",
    ranks: Annotated[int, typer.Option("--ranks", min=1, help="Processes (GPUs) that share each training.")] = 1,
) -> None:
    """Carry out a study: train what is missing, analyse, report. A second run continues where the first stopped."""
    from xstilts.cli.progress import Watcher
    from xstilts.costs.compare import comparison
    from xstilts.engine import Store
    from xstilts.runs.run_files import ESTIMATES, LEFT_OUT
    from xstilts.study.results import describe_left_out
    from xstilts.study.run import run_study

    _one_engine(engine, address, jobs, device)
    console = Console()
    changes = {"replicates": replicates, "seed": seed, "data_source": source}
    planned = planned_study(name, data, quick, changes, device, allow_few, True, ranks)
    out = out or Path("runs") / (planned.frozen.study.name + ("-quick" if quick else ""))
    for warning in planned.frozen.warnings:
        console.print(f"note: {warning}", markup=False, highlight=False)
    executor = _on_ray(address, threads) if engine == "ray" else _local(jobs, threads, planned.frozen.device)
    with Watcher(planned.plan, console) as watcher:
        run_study(planned, Store(store or out.parent / "store"), out, executor, watcher)
    for part in json.loads((out / LEFT_OUT).read_text(encoding="utf-8")):
        console.print(f"note: {describe_left_out(part)}", markup=False, highlight=False)
    _report(out, console)
    console.print(comparison(json.loads((out / ESTIMATES).read_text(encoding="utf-8"))), highlight=False)


def _one_engine(engine: str, address: str, jobs: int | None, device: str) -> None:
    """Raises XstiltsError for options that this engine does not have, and for devices that no step can be run on."""
    from xstilts.errors import XstiltsError

    if device not in ("cpu", "cuda", "auto"):
        raise XstiltsError("bad-argument", f"cannot run on '{device}'", "a study runs on cpu or cuda",
                           "give --device cpu, cuda or auto; `xstilts plan` takes devices by name")  # fmt: skip
    if engine == "ray" and jobs:
        raise XstiltsError("bad-argument", "--jobs is for --engine local", "a Ray cluster runs as many steps as it has room for",
                           "leave --jobs out")  # fmt: skip
    if engine == "local" and address != "auto":
        raise XstiltsError("bad-argument", "--address is for --engine ray", "a study runs on this machine otherwise",
                           "add --engine ray, or leave --address out")  # fmt: skip


@app.command(epilog="Example:\n\n  xstilts report runs/pocket")
def report(run: Annotated[Path, typer.Argument(help="The run folder of a study.")] = Path("runs/pocket")) -> None:
    """Analyse a run's predictions again and write its report; nothing is trained."""
    _report(run, Console())


def planned_study(
    name: str, data: Path | None, quick: bool, changes: dict[str, Any], device: str, allow_few: bool,
    resolved: bool = False, ranks: int = 1,
) -> Any:  # fmt: skip
    """The plan of a study by its name or file, with the command line's changes; raises XstiltsError."""
    from xstilts.config.load import load_study
    from xstilts.errors import XstiltsError
    from xstilts.study.freeze import freeze
    from xstilts.study.plan import build_plan

    if data is not None and not data.is_dir():
        raise XstiltsError(
            "missing-data", f"there is no data folder {data}", "--data must name a folder", "check the path"
        )
    settings = load_study(name, quick, **changes)
    frozen = freeze(settings, data.resolve() if data else None, device_class(device), allow_few, resolved)
    return build_plan(frozen, ranks=ranks)


def device_class(name: str) -> str:
    """`cpu` or `cuda` as asked for; `auto` is what this machine has."""
    if name != "auto":
        return name
    if not Path("/dev/nvidiactl").exists() and not Path("/proc/driver/nvidia").exists():
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _local(jobs: int | None, threads: int | None, device: str) -> Any:
    """As many steps at once as cores with a thread each; or for each GPU a step on it, and one that needs none."""
    from xstilts.engine import execute
    from xstilts.errors import XstiltsError

    devices = _gpus() if device == "cuda" else []
    if device == "cuda" and not devices:
        raise XstiltsError("missing-model", "no CUDA device here", "the study is to run on one", "give --device cpu")
    jobs = jobs or 2 * len(devices) or cores()
    threads = threads or (max(1, cores() // jobs) if devices else 1)
    return partial(execute, jobs=jobs, threads=threads, devices=devices)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_ray(address: str, threads: int | None) -> Any:
    from xstilts.errors import XstiltsError

    try:
        from xstilts.engine.ray import execute_on_ray
    except ImportError as error:
        raise XstiltsError(
            "missing-package", "Ray is not installed", str(error), "pip install 'xstilts[ray]'"
        ) from None
    return partial(execute_on_ray, address=address, threads=threads or 1)


def _gpus() -> list[str]:
    """The ids of the GPUs that this process may use."""
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return [name for name in visible.split(",") if name] or [str(i) for i in range(torch.cuda.device_count())]


def _report(run: Path, console: Console) -> None:
    from xstilts.analysis import analyse
    from xstilts.engine import write_atomically
    from xstilts.report import print_report, write_page

    result = analyse(run)
    write_atomically(run / "analysis.json", json.dumps(result, indent=1, ensure_ascii=False))
    write_page(result, run)
    print_report(result, run, console)
