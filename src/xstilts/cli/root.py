"""The app that every verb is added to, and how errors are printed."""

import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from xstilts import __version__
from xstilts.errors import (
    BAD_INPUT,
    MISSING,
    STEP_FAILED,
    XstiltsError,
    did_you_mean,
    full_disk,
    without_secrets,
)
from xstilts.report.console import say

NARROWEST = 10
"""Columns of a terminal. Fewer are no width: some tools set 0, at which nothing would be printed."""
STOPPED = 130
"""The exit status after Ctrl-C, to which typer turns a KeyboardInterrupt, and after SIGTERM and SIGHUP."""
_TRACEBACK = "Traceback (most recent call last)"
_DEBUG = "run the same command with --debug to see the traceback"


class Group(TyperGroup):
    """Sub-commands; one that does not exist is an error that suggests the closest."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            raise XstiltsError(
                "unknown-name",
                f"unknown subcommand '{args[0]}'",
                f"{ctx.command_path} has {', '.join(self.commands)}",
                did_you_mean(args[0], self.commands) or f"see `{ctx.command_path} --help`",
            )
        return super().resolve_command(ctx, args)


def group(name: str, about: str, epilog: str, cls: type[Group] = Group, no_args_is_help: bool = True) -> typer.Typer:
    """A group of sub-commands that is added to the app."""
    sub = typer.Typer(
        name=name, cls=cls, help=about, epilog=epilog, no_args_is_help=no_args_is_help, rich_markup_mode="rich"
    )
    app.add_typer(sub)
    return sub


app = typer.Typer(
    name="xstilts",
    cls=Group,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True, epilog="Example:\n\n  xstilts study pocket --quick")
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit.", is_eager=True),
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
) -> None:
    """Cross-lingual intermediate-task transfer: which intermediate tasks and source languages help zero-shot,
    and how certain is that?

    Start with [bold]xstilts study pocket[/bold]: a real experiment on artificial languages, offline, in minutes.
    """
    if version:
        typer.echo(f"xstilts {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error is printed as `error:`, `why:` and `hint:`, and sets the exit status."""
    debug = "--debug" in sys.argv
    if os.environ.get("COLUMNS", "").isdecimal() and int(os.environ["COLUMNS"]) < NARROWEST:
        del os.environ["COLUMNS"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal of another encoding shows what it lacks as escapes
            stream.reconfigure(errors="backslashreplace")
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP
            signal.signal(number, signal.default_int_handler)
    try:
        words = [word for word in sys.argv[1:] if word != "--debug"]
        _require_text([*words, str(Path.cwd())])
        status = app(words, prog_name="xstilts", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = STOPPED
    except typer.TyperException as error:
        sys.exit(print_error(error) if error.format_message() else BAD_INPUT)  # it is empty if help was printed
    except Exception as error:
        if debug:
            raise
        sys.exit(print_error(error))
    if status == STOPPED:
        sys.stderr.write("\nstopped; run the same command again to continue\n")
    sys.exit(status if isinstance(status, int) else 0)


def _require_text(words: list[str]) -> None:
    """Raise XstiltsError for names of files that are no text: plans and reports could not hold them."""
    for word in words:
        if any("\ud800" <= character <= "\udfff" for character in word):
            why = f"it cannot be read in the encoding of file names here, {sys.getfilesystemencoding()}"
            hint = "rename the file or folder, or set PYTHONUTF8=1 if its name is UTF-8"
            raise XstiltsError("bad-argument", f"the name '{word}' is no text", why, hint)


def print_error(error: Exception) -> int:
    """Print what happened, why and how to fix it, without a traceback, and return the exit status."""
    if isinstance(error, XstiltsError):
        parts, status = (error.what, error.why, error.hint), error.code
    elif isinstance(error, typer.TyperException):
        context, message = getattr(error, "ctx", None), error.format_message().replace("Value error, ", "")
        usage = " ".join(context.get_usage().split()) if context else "the command line could not be read"
        hint = f"see `{context.command_path if context else 'xstilts'} --help`"
        message = " ".join(message.split()).rstrip(".")
        parts, status = (message[:1].lower() + message[1:], usage[:1].lower() + usage[1:], hint), BAD_INPUT
    elif full := full_disk(error):
        hint = "free some space, then run the same command again: what is finished is kept"
        parts, status = ("cannot write: the disk is full", full, hint), STEP_FAILED
    elif isinstance(error, OSError):
        name = error.filename2 or error.filename
        what = f"cannot use {name}" if name else "cannot read or write"
        hint = "check the path, its permissions and the network"
        status = MISSING if isinstance(error, FileNotFoundError) or not name else BAD_INPUT
        parts = what, error.strerror or str(error) or repr(error), hint
    else:
        parts, status = (f"unexpected {type(error).__name__}", str(error) or "it has no message", _DEBUG), 1
    console = Console(stderr=True)
    for label, style, part in zip(("error:", "why:  ", "hint: "), ("bold red", "bold", "bold"), parts, strict=True):
        lines = without_secrets(part).partition(_TRACEBACK)[0].strip().splitlines() or [_DEBUG]
        say((label, style), " " + "\n       ".join(lines), console=console)
    return status
