"""The command line: runs one command, and prints any error with a message and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import chdir
from typing import TYPE_CHECKING

import click

from .exit_codes import FAILURE, OK, USAGE
from .group import CommandGroup
from .output import abandon_stdout, echo, is_interactive, print_error, print_json

if TYPE_CHECKING:
    from .error_messages import ErrorMessage


def _print_version(context: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked and not context.resilient_parsing:
        from towline import __version__

        echo(f"towline {__version__}")
        context.exit()


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failure, 2 usage, 3 conflicts left, 4 authentication, "
    "130 interrupted. Tab completion: towline completion --help",
)
@click.option(
    "-C",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Run as if started in DIR.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the version.",
)
def towline(folder: str | None) -> None:
    """Bring a folder up to date with its Git repository, asset by asset."""
    if folder is not None:
        click.get_current_context().with_resource(chdir(folder))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (without the program's name) and return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    _write_any_name()
    try:
        if "_TOWLINE_COMPLETE" in os.environ:
            from .shell_completion import register

            register()
        code = _run(given)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return USAGE
    except BrokenPipeError:
        # The reader of a pipe has gone (`towline log | head`): end quietly, as other tools do.
        abandon_stdout()
        return FAILURE
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("TOWLINE_TRACEBACK"):
            raise
        # Imports the errors of the library, which help does not need.
        from .error_messages import describe_error

        return _print_failure(describe_error(error), given)
    return code if isinstance(code, int) else OK


def _run(given: Sequence[str]) -> object:
    """Run a command; where a remote requires credentials, ask at the terminal and run it again.

    A command that fails has changed nothing, so that it can be repeated as a whole.
    """
    try:
        return towline.main(given, prog_name="towline", standalone_mode=False)
    except Exception as error:
        if _wants_json(given) or not is_interactive():
            raise
        from .credentials import ask_about

        if not ask_about(error):
            raise
    return towline.main(given, prog_name="towline", standalone_mode=False)


def _print_failure(failure: ErrorMessage, given: Sequence[str]) -> int:
    try:
        if _wants_json(given):
            print_json({"error": failure.json})
        else:
            print_error(failure.message, hint=failure.hint, usage=failure.usage)
        sys.stdout.flush()
    except OSError:
        abandon_stdout()
    return failure.code


def _wants_json(given: Sequence[str]) -> bool:
    """Look at the bare words: a command line that cannot be parsed has an error to print too."""
    words = list(given)
    return "--json" in (words[: words.index("--")] if "--" in words else words)


def _write_any_name() -> None:
    """Let names of any script be written in any locale."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
