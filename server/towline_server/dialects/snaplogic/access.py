"""The context of a request: its caller, its body, and the project at a path."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from towline.frozen import frozen
from towline_server.auth.roles import Principal, PrincipalKind, Role, authorise
from towline_server.errors import Forbidden
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import Trigger
from towline_server.services import Services, services_of
from towline_server.web.authentication import Form, authenticated
from towline_server.web.schemas import raw_body

FORMS = (Form.BASIC_PASSWORD, Form.BEARER_TOKEN_JWT, Form.BEARER_JWT)


@frozen(kw_only=True)
class GitRequest:
    """A request of a caller who may use Git operations."""

    request: Request
    services: Services
    caller: Principal
    body: bytes

    @property
    def trigger(self) -> Trigger:
        """What requests its runs."""
        return Trigger(requested_by=self.caller.id)

    def project(self, path: str, needed: Role) -> Project:
        """Return the project at a path, if the caller has the role.

        Raises:
            NotFound, Forbidden: as `authorise`.
        """
        with self.services.database.reading() as session:
            found = Projects(session).by_path(self.caller.tenant_id, path)
            return authorise(self.caller, found, needed)


async def _context(
    request: Request,
    caller: Annotated[Principal, Depends(authenticated(*FORMS))],
    body: Annotated[bytes, Depends(raw_body)],
) -> GitRequest:
    if caller.kind is PrincipalKind.SERVICE_ACCOUNT:
        raise Forbidden(problem="service accounts cannot be used for Git operations")
    return GitRequest(request=request, services=services_of(request), caller=caller, body=body)


Context = Annotated[GitRequest, Depends(_context)]


def path_of(org: str, space: str, project: str) -> str:
    """A dependency: the project's path, from the three names in the address."""
    return f"{org}/{space}/{project}"


Path = Annotated[str, Depends(path_of)]
