"""What the tests of a dialect stand on: an application in this process over a real Git server."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID, uuid4

from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

from tests.control_plane import PASSWORD, cheap_passwords
from tests.server.runs.world import KINDS
from towline.model import AssetPath, Revision
from towline.resolutions import OnConflict
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.db import Database
from towline_server.projects.domain import Binding, Project
from towline_server.projects.service import Projects
from towline_server.projects.store import SqlStore
from towline_server.projects.tenants import Tenants
from towline_server.runs.backends import Backends, Dispatch
from towline_server.runs.domain import BackendName, Run
from towline_server.runs.listing import RunFilter
from towline_server.runs.runtime import open_inline
from towline_server.runs.service import Runs
from towline_server.services import Execution, Services, assemble
from towline_server.settings import Settings

SCHEMAS = Path(__file__).parent / "schemas"


def hold(body: Any, schema: str, definition: str) -> None:
    """Hold an answer against a definition of a dialect's schema."""
    document = json.loads((SCHEMAS / f"{schema}.json").read_text())
    wanted = {"$ref": f"#/$defs/{definition}", "$defs": document["$defs"]}
    Draft202012Validator.check_schema(wanted)
    Draft202012Validator(wanted).validate(body)


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    """Basic authentication."""
    return {"Authorization": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


class Idle:
    """A backend that takes runs and executes none, until it is told."""

    name = BackendName.NATIVE

    def __init__(self) -> None:
        self.taken: list[Dispatch] = []

    def submit(self, dispatches: Sequence[Dispatch]) -> None:
        self.taken += dispatches

    def stop_run(self, run_id: UUID) -> None: ...

    def forget(self, ref: str) -> None: ...

    def held_elsewhere(self, since: datetime) -> Sequence[str]:
        return ()

    def still_has(self, refs: Sequence[str]) -> Sequence[str]:
        return refs


class Leaping:
    """A clock by which every wait is over at once."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        self.seconds += 1e6
        return self.seconds


@dataclass
class Scene:
    """A tenant with a user of each role, a repository, and the application."""

    settings: Settings
    database: Database
    server: GitServer
    tenant: str = "acme"
    idle: Idle = field(default_factory=Idle)

    def __post_init__(self) -> None:
        self.inline = open_inline(self.database, self.services.sealer, self.settings.cache_dir)
        self.repository = self.new_repository("repo")
        self.tenant_id, self.connection_id = self.new_tenant(self.tenant)
        self.project = self.new_project("project")
        self.emails = {role: f"{role}@acme.example" for role in (None, *Role)}
        with self.database.writing() as session:
            identities = self.services.identities(session)
            for role, email in self.emails.items():
                made = identities.create_user(
                    tenant_id=self.tenant_id, email=email, password=PASSWORD
                )
                if role is not None:
                    identities.grant(made.id, self.project, role)

    @property
    def services(self) -> Services:
        if not hasattr(self, "_services"):
            self._services = assemble(self.settings, self.database, cheap_passwords())
        return self._services

    # --- the world ----------------------------------------------------------------------------

    def new_repository(self, name: str) -> GitRepository:
        return GitRepository(self.server.root / f"{name}.git")

    def new_tenant(self, name: str) -> tuple[UUID, UUID]:
        with self.database.writing() as session:
            tenant = Tenants(session).create(name)
        return tenant.id, self.connect("repo", tenant_id=tenant.id)

    def connect(self, repository: str, *, tenant_id: UUID | None = None, name: str = "") -> UUID:
        url = f"{self.server.url}/{repository}.git"
        with self.database.writing() as session:
            connections = self.services.connections(session)
            made = connections.create(tenant_id=tenant_id or self.tenant_id, url=url)
            if name:
                connections.rename(made.id, name)
        return made.id

    def new_project(
        self,
        name: str,
        *,
        space: str = "space",
        ref: str | None = "heads/main",
        scope: str = "",
        on_conflict: OnConflict = OnConflict.REFUSE,
    ) -> Project:
        """A new project of the tenant; ``ref`` None leaves it unbound."""
        with self.database.writing() as session:
            projects = Projects(session)
            made = projects.create(
                tenant_id=self.tenant_id,
                path=f"{self.tenant}/{space}/{name}",
                kinds=KINDS,
                on_conflict=on_conflict,
            )
            if ref is None:
                return made
            binding = Binding(connection_id=self.connection_id, ref=ref, scope=scope)
            return projects.associate(made.id, binding)

    def grant(self, project: Project, role: Role, *, to: Role | None = None) -> None:
        """Give the user of a role (``to``, by default the same) this role on a project."""
        with self.database.writing() as session:
            identities = self.services.identities(session)
            account = identities.by_email(self.emails[to or role])
            assert account is not None
            identities.grant(account.principal.id, project, role)

    def give_tenant_role(self, user: Role, role: Role) -> None:
        """Give a user a role on the whole tenant."""
        with self.database.writing() as session:
            identities = self.services.identities(session)
            account = identities.by_email(self.emails[user])
            assert account is not None
            identities.set_tenant_role(account.principal.id, role)

    def key(
        self,
        role: Role | None,
        *,
        tenant_id: UUID | None = None,
        on: Project | None = None,
        whole: bool = False,
    ) -> str:
        """A new API key with a role on the project, or on the whole tenant."""
        with self.database.writing() as session:
            identities = self.services.identities(session)
            tenant_id = tenant_id or self.tenant_id
            made, key = identities.create_key(
                tenant_id=tenant_id, name=uuid4().hex, tenant_role=role if whole else None
            )
            if role is not None and not whole:
                identities.grant(made.id, on or self.project, role)
        return key

    def commit(self, files: Mapping[str, bytes], *, ref: str = "main") -> Revision:
        return self.repository.commit(dict(files), ref=ref)

    def store(self, project: Project | None = None) -> SqlStore:
        return SqlStore(self.database, (project or self.project).id)

    def edit(self, path: str, content: bytes, project: Project | None = None) -> str:
        return self.store(project).put(AssetPath(path), content)

    def delete(self, path: str, project: Project | None = None) -> None:
        self.store(project).delete(self.id_of(path, project))

    def id_of(self, path: str, project: Project | None = None) -> Any:
        found = self.store(project).at(AssetPath(path))
        assert found is not None
        return found.id

    def contents(self, project: Project | None = None) -> dict[str, bytes]:
        """What stands in a project, by path."""
        store = self.store(project)
        stands = [record.ours for record in store.records() if record.ours is not None]
        return {str(state.path): store.read(state.digest) or b"" for state in stands}

    # --- the application ----------------------------------------------------------------------

    def client(self, runs: Runs | None = None, **settings: Any) -> TestClient:
        """A client of the application; runs are executed as they are asked for, by default."""
        execution = cast(Execution, SimpleNamespace(runs=runs or self.inline, schedules=None))
        services = self.services.executing(execution)
        if settings:
            services = replace(services, settings=self.settings.model_copy(update=settings))
        return TestClient(create_app(services.settings, services=services))

    def waiting_runs(self) -> Runs:
        """Runs that stay queued, and that nobody has the time to wait for."""
        return Runs(self.database, Backends([self.idle]), clock=Leaping())

    def execute_waiting(self) -> None:
        """Execute what stayed queued."""
        self.inline.backends.get(BackendName.NATIVE).submit(self.idle.taken)
        self.idle.taken.clear()

    def runs_of(self, project: Project | None = None) -> tuple[Run, ...]:
        wanted = RunFilter(project_id=(project or self.project).id)
        return self.inline.page(wanted).runs
