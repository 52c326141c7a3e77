"""The settings and the database of an administrative command, and the records that it prints."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields
from datetime import datetime
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

import click

from towline_server.audit.actor import Actor, acting
from towline_server.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from towline_server.auth.identities import Identities
    from towline_server.projects.connections import Connections
    from towline_server.projects.domain import Project
    from towline_server.projects.service import Projects
    from towline_server.services import Services

Record: TypeAlias = Mapping[str, Any]

settings_option = click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A TOML file of settings; also set by TOWLINE_SETTINGS.",
)
tenant_option = click.option("--tenant", required=True, help="The tenant's name.")
password_option = click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from standard input instead of prompting.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else, on stdout."
)


class AdminSession:
    """One transaction on the database of the settings; it begins when it is first used."""

    def __init__(self, settings_file: Path | None, stack: ExitStack) -> None:
        self._settings_file = settings_file
        self._stack = stack

    @cached_property
    def settings(self) -> Settings:
        """The settings of the file and the environment."""
        return load_settings(self._settings_file)

    @cached_property
    def services(self) -> Services:
        """The services of these settings."""
        from towline_server.services import open_services

        services = open_services(self.settings)
        self._stack.callback(services.close)
        return services

    @cached_property
    def session(self) -> Session:
        """The transaction; it is committed when the command ends."""
        return self._stack.enter_context(self.services.database.writing())

    @property
    def identities(self) -> Identities:
        """The accounts of every tenant."""
        return self.services.identities(self.session)

    @property
    def connections(self) -> Connections:
        """The connections of every tenant."""
        return self.services.connections(self.session)

    @property
    def projects(self) -> Projects:
        """The projects of every tenant."""
        from towline_server.projects.service import Projects

        return Projects(self.session)

    def tenant_id(self, name: str) -> UUID:
        """Return the id of the tenant of this name. Raises NotFound."""
        from towline_server.errors import existing
        from towline_server.projects.tenants import Tenants

        return existing(Tenants(self.session).named(name), "tenant").id

    def project_at(self, path: str) -> Project:
        """Return the project at ``/org/space/project``. Raises InvalidValue, NotFound."""
        from towline_server.errors import existing
        from towline_server.projects.domain import ProjectPath

        parsed = ProjectPath.parse(path)
        return existing(self.projects.by_path(self.tenant_id(parsed.org), parsed), "project")


def admin_command(
    group: click.Group, name: str
) -> Callable[[Callable[..., Record | Sequence[Record]]], click.Command]:
    """Add a command to a group; it gets an `AdminSession`, and returns what is printed."""

    def decorate(function: Callable[..., Record | Sequence[Record]]) -> click.Command:
        @wraps(function)
        def run(settings_file: Path | None, as_json: bool, **given: Any) -> None:
            with ExitStack() as stack:
                stack.enter_context(acting(Actor(kind="shell", name=_user())))
                found = function(AdminSession(settings_file, stack), **given)
            _print(found, as_json=as_json)

        return json_option(settings_option(group.command(name)(run)))

    return decorate


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""  # a container's user may have no name


def secret(what: str, *, from_stdin: bool) -> str:
    """Read a secret: a line of stdin, or hidden input at a terminal; never an argument."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt(what, hide_input=True, confirmation_prompt=True, err=True))


def record_of(value: Any, **more: Any) -> dict[str, Any]:
    """Return a domain value as plain JSON values, by its fields; ``more`` replaces or adds."""
    plain = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return {**plain, **more}


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _print(found: Record | Sequence[Record], *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for record in [found] if isinstance(found, Mapping) else found:
        shown = (f"{name}={_text(value)}" for name, value in record.items() if value is not None)
        click.echo("  ".join(shown))


def _text(value: Any) -> str:
    text = json.dumps(value) if isinstance(value, (dict, list)) else str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)
