"""Options that several verbs share, and the plan of the study that they describe."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from xstilts.errors import XstiltsError

Row = dict[str, Any]

RUN = Annotated[Path, typer.Argument(help="The run folder of a study.")]
STUDY = Annotated[str, typer.Argument(help="A built-in study or the path of a YAML file.", show_default="pocket")]
DATA = Annotated[Path | None, typer.Option("--data", help="Folder that holds the tasks' files.")]
STORE = Annotated[
    str | None, typer.Option("--store", help="Folder or URL of finished steps.", show_default="next to the run folder")
]
QUICK = Annotated[bool, typer.Option("--quick", help="The study's small form, a smoke test: scores are meaningless.")]
REPLICATES = Annotated[int | None, typer.Option("--replicates", min=1, help="Replicates per encoder.")]
SEED = Annotated[int | None, typer.Option("--seed", help="The study's seed.")]
ALLOW_FEW = Annotated[bool, typer.Option("--allow-few", help="Run with fewer held-out languages than the minimum.")]
DEVICE = Annotated[Literal["auto", "cpu", "cuda"], typer.Option("--device", help="Where to compute.")]
ANY_DEVICE = Annotated[
    str, typer.Option("--device", help="cpu, cuda, auto, or a device whose rates are known: h200, h100, a100.")
]
PER_GPU = Annotated[
    int, typer.Option("--per-gpu", min=1, help="Steps that may share a GPU, if their planned memory fits together.")
]
TASKS = Annotated[Path | None, typer.Option("--tasks", help="A YAML file with custom tasks.")]
SOURCE = Annotated[
    Literal["hub", "xtreme", "files"] | None,
    typer.Option("--data-source", help="The hub, XTREME's own folder, or the files that the study's `files:` names."),
]
Form = Literal["auto", "lines", "json", "quiet"]
PROGRESS = Annotated[
    Form,
    typer.Option(
        "--progress",
        help="auto: a live display, or a line a minute without a terminal; lines: always lines; json: JSON lines on "
        "standard error; quiet: nothing.",
    ),
]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CSV = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]


def planned_study(
    name: str, data: Path | None, device: str, allow_few: bool, run: Path | None = None, resolved: bool = False,
    ranks: int = 1, **changes: Any,
) -> Any:  # fmt: skip
    """Plan a study by its name or file, with `changes` of its settings; raises XstiltsError.

    resolved: asks the hub for commits that are not pinned; if it does not answer, those of the plan in the run folder
    are taken.
    """
    from xstilts.config.load import load_study
    from xstilts.models.hardware import device_class
    from xstilts.runs.run_files import PLAN
    from xstilts.study.freeze import freeze, planned_commits
    from xstilts.study.plan import build_plan

    if data is not None and not data.is_dir():
        what, why = f"there is no data folder {data}", "--data must name a folder"
        raise XstiltsError("missing-data", what, why, "check the path")
    folder = data.resolve() if data else None
    study = load_study(name, **changes)
    planned = planned_commits((run or run_folder(study.name, changes.get("quick", False))) / PLAN) if resolved else {}
    frozen = freeze(study, folder, device_class(device), allow_few, resolved, planned)
    return build_plan(frozen, ranks=ranks)


def run_folder(study: str, quick: bool) -> Path:
    """Where a study's run is, if no folder was named."""
    return Path("runs") / f"{study}{'-quick' * quick}"


def codes(text: str) -> list[str]:
    """Split a list with commas into codes of languages, each once.

    >>> codes("Turkish, sw,tr")
    ['tr', 'sw']
    """
    from xstilts.languages import language

    return list(dict.fromkeys(language(part).code for part in text.split(",") if part.strip()))
