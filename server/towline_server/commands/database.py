"""The database of the settings, and lookups by name, for administrative commands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import settings_from

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from towline_server.projects.domain import Project
    from towline_server.projects.tenants import Tenant
    from towline_server.services import Services


@contextmanager
def writing(settings_file: Path | None) -> Iterator[tuple[Services, Session]]:
    """The services of these settings and one transaction."""
    from towline_server.services import open_services

    services = open_services(settings_from(settings_file))
    try:
        with services.database.writing() as session:
            yield services, session
    finally:
        services.close()


def tenant_named(session: Session, name: str) -> Tenant:
    """The tenant of this name. Raises NotFound."""
    from towline_server.errors import NotFound
    from towline_server.projects.tenants import Tenants

    found = Tenants(session).named(name)
    if found is None:
        raise NotFound(what="tenant")
    return found


def project_at(session: Session, path: str) -> Project:
    """The project at ``/org/space/project``. Raises InvalidValue, NotFound."""
    from towline_server.errors import NotFound
    from towline_server.projects.domain import ProjectPath
    from towline_server.projects.service import Projects

    parsed = ProjectPath.parse(path)
    found = Projects(session).by_path(tenant_named(session, parsed.org).id, parsed)
    if found is None:
        raise NotFound(what="project")
    return found


def secret(what: str, *, from_stdin: bool) -> str:
    """A secret: a line of stdin, or what a person types unseen; never an argument."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt(what, hide_input=True, confirmation_prompt=True, err=True))
