"""A control plane that has one of everything, made once and copied for each test."""

from __future__ import annotations

import os
import shutil
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient

from tests.control_plane import cheap_passwords
from tests.databases import open_database
from tests.server.api.client import RunServices
from tests.server.api.work import work_of
from tests.server.runs.external_executor import planned
from tests.server.runs.inline import InlineBackend, fetch_here
from towline.planfile import dump_plan
from towline.pull import pull
from towline.remotes.git import GitRemote
from towline.testing.git_server import GitServer
from towline_server.app import create_app
from towline_server.db import make_engine, upgrade
from towline_server.demo import content, tenancy
from towline_server.loops import ChangeSignal
from towline_server.projects.asset_events import want_events
from towline_server.projects.store import SqlStore
from towline_server.runs.event_followers import EventFollowers
from towline_server.runs.execute import Tools, pass_boundary
from towline_server.runs.external import ExternalBackend, ExternalWork
from towline_server.runs.fetching import Repositories, SharedFetches
from towline_server.runs.followers import Followers
from towline_server.runs.plans import Plans
from towline_server.runs.queue import Leases
from towline_server.runs.runtime import Runtime
from towline_server.runs.service import Runs
from towline_server.runs.worker import Backends
from towline_server.services import Services, assemble
from towline_server.settings import Settings, load_settings

NATIVE = "/api/towline/v1"
KEY = next(iter(tenancy.KEYS.values()))
BRANCH = "main"
HOOK_SECRET = "a secret of a test's webhooks"
PUSHED = {"X-Gitlab-Token": HOOK_SECRET, "X-Gitlab-Event": "Push Hook"}

OPERATOR_TOKEN = "the token of the operator of a test"

PLACES = {
    ("", "project_id"): "project",
    ("", "connection_id"): "connection",
    ("/api/towline/v1/connections/", "connection_id"): "unbound connection",
    ("/hooks/", "connection_id"): "hooked connection",
    ("", "plan_id"): "plan",
    ("/conflicts/", "plan_id"): "plan with a conflict",
    ("", "run_id"): "run",
    ("/syncs/", "run_id"): "run of a sync",
    ("", "asset_id"): "asset",
    ("/conflicts/", "asset_id"): "asset in conflict",
    ("", "path"): "path",
    ("", "webhook_id"): "webhook",
    ("", "schedule_id"): "schedule",
    ("", "tenant_id"): "tenant",
    ("", "identity_id"): "identity",
    ("", "delivery_id"): "delivery",
    ("", "companyId"): "project",
    ("", "connectionId"): "connection",
    ("", "datasetId"): "run of a kind",
    ("", "taskId"): "task",
    ("/api/v1/syncs/", "sync_id"): "sync",
    ("/v2/integrations/", "sync_id"): "run of a kind",
}
"""What there is by a parameter of a path that has this part in it; the last one counts."""
FIRST = {"number": 1, "sequence": 1, "side": "after"}
"""What is counted from one in each project."""
NAMES = {"org": tenancy.TENANT, "space": "shop", "project": "rules", "dataType": "rule"}


@dataclass(frozen=True)
class Populated:
    """A folder with everything, and what there is to be found."""

    settings: Settings
    ids: Mapping[str, str]
    """What is there, by a name of its own: see `_Population`."""
    completion: Mapping[str, Any]
    """What completes the run that is claimed: its plan, and the contents that it needs."""

    def known(self, path: str, name: str) -> Any:
        """What is there for a parameter of a path; None: nothing."""
        if name in NAMES and (name != "project" or "org" in path):
            return NAMES[name]
        fitting = [what for (part, known), what in PLACES.items() if known == name and part in path]
        return self.ids[fitting[-1]] if fitting else FIRST.get(name)

    @contextmanager
    def copied(self, database: Path) -> Iterator[Services]:
        """The services over a copy of its database; what was fetched is shared."""
        # A log of the copy before may still be beside it, and would be read into this one.
        for name in ("", "-wal", "-shm"):
            database.with_name(database.name + name).unlink(missing_ok=True)
        shutil.copyfile(self.settings.data_dir / "towline.db", database)
        copied = self.settings.model_copy(update={"database_url": f"sqlite:///{database}"})
        with _opened(copied) as services:
            yield services


@contextmanager
def populated_server(folder: Path) -> Iterator[Populated]:
    """A control plane with everything, in a folder; its repositories are served meanwhile."""
    repositories = folder / "repositories"
    repositories.mkdir()
    with pytest.MonkeyPatch.context() as environment, GitServer(repositories) as git:
        for name in os.environ:
            if name.startswith("TOWLINE_"):
                environment.delenv(name)
        yield populate(settings_in(folder / "data"), git.url, repositories)


def populate(settings: Settings, git_url: str, repositories: Path) -> Populated:
    """Put one of everything where settings say; its repositories are served at an address."""
    content.make_repositories(repositories)
    settings.data_dir.mkdir()
    engine = make_engine(settings.database)
    upgrade(engine)
    engine.dispose()
    with _opened(settings) as services:
        tenancy.make_tenancy(services, git_url)
        with services.database.writing() as session:
            want_events(session, tenancy.RULES_PROJECT, uuid4(), ["rule"])
        store = SqlStore(services.database, tenancy.RULES_PROJECT)
        with GitRemote(f"{git_url}/rules.git", ref=BRANCH) as remote:
            pull(store, remote)
        content.edit_rules(store)
        content.publish_news(repositories)
        with TestClient(create_app(services.settings, services=services)) as client:
            population = _Population(client, git_url)
            return Populated(settings, population.make_everything(), population.completion())


def settings_in(folder: Path) -> Settings:
    """The settings of a control plane in a folder."""
    return load_settings(
        data_dir=folder,
        secret_keys=["a secret key of a test, long enough for it"],
        operator_token=OPERATOR_TOKEN,
        remote_schemes=("http", "https", "sftp", "postgresql"),
        remote_networks=("127.0.0.0/8",),
        webhook_schemes=("http", "https"),
        rate_per_second=0,
        address_rate_per_second=0,
        login_failures=1_000_000,
        wait_seconds=1,
        **dict[str, Any](tenancy.TOKENS),
    )


@contextmanager
def _opened(settings: Settings) -> Iterator[Services]:
    services = assemble(settings, open_database(settings.database), cheap_passwords())
    try:
        yield services.with_runtime(_execution(services))
    finally:
        services.close()


def _execution(services: Services) -> Runtime:
    """Runs that have ended when they were asked for, but for those of an external executor."""
    database, settings = services.database, services.settings
    tools = Tools(
        database=database,
        leases=Leases(database, seconds=86_400),
        repositories=Repositories(
            database,
            services.sealer,
            settings.cache_dir,
            schemes=settings.remote_schemes,
            limits=settings.engine_limits,
        ),
        fetches=SharedFetches(fetch_here, now=database.now),
        changes=ChangeSignal(),
        boundary=pass_boundary,
    )
    inline = InlineBackend(tools)
    runs = Runs(database, Backends([inline, ExternalBackend()]), changes=tools.changes)
    execution = RunServices(
        runs=runs,
        external=ExternalWork(database, tools.leases, tools.repositories, tools.changes),
        plans=Plans(database, tools.repositories, tools.fetches),
        followers=Followers(database, tools.changes),
        event_followers=EventFollowers(database, tools.changes),
    )
    return cast(Runtime, execution)


@dataclass(frozen=True)
class _Population:
    """Makes things as the API's clients do."""

    client: TestClient
    git_url: str
    claims: list[Any] = field(default_factory=list)

    def make_everything(self) -> dict[str, str]:
        project, connection = str(tenancy.RULES_PROJECT), str(tenancy.RULES_CONNECTION)
        mine = f"{NATIVE}/projects/{project}"
        appended = [{"entityKey": "rule", "loadMode": "append_event"}]
        wanted = {"connectionId": connection, "name": "Rules", "status": "active"}
        sync = self._post("/api/v1/syncs", {**wanted, "tableBindings": appended})
        task = self._post("/dev/remote/pull", headers={"Nected-Branch": BRANCH})["data"]["taskId"]
        kinds = self._post(f"/v2/integrations/connections/{connection}/sync")
        asset = self._get(f"{mine}/assets")["items"][0]
        conflict = self._get(f"{mine}/conflicts")["conflicts"][0]["parties"][0]
        return {
            "project": project,
            "connection": connection,
            "task": task,
            "run of a kind": kinds[0]["id"],
            "sync": sync["id"],
            "run of a sync": self._post(f"/api/v1/syncs/{sync['id']}/trigger")["id"],
            "run": self._post(f"{mine}/runs", {"mode": "dry_run"})["id"],
            "asset": asset["id"],
            "path": asset["path"],
            "asset in conflict": conflict["asset_id"],
            "plan": self._post(f"{mine}/plans", {"on_conflict": "theirs"})["id"],
            "plan with a conflict": self._post(f"{mine}/plans", {"on_conflict": "skip"})["id"],
            "schedule": self._post(f"{mine}/schedules", {"cron": "0 4 * * *"})["id"],
            "unbound connection": self._post(
                f"{NATIVE}/connections", {"url": "http://127.0.0.1/nothing.git"}
            )["id"],
            "kind": "rule",
            "hooked connection": self._hooked(),
            **self._member(),
            **self._webhook(),
            **self._external_work(),
        }

    def completion(self) -> dict[str, Any]:
        """The claimed run's plan, as its executor makes it."""
        [claim] = self.claims
        plan, contents = planned(work_of(claim["work"]))
        encoded = {str(digest): b64encode(content).decode() for digest, content in contents.items()}
        return {"plan": dump_plan(plan), "contents": encoded}

    def _webhook(self) -> dict[str, str]:
        """An endpoint of outbound webhooks, and a message to it."""
        made = self._post(f"{NATIVE}/webhooks", {"url": "http://127.0.0.1/events"})
        delivery = self._post(f"{NATIVE}/webhooks/{made['id']}/ping")
        return {"webhook": made["id"], "delivery": delivery["id"]}

    def _member(self) -> dict[str, str]:
        """The tenant, and a user with a role on one project."""
        tenant = self._get(f"{NATIVE}/admin/tenants")["items"][0]["id"]
        body = {"email": "someone@towline.example", "password": "of twelve or more"}
        made = self._post(f"{NATIVE}/admin/tenants/{tenant}/users", body)["id"]
        url = f"{NATIVE}/admin/identities/{made}/projects/{tenancy.RULES_PROJECT}/role"
        self._ask("PUT", url, {"role": "writer"}, {})
        return {"tenant": tenant, "identity": made}

    def _hooked(self) -> str:
        """A connection whose host may send push hooks, and a project behind it."""
        body = {
            "url": f"{self.git_url}/rules.git",
            "name": "hooked",
            "provider": "gitlab",
            "webhook_secret": HOOK_SECRET,
        }
        made: str = self._post(f"{NATIVE}/connections", body)["id"]
        bound = {"connection_id": made, "ref": "tags/none"}
        self._post(f"{NATIVE}/projects", {"path": "demo/works/hooked", "binding": bound})
        return made

    def _external_work(self) -> dict[str, str]:
        """Two projects with a run each for an external executor: one that is claimed, and one."""
        bound = {"connection_id": str(tenancy.PIPELINES_CONNECTION), "ref": "heads/live"}
        for name in ("held", "waiting"):
            body = {"path": f"{tenancy.TENANT}/works/{name}", "binding": bound}
            made = self._post(f"{NATIVE}/projects", body)
            self._post(f"{NATIVE}/projects/{made['id']}/runs", {"backend": "external"})
        claim = self._post(f"{NATIVE}/work/claim", {"executor_id": "one"})
        self.claims.append(claim)
        return {"claimed run": claim["run"]["id"], "token": claim["token"]}

    def _post(self, url: str, body: object = None, headers: Mapping[str, str] | None = None) -> Any:
        return self._ask("POST", url, body, headers or {})

    def _get(self, url: str) -> Any:
        return self._ask("GET", url, None, {})

    def _ask(self, method: str, url: str, body: object, headers: Mapping[str, str]) -> Any:
        given = {"X-API-Key": KEY, "Nected-API-Key": KEY, **headers}
        if url.startswith("/v2/"):
            given["Authorization"] = f"Bearer {KEY}"
        answer = self.client.request(method, url, json=body, headers=given)
        assert answer.is_success, answer.text
        return answer.json()
