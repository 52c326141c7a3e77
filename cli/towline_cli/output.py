"""Output to the terminal: text without control characters, or one JSON document."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from towline.plan import Note
    from towline.remotes.objects import Commit
    from towline.resolutions import SavedResolution

LISTS = ("overwritten", "updated", "created", "deleted", "ignored")
"""The lists of a report, in the order in which they are shown."""

# Reorder what surrounds them, and so make one name look like another.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# A password may contain anything, even slashes: rather shorten a path than show a secret.
_CREDENTIALS = re.compile(r"(?<=://)\S*@")


def printable(text: str) -> str:
    """Return text on one line, with control and reordering characters replaced."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 32 or code == 127:
        # Unicode's pictures of the control characters.
        return chr(0x2400 + code) if code < 32 else "\u2421"
    import unicodedata

    if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return "\N{REPLACEMENT CHARACTER}"
    return character


def without_credentials(text: str) -> str:
    """Remove user names and passwords from URLs in a text."""
    return _CREDENTIALS.sub("", text)


def print_json(document: object) -> None:
    """Print one JSON document on stdout, in ASCII, which no locale can break.

    Nothing is printed after it, even after Ctrl-C.
    """
    import json

    text = json.dumps(document, indent=2) + "\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except KeyboardInterrupt:
        abandon_stdout()
        raise


def abandon_stdout() -> None:
    """Redirect stdout to the null device, so that the flush at exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def echo(text: str = "") -> None:
    """Print a line on stdout."""
    click.echo(printable(text))


def echo_err(text: str) -> None:
    """Print a line on stderr."""
    click.echo(printable(text), err=True)


def print_notes(notes: Iterable[Note]) -> None:
    """Print warnings about assets on stderr."""
    for each in notes:
        echo_err(f"{each.path}: {each.text}")


def print_error(message: str, *, hint: str = "", usage: str = "") -> None:
    """Print an error on stderr, with its hint."""
    if usage:
        echo_err(usage)
    echo_err(f"towline: {without_credentials(message)}")
    if hint:
        echo_err(f"hint: {hint}")


def is_interactive() -> bool:
    """Whether stdin and stderr are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def short(digest: str | None) -> str:
    """Abbreviate a revision or digest to 12 digits."""
    return digest[:12] if digest else "nothing"


def behind_by(commits: int) -> str:
    """Return how far behind the repository a project is."""
    from towline.remotes.history import MOST_COMMITS

    more = " or more" if commits >= MOST_COMMITS else ""
    return f"behind by {pluralize(commits, 'commit')}{more}"


def commit_json(commit: Commit) -> dict[str, object]:
    """Return a commit in JSON form."""
    return {
        "revision": commit.id,
        "subject": commit.subject,
        "author": commit.author,
        "time": None if commit.time is None else commit.time.isoformat(),
    }


def describe(resolution: SavedResolution) -> str:
    """Return what a resolution takes, on one line."""
    if resolution.side is not None:
        return str(resolution.side)
    if resolution.content is not None:
        return f"content of {len(resolution.content)} bytes"
    return ", ".join(f"{pointer}={side}" for pointer, side in resolution.fields)


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
