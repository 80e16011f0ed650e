"""The verb that measures this computer: bench device."""

from typing import Annotated

import typer

from xstilts.cli.options import DEVICE, device_class
from xstilts.cli.root import group
from xstilts.errors import XstiltsError
from xstilts.report.console import emit, say

_EXAMPLES = (
    "Examples:\n\n  xstilts bench device                 in about a minute\n\n"
    "  xstilts bench device --device cuda --json"
)
bench = group("bench", "Measure this computer.", _EXAMPLES)


@bench.command(epilog=_EXAMPLES)
def device(
    name: DEVICE = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and save nothing.")] = False,
) -> None:
    """Measure how fast this computer's device is, and save the rates for `xstilts plan`; cpu is one core."""
    kind = device_class(name)
    if kind not in ("cpu", "cuda"):
        why = "it is no device of this computer"
        raise XstiltsError("bad-argument", f"cannot measure '{kind}'", why, "use cpu, cuda or auto")
    from xstilts.costs.bench import keep, measure

    entry = measure(kind, lambda text: None if as_json else say(text))
    if not emit(entry, as_json):
        say(f"saved as '{kind}' in {keep(entry)}; `xstilts plan` reads it")
