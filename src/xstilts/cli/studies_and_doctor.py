"""The verbs that help to begin: studies lists what can be run, doctor says what this machine can do."""

import os
import platform
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from xstilts import __version__
from xstilts.cli import options
from xstilts.cli.options import Row
from xstilts.cli.root import app
from xstilts.models.hardware import cores, device_class
from xstilts.report.console import emit, print_table, short

PACKAGES = ("torch", "transformers", "tokenizers", "datasets", "numpy")


@app.command(
    epilog="Examples:\n\n  xstilts studies\n\n  xstilts studies --device h100     what they cost on such a GPU"
)
def studies(device: options.ANY_DEVICE = "auto", as_json: options.JSON = False) -> None:
    """List the built-in studies, with the question that each asks and its estimated cost."""
    from xstilts.config.load import builtin_studies
    from xstilts.costs.devices import rates
    from xstilts.study.overview import bill

    speed = rates(device_class(device))
    rows: list[Row] = []
    for name in sorted(builtin_studies()):
        planned = options.planned_study(name, None, speed.kind, allow_few=False)
        cost, study = bill(planned, planned.estimates, (), 1), planned.frozen.study
        facts: Row = {"name": name, "question": " ".join(study.question.split()), "targets": list(study.targets)}
        facts |= {"artificial": planned.frozen.artificial, "encoders": list(study.encoders), "arms": len(study.arms)}
        rows.append(facts | {"device_hours": cost["device_hours"], "disk_bytes": cost["disk_bytes"]})
    if emit(rows, as_json):
        return
    unit = "core" if speed.kind == "cpu" else "GPU"
    lines = [
        (
            (row["name"], "bold"),
            row["question"] + " (artificial languages)" * bool(row["artificial"]),
            f"{row['arms']}",
            f"{row['device_hours']:,.1f}",
            f"{short(row['disk_bytes'])}B",
        )
        for row in rows
    ]
    print_table(("study", "question", ">arms", f">{unit} hours", ">disk"), lines)


@app.command(epilog="Examples:\n\n  xstilts doctor\n\n  xstilts doctor --hub     also asks whether the hub answers")
def doctor(
    store: options.STORE = None,
    hub: Annotated[bool, typer.Option("--hub", help="Ask whether the Hugging Face hub answers.")] = False,
    as_json: options.JSON = False,
) -> None:
    """Show what this machine can do, and what each finding means for a study. No host is contacted without --hub."""
    rows = [{"what": what, "found": found, "means": means} for what, found, means in _findings(store, hub)]
    if not emit(rows, as_json):
        print_table(("", "found", "means"), [((r["what"], "bold"), r["found"], r["means"]) for r in rows])


def _findings(store: str | None, hub: bool) -> list[tuple[str, str, str]]:
    from xstilts.costs.devices import Precision, rates
    from xstilts.engine.work import kernel_memory
    from xstilts.models.hardware import choose_precision

    kind = device_class("auto")
    speed = rates(kind)
    precision: Precision = "bf16" if choose_precision(kind) == "bf16" else "fp32"
    memory = kernel_memory("/proc/meminfo", "MemAvailable:")
    place = Path(store or "runs/store").absolute()
    free = shutil.disk_usage(next(folder for folder in (place, *place.parents) if folder.is_dir())).free
    installed = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    cache = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    reached = speed.flops_per_second(precision, hidden=768)  # of a base model
    per_second = f"{reached / 1e9:,.0f} GFLOP/s for one {'core' if kind == 'cpu' else 'GPU'}"
    return [
        (
            "versions",
            f"xstilts {__version__}, Python {platform.python_version()}, {installed}",
            "results depend on them",
        ),
        (
            "device",
            f"{kind}, {cores()} cores",
            "a CPU study runs a step on each core; a GPU study one on each GPU",
        ),
        ("precision", precision, "what `precision: auto` chooses on this device; it is part of a study's plan"),
        ("speed", per_second, speed.ground),
        (
            "memory",
            f"{memory:.1f} GB free" if memory else "unknown",
            "`xstilts plan` names the memory of the largest step",
        ),
        ("disk", f"{short(free)}B free at {place}", "`xstilts plan` names the size for each choice of --keep-models"),
        ("hub cache", f"{cache}{'' if cache.is_dir() else ' (empty)'}", "models and data of the hub are kept there"),
        ("hub", *_hub(hub)),
    ]


def _hub(ask: bool) -> tuple[str, str]:
    """Whether the hub answers, and what that means."""
    import huggingface_hub
    from huggingface_hub import constants

    endpoint = constants.ENDPOINT
    token = "with a token" if huggingface_hub.get_token() else "without a token: gated data need one"
    if constants.HF_HUB_OFFLINE:
        return f"{endpoint}, offline by HF_HUB_OFFLINE", "only what is in the cache or in a folder can be used"
    if not ask:
        return f"{endpoint}, not asked, {token}", "add --hub to ask"
    try:
        next(iter(huggingface_hub.HfApi().list_models(limit=1)), None)
    except Exception as error:  # the client raises the errors of whatever HTTP library it uses
        return (
            f"{endpoint} does not answer: {' '.join(str(error).split())[:100]}",
            "use folders, or a mirror (HF_ENDPOINT)",
        )
    return f"{endpoint} answers, {token}", "studies can fetch models and data"
