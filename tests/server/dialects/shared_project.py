"""A project of a tenant, with a user of every role, and what they do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient

from tests.control_plane import PASSWORD
from tests.server.dialects.tenant_client import TenantClient, basic, client_of
from tests.server.runs.runner import Runner
from towline.model import AssetPath, Revision
from towline.testing.plans import now
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.runs.domain import Run
from towline_server.runs.listing import RunFilter
from towline_server.runs.service import Runs


def login(email: str, password: str = PASSWORD) -> dict[str, str]:
    """Basic authentication of a user."""
    return basic(f"{email}:{password}")


@dataclass
class SharedProject(TenantClient):
    """The project ``/acme/space/project``, and a user of each role on it."""

    inline: Runs
    """Runs that have ended when they were asked for."""
    runner: Runner
    """Runs that wait until a test executes them."""
    project: Project = field(init=False)
    emails: Mapping[Role | None, str] = field(init=False)

    def __post_init__(self) -> None:
        self.project = self.tenant.project(name="project")
        self.emails = {role: f"{role}@acme.example" for role in (None, *Role)}
        with self.services.database.writing() as session:
            identities = self.services.identities(session)
            for role, email in self.emails.items():
                made = identities.create_user(
                    tenant_id=self.tenant.tenant_id, email=email, password=PASSWORD
                )
                if role is not None:
                    identities.grant(made.id, self.project, role)

    def over(self, runs: Runs, **settings: Any) -> TestClient:
        """A client of the same over other runs, or with other settings."""
        return client_of(self.services, self.runner, runs, **settings)

    def waiting(self) -> TestClient:
        """A client of the same over runs that wait, and is not given the time."""
        return self.over(self.runner.runs, wait_seconds=0)

    # --- people -------------------------------------------------------------------------------

    def grant(self, project: Project, role: Role, *, to: Role | None = None) -> None:
        """Give the user of a role (``to``, by default the same) this role on a project."""
        with self.services.database.writing() as session:
            identities = self.services.identities(session)
            account = identities.by_email(self.emails[to or role])
            assert account is not None
            identities.grant(account.principal.id, project, role)

    def give_tenant_role(self, user: Role, role: Role) -> None:
        """Give a user a role on the whole tenant."""
        with self.services.database.writing() as session:
            identities = self.services.identities(session)
            account = identities.by_email(self.emails[user])
            assert account is not None
            identities.set_tenant_role(account.principal.id, role)

    # --- the project --------------------------------------------------------------------------

    def commit(self, files: Mapping[str, Any], *, ref: str = "main") -> Revision:
        """Commit a tree to the repository."""
        return self.tenant.repository.commit(dict(files), ref=ref)

    def edit(self, path: str, content: bytes) -> str:
        """A local edit; the asset's id."""
        return self.tenant.store(self.project).put(AssetPath(path), content)

    def delete(self, path: str) -> None:
        """Delete an asset here."""
        self.tenant.store(self.project).delete(self.id_of(path))

    def id_of(self, path: str) -> Any:
        """The id of an asset."""
        found = now(self.tenant.store(self.project)).at(AssetPath(path))
        assert found is not None
        return found.id

    def contents(self, project: Project | None = None) -> dict[str, bytes]:
        """Return the contents of a project, by path."""
        return self.tenant.contents(project or self.project)

    def runs_of(self, project: Project | None = None) -> tuple[Run, ...]:
        """Its runs, the newest first."""
        wanted = RunFilter(project_id=(project or self.project).id)
        return self.inline.page(wanted).runs
