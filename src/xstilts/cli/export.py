"""The verb that converts a model for other runtimes: export."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.options import JSON
from xstilts.cli.root import app
from xstilts.errors import XstiltsError
from xstilts.report.console import emit, say


@app.command(
    epilog="Examples:\n\n  xstilts export model --onnx                     writes the folder model-onnx\n\n"
    "  xstilts export model --onnx -o serving --json"
)
def export(
    folder: Annotated[Path, typer.Argument(help="A model of `train`, or another folder of `transformers`.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Export to ONNX, for onnxruntime.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder to write.", show_default="MODEL-onnx")] = None,
    as_json: JSON = False,
) -> None:
    """Export a model to ONNX, and check that it computes what the original does."""
    from xstilts.workflows.export import export

    if not onnx:
        raise XstiltsError("bad-argument", "no format is given", "a model is exported to ONNX", "add --onnx")
    result = export(folder, out)
    if emit(asdict(result), as_json):
        return
    say((f"{result.folder}: {', '.join(result.files)}", "bold"))
    say(f"inputs: {', '.join(result.inputs)}, each of any batch size and sequence length")
    compared = f"{result.texts} texts of up to {result.longest} tokens, alone and in a padded batch"
    say(f"compared with torch on {compared}: {result.predictions:,} predictions agree")
    allowed = f"of at most {result.largest_logit:.2f} ({result.limit:.1e} is allowed)"
    say(f"largest difference of two logits: {result.difference:.1e}, {allowed}")
