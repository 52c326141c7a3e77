"""A project of a tenant with something of everything, whose names no other one has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.kinds import Kind, Kinds
from towline.model import AssetPath
from towline.testing.plans import now
from towline_server.auth.roles import Principal, PrincipalKind, Role
from towline_server.db.clock import database_now
from towline_server.dialects.syncs.domain import Definition
from towline_server.dialects.syncs.service import Syncs
from towline_server.projects.asset_events import want_events
from towline_server.projects.domain import Binding, Project
from towline_server.projects.service import Projects
from towline_server.projects.stored_plans import StoredPlans
from towline_server.runs.domain import RunMode, RunRequest
from towline_server.runs.project_schedules import ProjectSchedules
from towline_server.runs.schedules import Rhythm, ScheduleSpec
from towline_server.services import Services
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.service import EndpointSettings

from .rows import Rows, rows_below

Things = Mapping[str, str]
"""What requests name, by what the table calls it."""

_NAME = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{24,}")


@dataclass
class MarkedProject:
    """A project behind a connection and a branch of its own, in a space of its own."""

    services: Services
    runner: Runner
    tenant: GitTenant
    mark: str = field(default_factory=lambda: f"m{uuid4().hex}")
    """Part of every name, and of every content."""
    things: Things = field(init=False)

    def __post_init__(self) -> None:
        self.branch = f"b{self.mark}"
        self.connected = self.connection()
        self.project = self._bound()
        self._pull()
        self._planned = self.services.plans.make(self.project.id, RunRequest())
        org, space, name = self.project.path.split("/")
        self.things = {
            "project_id": str(self.project.id),
            "companyId": str(self.project.id),
            "connection_id": str(self.connected),
            "project_path": f"/{self.project.path}",
            "org": org,
            "space": space,
            "project": name,
            "branch": self.branch,
            "asset_id": self._asset_id(self.mark),
            "clash_id": self._asset_id("clash"),
            "path": self.mark,
            "number": "1",
            "sequence": "1",
            "side": "after",
            "plan_id": str(self._planned.id),
            "schedule_id": str(self.schedule()),
            "provider": "git",
            "dataType": self.mark,
            **self._runs(),
            **self._sync_and_run(),
            **self._webhook(),
            **self._member(),
        }

    def missing(self, known: Things) -> Things:
        """The same things by other names, as long as these, that nothing has.

        The names in what is ``known`` stay.
        """
        others: dict[str, str] = {
            name: name for value in known.values() for name in _NAME.findall(value)
        }

        def other(found: re.Match[str]) -> str:
            name = found[0]
            made = str(uuid4()) if "-" in name else (uuid4().hex * 2)[: len(name)]
            return str(others.setdefault(name, made))

        return {name: _NAME.sub(other, value) for name, value in self.things.items()}

    def rows(self) -> Rows:
        """What the database holds of the project and of its connection."""
        return rows_below(
            self.services.database, projects=self.project.id, connections=self.connected
        )

    # --- made again, for requests that use it up ----------------------------------------------

    def bare_project(self) -> Project:
        """Another project of the tenant, bound to nothing."""
        with self.services.database.writing() as session:
            path = f"{self.tenant.tenant_id.hex}/s{self.mark}/{uuid4().hex}"
            return Projects(session).create(tenant_id=self.tenant.tenant_id, path=path)

    def connection(self) -> UUID:
        """Another connection, to the one repository."""
        made = self.tenant.connect(f"{self.tenant.server.url}/repo.git")
        with self.services.database.writing() as session:
            self.services.connections(session).rename(made, f"{self.mark} {made}")
        return made

    def plan(self) -> UUID:
        """The plan, once more."""
        with self.services.database.writing() as session:
            plans = StoredPlans(session, self.project.id)
            return plans.put(self._planned.plan, database_now(session))

    def schedule(self) -> UUID:
        """Another schedule, which is paused."""
        spec = ScheduleSpec(project_id=self.project.id, rhythm=Rhythm(every_seconds=3600))
        with self.services.database.writing() as session:
            return ProjectSchedules(session, self.project.id).create(spec, enabled=False).id

    def sync(self) -> UUID:
        """Another sync."""
        named = {"project": str(self.project.id)}
        wanted = Definition(name=self.mark, destination_config=named)
        return self._syncs.create(self.connected, wanted).id

    def draft(self) -> UUID:
        """A sync of no project yet."""
        return self._syncs.create(self.connection(), Definition(name=self.mark)).id

    def webhook(self) -> UUID:
        """Another webhook, to which nothing is sent."""
        wanted = EndpointSettings(
            url=f"https://hooks.example/{self.mark}", project_id=self.project.id
        )
        with self.services.database.writing() as session:
            made, _ = self.services.webhooks(session).create(self.tenant.tenant_id, wanted)
        return made.id

    # --- made once ----------------------------------------------------------------------------

    def _bound(self) -> Project:
        kinds = Kinds((Kind(name=self.mark, globs=("**",)),))
        path = f"{self.tenant.tenant_id.hex}/s{self.mark}/p{self.mark}"
        with self.services.database.writing() as session:
            projects = Projects(session)
            made = projects.create(tenant_id=self.tenant.tenant_id, path=path, kinds=kinds)
            binding = Binding(connection_id=self.connected, ref=f"heads/{self.branch}")
            return projects.associate(made.id, binding)

    def _pull(self) -> None:
        """One pull in the log, with its event, and a conflict with the next."""
        with self.services.database.writing() as session:
            want_events(session, self.project.id, uuid4(), [self.mark])
        self._commit("base")
        self._execute(self.runner.runs.request(self.project.id).id)
        self._commit("theirs")
        self.tenant.edit(self.project, "clash", f"ours of {self.mark}".encode())
        self.tenant.edit(self.project, self.mark, self.mark.encode())

    def _commit(self, what: str) -> None:
        files = {"clash": f"{what} of {self.mark}".encode()}
        self.tenant.repository.commit(files, ref=self.branch)

    def _runs(self) -> dict[str, str]:
        runs = self.runner.runs
        whole = runs.request(self.project.id)
        kind = runs.request_kinds(self.project.id, [self.mark])[0]
        self._execute(whole.id)
        runs.cancel(kind.id)
        # One waits: requests that need an idle project are refused.
        runs.request_kinds(self.project.id, [self.mark])
        return {
            "run_id": str(whole.id),
            "taskId": str(whole.id),
            "kind_run_id": str(kind.id),
            "datasetId": str(kind.id),
        }

    def _execute(self, run_id: UUID) -> None:
        self.runner.worker().execute(run_id)

    def _sync_and_run(self) -> dict[str, str]:
        sync_id = self.sync()
        run = self._syncs.trigger(sync_id, RunMode.INCREMENTAL)
        self.runner.runs.cancel(run.id)
        return {"sync_id": str(sync_id), "sync_run_id": str(run.id)}

    def _webhook(self) -> dict[str, str]:
        made = self.webhook()
        with self.services.database.writing() as session:
            delivery = Deliveries(session, made).ping()
        return {"webhook_id": str(made), "delivery_id": str(delivery.id)}

    def _member(self) -> dict[str, str]:
        """A user of the tenant, without a role."""
        email = f"{self.mark}@members.example"
        with self.services.database.writing() as session:
            made = self.services.identities(session).create_user(
                tenant_id=self.tenant.tenant_id, email=email, password=self.mark
            )
        return {"identity_id": str(made.id), "tenant_id": str(self.tenant.tenant_id)}

    @property
    def _syncs(self) -> Syncs:
        admin = Principal(
            id=uuid4(),
            tenant_id=self.tenant.tenant_id,
            kind=PrincipalKind.USER,
            name=self.mark,
            tenant_role=Role.ADMIN,
        )
        return Syncs(self.services, admin)

    def _asset_id(self, path: str) -> str:
        found = now(self.tenant.store(self.project)).at(AssetPath(path))
        assert found is not None
        return found.id
