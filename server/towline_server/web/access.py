"""Lookups by id that return only what the caller may access; the rest is not found."""

from __future__ import annotations

from uuid import UUID

from towline_server.auth.roles import Principal, Role, authorise
from towline_server.errors import NotFound
from towline_server.projects.domain import Connection, Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import Run, RunMode
from towline_server.services import Services


def parse_id(text: str, what: str) -> UUID:
    """Parse an id.

    Raises:
        NotFound: the text is no id, so that nothing can have it.
    """
    try:
        found = UUID(text)
    except ValueError:
        raise NotFound(what=what) from None
    if str(found) != text.lower():
        # Other spellings would make two addresses of one thing.
        raise NotFound(what=what)
    return found


def project(
    services: Services, caller: Principal, project_id: UUID, needed: Role, what: str = "project"
) -> Project:
    """Return a project on which the caller has the needed role.

    Raises:
        NotFound: there is none that the caller may see.
        Forbidden: the caller's role is too low.
    """
    with services.database.reading() as session:
        found = Projects(session).get(project_id)
    try:
        return authorise(caller, found, needed)
    except NotFound:
        raise NotFound(what=what) from None


def connection(
    services: Services, caller: Principal, connection_id: UUID
) -> tuple[Connection, tuple[Project, ...]]:
    """Return a connection, and the projects bound to it that the caller may see, by path.

    A caller without a role on the tenant may see a connection that a project of theirs is bound to.

    Raises:
        NotFound: there is none that the caller may see.
    """
    with services.database.reading() as session:
        found = services.connections(session).get(connection_id)
        behind = Projects(session).by_connection(connection_id)
    if found is None or found.tenant_id != caller.tenant_id:
        raise NotFound(what="connection")
    seen = tuple(each for each in behind if caller.role_on(each.id) is not None)
    if not seen and caller.tenant_role is None:
        raise NotFound(what="connection")
    return found, seen


def run_of_one_kind(
    services: Services, caller: Principal, run_id: UUID, needed: Role, what: str
) -> Run:
    """Return a pull of one kind, for APIs that have no others (`RunFilter.of_one_kind`).

    Raises:
        NotFound: there is none that the caller may see.
        Forbidden: the caller's role on its project is too low.
    """
    found = services.runs.find(run_id)
    if found is None or found.request.kind is None or found.request.mode is RunMode.DRY_RUN:
        raise NotFound(what=what)
    project(services, caller, found.project_id, needed, what)
    return found
