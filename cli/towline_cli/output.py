"""What reaches the terminal: text without control characters, or one JSON document."""

from __future__ import annotations

import json
import os
import re
import sys
import unicodedata

import click

# Reorder what surrounds them, and so make one name look like another.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# A password may hold anything, a slash too: rather a path shortened than a secret shown.
_CREDENTIALS = re.compile(r"(?<=://)\S*@")


def shown(text: str) -> str:
    """Text from elsewhere, fit for a terminal: one line, no control or reordering characters."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    code = ord(character)
    if code < 32 or code == 127:
        # Unicode's pictures of the control characters.
        return chr(0x2400 + code) if code < 32 else "\u2421"
    if character in _REORDERING or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return "\N{REPLACEMENT CHARACTER}"
    return character


def without_credentials(text: str) -> str:
    """Text in which the URLs show no user name and no password."""
    return _CREDENTIALS.sub("", text)


def print_json(document: object) -> None:
    """One JSON document on stdout, in ASCII, so that no terminal and no locale can spoil it.

    Nothing comes after it, not even if Ctrl-C cuts it short.
    """
    text = json.dumps(document, indent=2) + "\n"
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except KeyboardInterrupt:
        abandon_stdout()
        raise


def abandon_stdout() -> None:
    """Write no more to it; the interpreter, too, would flush it once more at exit, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str = "") -> None:
    """A line for people, on stdout."""
    click.echo(shown(text))


def note(text: str) -> None:
    """A remark for people, on stderr, where it is in no reader's way."""
    click.echo(shown(text), err=True)


def tell(message: str, *, hint: str = "", usage: str = "") -> None:
    """Say on stderr what went wrong, and what to do next."""
    if usage:
        note(usage)
    note(f"towline: {without_credentials(message)}")
    if hint:
        note(f"hint: {hint}")


def is_interactive() -> bool:
    """Whether a person can be asked: both ends are a terminal."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
