"""The verb that publishes a model: push."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.options import JSON
from xstilts.cli.root import app
from xstilts.report.console import emit, say


@app.command(
    epilog="Examples:\n\n  xstilts push model me/reviews --private\n\n"
    "  xstilts push model me/reviews --dry-run     list the files without contacting the hub"
)
def push(
    folder: Annotated[Path, typer.Argument(help="The folder of a model.")],
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the hub; it is created if it does not exist.")],
    private: Annotated[bool, typer.Option("--private", help="Create it as private; refuse a public one.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files without contacting the hub.")] = False,
    message: Annotated[str, typer.Option("--message", help="Title of the commit.")] = "Push model",
    as_json: JSON = False,
) -> None:
    """Push a model to the Hugging Face hub: configuration, safetensors weights, tokenizer, model card, metrics."""
    from xstilts.workflows.push import push

    result = push(folder, repository, private=private, dry_run=dry_run, message=message)
    if emit({"repository": repository, "dry_run": dry_run, **asdict(result)}, as_json):
        return
    say((f"{len(result.files)} files to push to {repository}" if dry_run else result.url, "bold"))
    for name in result.files:
        say(f"pushed: {name}" if not dry_run else name, indent=2)
    for name in result.left_out:
        say(f"left out: {name}", indent=2)
