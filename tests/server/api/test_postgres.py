"""The whole way through the native API on PostgreSQL: every statement, once."""

from __future__ import annotations

import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.control_plane import cheap_passwords
from tests.databases import open_database
from tests.server.api.client import V1, ApiClient, RunServices
from tests.server.runs.deadlocks import LONG, await_waiters
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.testing.git_server import GitServer
from towline_server.api import DIALECT
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.errors import LastAdministrator
from towline_server.projects.tenants import Tenants
from towline_server.services import assemble
from towline_server.settings import Settings


@pytest.mark.services
def test_the_whole_way(
    settings: Settings, postgres_url: str, git_server: GitServer, tmp_path: Path
):
    database = open_database(postgres_url)
    services = assemble(settings, database, cheap_passwords())
    runner = Runner(GitTenant(database, git_server, tmp_path, sealer=services.sealer))
    services = services.with_runtime(RunServices.of(runner))
    app = create_app(settings, services=services, dialects=[DIALECT])
    with TestClient(app) as client:
        _walk(ApiClient(runner=runner, services=services, client=client))
    database.close()


@pytest.mark.services
def test_of_two_administrators_that_step_down_at_once_one_stays(
    settings: Settings, postgres_url: str
):
    database = open_database(postgres_url)
    services = assemble(settings, database, cheap_passwords())
    with database.writing() as session:
        tenant_id = Tenants(session).create("demo").id
        identities = services.identities(session)
        one, two = [
            identities.create_key(tenant_id=tenant_id, name=name, tenant_role=Role.ADMIN)[0].id
            for name in ("one", "two")
        ]

    def step_down(session: Session, identity_id: UUID) -> None:
        services.identities(session).check_not_last(identity_id)
        services.identities(session).set_tenant_role(identity_id, None)

    def second() -> None:
        with database.writing() as session:
            step_down(session, two)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            step_down(session, one)
            waiting = pool.submit(second)
            await_waiters(database, 1)
        with pytest.raises(LastAdministrator):
            waiting.result(LONG)
    database.close()


def _walk(api: ApiClient) -> None:
    api.tenant.commit(a=b"1")
    run = api.pull()
    made = api.ask("POST", f"{api.url}/schedules", json={"every_seconds": 3600}).json()
    schedule = f"{api.url}/schedules/{made['id']}"
    paused = api.ask("PATCH", schedule, json={"enabled": False}).json()
    assert (paused["enabled"], api.get(schedule)) == (False, paused)
    assert api.ask("DELETE", schedule).status_code == 204
    binding = {"connection_id": str(api.project.bound.connection_id)}
    wanted = {"path": f"{api.project.path}2", "binding": binding}
    key = api.tenant_keys[Role.ADMIN]
    seen = api.ask("POST", f"{V1}/projects/preview", key=key, json=wanted).json()
    assert [each["path"] for each in seen["files"]] == ["a"]
    api.put("rules/é", b"mine")
    api.put("a", b"ours")
    for path in (
        api.url,
        f"{V1}/projects",
        f"{api.url}/assets?kind=rule&prefix=rules/",
        f"{api.url}/runs?state=succeeded",
        f"{V1}/runs",
        f"{V1}/runs/{run['id']}/attempts",
        f"{api.url}/status",
        f"{api.url}/pulls",
        f"{api.url}/pulls/1",
        f"{api.url}/conflicts",
    ):
        assert api.get(path)
    events = api.ask("GET", f"{V1}/runs/{run['id']}/events")
    assert events.text.startswith("event: ended")
    api.tenant.commit(a=b"2")
    _resolve(api)
    body = {"on_conflict": "theirs"}
    plan = api.ask("POST", f"{api.url}/plans", json=body).json()
    assert api.get(f"{api.url}/plans")["total"] == 1
    applied = api.ask("POST", f"{api.url}/plans/{plan['id']}/apply")
    assert applied.json()["pull"] == 2
    assert api.ask("POST", f"{api.url}/undo").json()["pull"] == 3
    assert api.tenant.contents(api.project) == {"a": b"ours", "rules/é": b"mine"}
    _claim(api)
    _hook(api)


def _resolve(api: ApiClient) -> None:
    [conflict] = api.get(f"{api.url}/conflicts?fetch=true")["conflicts"]
    url = f"{api.url}/conflicts/{conflict['parties'][0]['asset_id']}"
    saved = api.ask("PUT", f"{url}/resolution", json={"content": {"text": "é"}})
    assert api.get(url)["resolution"] == saved.json()
    assert [each["path"] for each in api.pull(mode="dry_run")["report"]["updated"]] == ["a"]
    assert api.ask("DELETE", f"{url}/resolution").status_code == 204
    assert api.get(url)["resolution"] is None


def _claim(api: ApiClient) -> None:
    api.ask("POST", f"{api.url}/runs", json={"backend": "external"})
    claimed = api.ask("POST", f"{V1}/work/claim", json={"executor_id": "one"}).json()
    failure = {"reason": "internal_error", "message": "stopped"}
    body = {"run_id": claimed["run"]["id"], "token": claimed["token"], "failure": failure}
    assert api.ask("POST", f"{V1}/work/complete", json=body).json()["state"] == "failed"


def _hook(api: ApiClient) -> None:
    secret = "a webhook secret of the tests"
    url = f"{V1}/connections/{api.tenant.connection_id}"
    key = api.tenant_keys[Role.ADMIN]
    assert api.ask("PATCH", url, key=key, json={"webhook_secret": secret}).status_code == 200
    body = b'{"ref": "refs/heads/main", "after": "1"}'
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-GitHub-Event": "push", "X-Hub-Signature-256": f"sha256={signature}"}
    hook = f"/hooks/{api.tenant.connection_id}"
    started = api.client.post(hook, content=body, headers=headers)
    assert started.status_code == 202, started.text
    assert len(started.json()["runs"]) == 1
    assert api.client.post(hook, content=body, headers=headers).status_code == 409
