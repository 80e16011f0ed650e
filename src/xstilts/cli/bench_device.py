"""The verb that measures this machine."""

import json
from typing import Annotated

import typer
from rich.console import Console

from xstilts.cli.root import app
from xstilts.cli.study_and_report import device_class
from xstilts.errors import XstiltsError


@app.command(
    epilog="Examples:\n\n  xstilts bench device                 in about a minute\n\n"
    "  xstilts bench device --device cuda --json"
)
def bench(
    verb: Annotated[str, typer.Argument(help="'device'.", show_default=False)],
    device: Annotated[str, typer.Option("--device", help="cpu (one core), cuda, or auto.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and keep nothing.")] = False,
) -> None:
    """Measure how fast this machine's device is, and keep it for `xstilts plan`."""
    if verb != "device":
        raise XstiltsError("bad-argument", f"cannot '{verb}'", "bench knows no such word", "use `xstilts bench device`")
    kind = device_class(device)
    if kind not in ("cpu", "cuda"):
        raise XstiltsError(
            "bad-argument", f"cannot measure '{kind}'", "it is no device of this machine", "use cpu, cuda or auto"
        )
    from xstilts.costs.bench import keep, measure

    console = Console()
    entry = measure(kind, lambda text: None if as_json else console.print(text, highlight=False))
    if as_json:
        typer.echo(json.dumps(entry, indent=1))
        return
    console.print(f"kept as '{kind}' in {keep(entry)}; `xstilts plan` reads it", markup=False, highlight=False)
