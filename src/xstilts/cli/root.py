"""The command line: one small function per verb."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from xstilts import __version__
from xstilts.errors import XstiltsError

app = typer.Typer(
    name="xstilts",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
    debug: bool = typer.Option(False, "--debug", help="Show the whole traceback of an error."),
) -> None:
    """Cross-lingual intermediate-task transfer: which intermediate tasks and source languages help zero-shot,
    and how sure is that?

    Start with [bold]xstilts study pocket[/bold]: a real experiment on artificial languages, offline, in minutes.
    """
    if version:
        typer.echo(f"xstilts {__version__}")
        raise typer.Exit


def _tell(error: XstiltsError) -> None:
    """Ends the program with the error in three parts, or with its traceback where that was asked for."""
    if "--debug" in sys.argv:
        raise error
    console = Console(stderr=True, soft_wrap=True)
    console.print(f"[bold red]error:[/] {escape(error.what)}")
    console.print(f"[bold]why:[/]   {escape(error.why)}")
    console.print(f"[bold]do:[/]    {escape(error.hint)}")
    sys.exit(error.code)


def main() -> None:
    """Runs the command line; a mistake is told in three parts (what, why, what to do) and sets the exit status."""
    try:
        app()
    except XstiltsError as error:
        _tell(error)
    except (FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        what, why = f"cannot use {error.filename2 or error.filename}", error.strerror or repr(error)
        _tell(XstiltsError("bad-argument", what, why, "give another path, or mend this one"))
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; run the same command again to go on where it stopped\n")
        sys.exit(130)
