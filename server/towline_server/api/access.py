"""The context of a request of the native API: its caller, and what they may access."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from towline.errors import LimitExceeded
from towline.frozen import frozen
from towline_server.auth.roles import Principal, Role, authorise_tenant
from towline_server.errors import Forbidden
from towline_server.projects.domain import Connection, Project
from towline_server.projects.store import SqlStore
from towline_server.runs.domain import Run
from towline_server.services import Services, services_of
from towline_server.web import access
from towline_server.web.authentication import Form, authenticated
from towline_server.web.idempotency import idempotent
from towline_server.webhooks.domain import Endpoint

FORMS = (Form.BEARER_JWT, Form.BEARER_KEY, Form.X_API_KEY, Form.BASIC_PASSWORD, Form.COOKIE)

NativeRoute = idempotent(*FORMS)
"""The route class of every router here."""

Caller = Annotated[Principal, Depends(authenticated(*FORMS))]


@frozen(kw_only=True)
class RequestContext:
    """The caller and the services; returns what the caller may access, and refuses the rest."""

    services: Services
    caller: Principal

    def reading(self) -> AbstractContextManager[Session]:
        """Open a session that only reads."""
        return self.services.database.reading()

    def writing(self) -> AbstractContextManager[Session]:
        """Open a session in one transaction."""
        return self.services.database.writing()

    def project(self, project_id: UUID, needed: Role) -> Project:
        """Return a project on which the caller has a role. Raises NotFound, Forbidden."""
        return access.project(self.services, self.caller, project_id, needed)

    def store(self, project: Project) -> SqlStore:
        """Return the store of a project."""
        return SqlStore(self.services.database, project.id)

    def connection(self, connection_id: UUID, needed: Role) -> Connection:
        """Return a connection, for a caller with a role on the tenant. Raises as `project`."""
        with self.reading() as session:
            found = self.services.connections(session).get(connection_id)
        return authorise_tenant(self.caller, found, needed, "connection")

    def webhook(self, webhook_id: UUID) -> Endpoint:
        """Return a webhook, for a caller who administers the tenant. Raises as `project`."""
        with self.reading() as session:
            found = self.services.webhooks(session).get(webhook_id)
        return authorise_tenant(self.caller, found, Role.ADMIN, "webhook")

    def run(self, run_id: UUID, needed: Role) -> Run:
        """Return a run of a project on which the caller has a role. Raises as `project`."""
        run = self.services.runs.get(run_id)
        access.project(self.services, self.caller, run.project_id, needed, "run")
        return run

    def check_size(self, content: bytes) -> None:
        """Raise LimitExceeded, if an asset may not be so large."""
        allowed = self.services.settings.engine_limits.asset_bytes
        if len(content) > allowed:
            raise LimitExceeded(limit="asset_bytes", allowed=allowed, found=len(content))

    def administer_tenant(self) -> None:
        """Raise Forbidden, unless the caller administers their tenant."""
        self.need_on_tenant(Role.ADMIN)

    def need_on_tenant(self, needed: Role) -> None:
        """Raise Forbidden, unless the caller has a role on their whole tenant."""
        role = self.caller.tenant_role
        if role is None or not role.covers(needed):
            raise Forbidden(problem=f"this needs the role {needed} on the whole tenant")


async def _context(request: Request, caller: Caller) -> RequestContext:
    return RequestContext(services=services_of(request), caller=caller)


Context = Annotated[RequestContext, Depends(_context)]


def _project(needed: Role) -> Any:
    def project(context: Context, project_id: UUID) -> Project:
        return context.project(project_id, needed)

    return Depends(project)


def _connection(needed: Role) -> Any:
    def connection(context: Context, connection_id: UUID) -> Connection:
        return context.connection(connection_id, needed)

    return Depends(connection)


def _run(needed: Role) -> Any:
    def run(context: Context, run_id: UUID) -> Run:
        return context.run(run_id, needed)

    return Depends(run)


def _webhook(context: Context, webhook_id: UUID) -> Endpoint:
    return context.webhook(webhook_id)


# What the path names, once the caller is authorised for it.
ProjectForReader = Annotated[Project, _project(Role.READER)]
ProjectForWriter = Annotated[Project, _project(Role.WRITER)]
ProjectForAdmin = Annotated[Project, _project(Role.ADMIN)]
ConnectionForReader = Annotated[Connection, _connection(Role.READER)]
ConnectionForAdmin = Annotated[Connection, _connection(Role.ADMIN)]
RunForReader = Annotated[Run, _run(Role.READER)]
RunForWriter = Annotated[Run, _run(Role.WRITER)]
WebhookForAdmin = Annotated[Endpoint, Depends(_webhook)]
