"""What administrative commands print: a JSON document, or lines for people."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import click

from towline_server.settings import Settings, load_settings

Record: TypeAlias = Mapping[str, Any]
F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else, on stdout."
)
settings_option = click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file of settings; TOWLINE_SETTINGS names one too.",
)


def with_settings(command: F) -> F:
    """The options of every administrative command."""
    return settings_option(json_option(command))


def settings_from(file: Path | None, **given: Any) -> Settings:
    """The settings, with what the command line gave above all else; None is not given."""
    return load_settings(
        file, **{name: value for name, value in given.items() if value is not None}
    )


def show(found: Record | Sequence[Record], *, as_json: bool) -> None:
    """Print one record or many."""
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for record in [found] if isinstance(found, Mapping) else found:
        shown = (f"{name}={_text(value)}" for name, value in record.items() if value is not None)
        click.echo("  ".join(shown))


def record_of(value: Any, **more: Any) -> dict[str, Any]:
    """A domain value as plain JSON values, by its fields; ``more`` replaces or adds."""
    plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return {**plain, **more}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _text(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)
