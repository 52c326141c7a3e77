"""What the OpenAPI document promises, asked of the server by schemathesis with all of its checks.

Every operation gets a control plane of its own, so that no answer hangs on the ones before:
the demo's tenant and repositories, a pull that has ended, a sync, and a plan that waits.
``FUZZ_EXAMPLES`` says how many requests are made up for each operation; `make fuzz-api` asks
for many, and each time for others; 0 asks for a few, always the same. It is a campaign of its own:
the document does not say yet all that the server holds requests to.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import HealthCheck
from schemathesis import Case
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from starlette.types import Receive, Scope, Send

from tests.server.api.stage import Workshop
from towline.pull import pull
from towline.remotes.git import GitRemote
from towline.remotes.url import ALL_SCHEMES
from towline.testing.git_server import GitServer
from towline_server.app import create_app
from towline_server.demo import content, tenancy
from towline_server.projects.store import SqlStore
from towline_server.runs.external import ExternalWork
from towline_server.runs.fetching import SharedFetches, fetch_here
from towline_server.runs.leases import Leases
from towline_server.runs.plans import Plans
from towline_server.runs.repositories import Repositories
from towline_server.runs.runtime import open_inline, time_of
from towline_server.runs.schedules import Schedules
from towline_server.runs.signals import ProcessSignals
from towline_server.services import Services
from towline_server.settings import Settings, load_settings

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "0"))
"""0: a few, and always the same."""
NATIVE = "/api/towline/v1"
KEY = next(iter(tenancy.KEYS.values()))


@dataclass
class Shell:
    """The application as schemathesis finds it, before there is a test to serve it."""

    app: FastAPI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.app(scope, receive, send)
            return
        # Each test starts and ends what it needs by itself.
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})


SHELL = Shell(create_app(Settings.defaults()))


def _config() -> SchemathesisConfig:
    schemes = {
        "bearer": {"bearer": tenancy.token()},
        "basic": {"username": tenancy.EMAIL, "password": tenancy.PASSWORD},
        "x_api_key": {"api_key": KEY},
        "nected_api_key": {"api_key": KEY},
        "cookie": {"api_key": KEY},
    }
    by_key = {"auth": {"basic": {"username": KEY, "password": ""}}}
    return SchemathesisConfig.from_dict(
        {
            "generation": {
                "max-examples": EXAMPLES or 5,
                "deterministic": not EXAMPLES,
                "database": "none",
            },
            "auth": {"openapi": schemes},
            "operations": [{"include-tag": "Codat", **by_key}],
        }
    )


schema = schemathesis.openapi.from_asgi("/openapi.json", SHELL, config=_config())


@dataclass
class There:
    """What there is to be found by the parameters of a path: ``(part of the path, name)``."""

    values: dict[tuple[str, str], str] = field(default_factory=dict)

    def put_into(self, case: Case[Any]) -> None:
        """Ask for what is there, three times of four; what is malformed stays so."""
        meta = case.meta
        component = meta.components.get(ParameterLocation.PATH) if meta is not None else None
        if component is None or component.mode is not GenerationMode.POSITIVE:
            return
        given = dict(case.path_parameters or {})
        if zlib.crc32(repr(sorted(given.items())).encode()) % 4 == 0:
            return
        for (part, name), value in self.values.items():
            if name in given and part in case.path:
                given[name] = value
        case.path_parameters = given


@pytest.fixture
def there(
    plain_environment: None,
    sqlite_url: str,
    tmp_path: Path,
    services_over: Callable[[Settings], Services],
) -> Iterator[There]:
    root = tmp_path / "repositories"
    content.make_repositories(root)
    with GitServer(root) as git:
        settings = load_settings(
            database_url=sqlite_url,
            data_dir=tmp_path / "data",
            secret_keys=["a secret key of a test, long enough for it"],
            remote_schemes=("http",),
            remote_networks=("127.0.0.0/8",),
            rate_per_second=0,
            address_rate_per_second=0,
            login_failures=1_000_000,
            wait_seconds=1,
            **dict[str, Any](tenancy.TOKENS),
        )
        services = services_over(settings)
        rules = tenancy.make_tenancy(services, git.url)
        store = SqlStore(services.database, rules.id)
        with GitRemote(f"{git.url}/rules.git", ref="main") as remote:
            pull(store, remote)
        content.edit_rules(store)
        content.publish_news(root)
        working = services.executing(_workshop(services, tmp_path / "cache"))
        SHELL.app.state.limits.change(settings)
        SHELL.app.state.services = working
        yield There(_seeded())
        SHELL.app.state.services = None


@pytest.fixture
def services_over() -> Iterator[Callable[[Settings], Services]]:
    """Makes services with cheap passwords, and closes them."""
    from tests.control_plane import cheap_passwords
    from towline_server.db import Database, make_engine
    from towline_server.services import assemble

    made: list[Services] = []

    def make(settings: Settings) -> Services:
        database = Database(make_engine(settings.database))
        made.append(assemble(settings, database, cheap_passwords()))
        return made[-1]

    yield make
    for each in made:
        each.close()


def _workshop(services: Services, cache: Path) -> Workshop:
    """Runs that have ended when they were asked for."""
    database = services.database
    runs = open_inline(database, services.sealer, cache)
    repositories = Repositories(database, services.sealer, cache, schemes=ALL_SCHEMES)
    fetches = SharedFetches(fetch_here, now=time_of(database))
    return Workshop(
        runs=runs,
        schedules=Schedules(database, runs),
        external=ExternalWork(database, Leases(database), repositories, ProcessSignals()),
        plans=Plans(database, repositories, fetches),
    )


def _seeded() -> dict[tuple[str, str], str]:
    """Make one of everything through the native API; tell where it is to be found."""
    client = TestClient(SHELL.app, headers={"X-API-Key": KEY})
    project, connection = str(tenancy.RULES_PROJECT), str(tenancy.RULES_CONNECTION)
    mine = f"{NATIVE}/projects/{project}"

    def made(method: str, url: str, **body: Any) -> Any:
        answer = client.request(method, url, json=body if method == "POST" else None)
        assert answer.is_success, answer.text
        return answer.json()

    plan = made("POST", f"{mine}/plans")
    run = made("POST", f"{mine}/runs", mode="dry_run")
    asset = made("GET", f"{mine}/assets")["items"][0]
    return {
        ("/", "project_id"): project,
        ("/", "connection_id"): connection,
        ("/", "plan_id"): plan["id"],
        ("/runs", "run_id"): run["id"],
        ("/assets", "asset_id"): asset["id"],
        ("/content", "path"): asset["path"],
        ("/pulls", "number"): "1",
        ("/companies", "companyId"): project,
        ("/project", "org"): tenancy.TENANT,
        ("/project", "space"): "shop",
        ("/project", "project"): "rules",
    }


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES or 5,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    # One control plane for all requests of an operation is meant.
    suppress_health_check=list(HealthCheck),
)
def test_the_server_keeps_to_its_document(case: Case[Any], there: There):
    there.put_into(case)
    case.call_and_validate()
