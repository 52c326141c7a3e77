"""What Prometheus is shown, and to whom."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import select

from tests.control_plane import cheap_passwords
from tests.server.dialects.tenant_client import bearer
from tests.server.runs.fetcher import START, Fetcher, wanted
from tests.server.runs.fetcher import Clock as FetchClock
from tests.server.runs.git_tenant import SEALER, GitTenant
from tests.server.runs.inline import open_inline
from tests.server.runs.processes import runs_elsewhere
from towline.ports import Watch
from towline_server.app import create_app
from towline_server.db.session import once_committed
from towline_server.metrics import REGISTRY
from towline_server.runs.bounds import AtOnce
from towline_server.runs.fetching import SharedFetches
from towline_server.services import assemble
from towline_server.settings import Settings

TOKEN = "the token of the tests"


@pytest.fixture
def client(settings: Settings, tenant: GitTenant) -> Iterator[TestClient]:
    guarded = settings.model_copy(update={"metrics_token": SecretStr(TOKEN)})
    services = assemble(guarded, tenant.database, cheap_passwords())
    with TestClient(create_app(guarded, services=services)) as client:
        yield client


def _read(client: TestClient) -> Mapping[tuple[str, tuple[str, ...]], float]:
    answer = client.get("/metrics", headers=bearer(TOKEN))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def _counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


# --- to whom ----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [{}, bearer("another"), bearer(TOKEN + "x"), bearer("é")])
def test_a_token_that_is_set_is_wanted(client: TestClient, given: Mapping[str, str]):
    raw = [(name.encode(), value.encode()) for name, value in given.items()]
    answer = client.get("/metrics", headers=raw)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(("address", "status"), [("127.0.0.1", 200), ("192.0.2.7", 401)])
def test_without_a_token_this_machine_alone_is_answered(
    settings: Settings, tenant: GitTenant, address: str, status: int
):
    services = assemble(settings, tenant.database, cheap_passwords())
    app = create_app(settings, services=services)
    with TestClient(app, client=(address, 5)) as client:
        assert client.get("/metrics").status_code == status


# --- requests ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "dialect", "status"),
    [
        ("GET", "/v2/integrations/syncs/x", "Connections", "401"),
        ("GET", "/v2/integrationsyncs", "operations", "404"),
        ("GET", "/healthz", "operations", "200"),
    ],
)
def test_requests_are_counted_by_dialect_and_status(
    client: TestClient, method: str, path: str, dialect: str, status: str
):
    tag = {"dialect": dialect, "method": method, "status": status}
    before = _counted("towline_requests_total", **tag)
    timed = _counted("towline_request_duration_seconds_count", dialect=dialect)
    client.request(method, path)
    assert _counted("towline_requests_total", **tag) == before + 1
    assert _counted("towline_request_duration_seconds_count", dialect=dialect) == timed + 1


def test_methods_that_callers_invent_make_no_series(client: TestClient):
    client.request("BREW", "/healthz")
    methods = {
        sample.labels["method"]
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == "towline_requests_total"
    }
    assert "other" in methods
    assert "BREW" not in methods


# --- runs -------------------------------------------------------------------------------------


def test_runs_that_wait_are_measured(client: TestClient, tenant: GitTenant):
    before = _read(client)
    assert before["towline_queue_depth", ()] == 0
    assert before["towline_queue_oldest_seconds", ()] == 0
    run = runs_elsewhere(tenant).request(tenant.project().id)
    _make_old(tenant, run.id)
    after = _read(client)
    assert after["towline_queue_depth", ()] == 1
    assert after["towline_queue_oldest_seconds", ()] > 3600
    assert after["towline_runs_active", ("fetching",)] == 0
    assert after["towline_database_up", ()] == 1


def _make_old(tenant: GitTenant, run_id: UUID) -> None:
    from sqlalchemy import update

    from towline_server.runs.tables import RunRow

    old = datetime(2020, 1, 1, tzinfo=UTC)
    with tenant.database.writing() as session:
        session.execute(update(RunRow).where(RunRow.id == run_id).values(created_at=old))


def test_ends_and_fetches_are_counted(tenant: GitTenant):
    names = [
        ("towline_runs_ended_total", {"state": "succeeded", "reason": ""}),
        ("towline_run_duration_seconds_count", {"state": "succeeded"}),
        ("towline_run_wait_seconds_count", {}),
        ("towline_fetches_total", {}),
        ("towline_fetch_duration_seconds_count", {"result": "ok"}),
    ]
    before = [_counted(name, **labels) for name, labels in names]
    tenant.commit(rules__a=b"1", tasks__b=b"1")
    runs = open_inline(tenant.database, SEALER, tenant.cache_dir)
    runs.request_kinds(tenant.project().id, ["rule", "task"])
    after = [_counted(name, **labels) for name, labels in names]
    assert [now - then for now, then in zip(after, before, strict=True)] == [2, 2, 2, 1, 1]


def test_shared_fetches_are_counted(tmp_path: Path):
    fetcher, clock = Fetcher(), FetchClock()
    fetcher.may_end.set()
    fetches = SharedFetches(fetcher, now=clock)
    names = ("towline_fetches_total", "towline_fetches_shared_total")
    before = [_counted(name) for name in names]
    for _ in range(3):
        fetches.fetch(wanted(tmp_path), Watch(), since=START)
    assert [_counted(name) for name in names] == [before[0] + 1, before[1] + 2]


def test_a_fetch_that_fails_is_counted_under_its_code(tenant: GitTenant):
    tenant.commit(rules__a=b"1")
    labels = {"result": "ref_not_found"}
    before = _counted("towline_fetch_duration_seconds_count", **labels)
    runs = open_inline(tenant.database, SEALER, tenant.cache_dir)
    runs.request(tenant.project(ref="heads/missing").id)
    assert _counted("towline_fetch_duration_seconds_count", **labels) == before + 1


def test_the_process_itself_is_measured(client: TestClient, tenant: GitTenant):
    before = _read(client)
    assert before["towline_disk_free_bytes", ()] > 0
    assert before["towline_statement_duration_seconds_count", ()] > 0
    assert before["towline_database_connections", ()] >= 1
    with tenant.database.reading() as session:
        session.execute(select(1))
        used = _read(client)["towline_database_connections_used", ()]
    assert used == before["towline_database_connections_used", ()] + 1


def test_slots_in_use_are_measured(tmp_path: Path):
    labels = {"what": "towline-fetch"}
    fetcher, clock = Fetcher(), FetchClock()
    fetches = SharedFetches(fetcher, now=clock, at_once=AtOnce.of(7))
    waiting = threading.Thread(
        target=fetches.fetch, args=(wanted(tmp_path), Watch()), kwargs={"since": START}
    )
    waiting.start()
    assert fetcher.begun.acquire(timeout=10)
    assert (_counted("towline_slots", **labels), _counted("towline_slots_used", **labels)) == (7, 1)
    fetcher.may_end.set()
    waiting.join()
    assert _counted("towline_slots_used", **labels) == 0


def test_a_failure_is_counted_under_its_reason(tenant: GitTenant):
    labels = {"state": "failed", "reason": "validation_failed"}
    before = _counted("towline_runs_ended_total", **labels)
    runs = open_inline(tenant.database, SEALER, tenant.cache_dir)
    runs.request(tenant.project(bound=False).id)
    assert _counted("towline_runs_ended_total", **labels) == before + 1


def test_what_is_not_committed_is_not_called(tenant: GitTenant):
    called: list[str] = []
    with suppress(RuntimeError), tenant.database.writing() as session:
        once_committed(session, lambda: called.append("lost"))
        raise RuntimeError
    with tenant.database.writing() as session:
        once_committed(session, lambda: called.append("committed"))
        assert called == []
    assert called == ["committed"]


def test_a_database_that_is_gone_is_a_metric(settings: Settings, tenant: GitTenant, monkeypatch):
    from towline_server.db import Database, make_engine

    missing = Database(make_engine(f"sqlite:///{tenant.folder}/none/at-all.sqlite"))
    services = assemble(settings, missing, cheap_passwords())
    app = create_app(settings, services=services)
    with TestClient(app, client=("127.0.0.1", 5)) as client:
        text = client.get("/metrics").text
    assert "towline_database_up 0.0" in text
    assert "towline_queue_depth" not in text


# --- readiness --------------------------------------------------------------------------------


class Stalled:
    def stalled(self) -> list[str]:
        return ["towline-reaper"]


def test_a_stalled_loop_makes_the_server_unready(settings: Settings, tenant: GitTenant):
    services = assemble(settings, tenant.database, cheap_passwords())
    stalled = replace(services, runtime=Stalled())  # type: ignore[arg-type] # of it all readiness asks this
    with TestClient(create_app(settings, services=stalled)) as client:
        answer = client.get("/readyz")
    assert (answer.status_code, "towline-reaper" in answer.text) == (503, True)


def test_a_full_disk_makes_the_server_unready(
    settings: Settings, tenant: GitTenant, monkeypatch: pytest.MonkeyPatch
):
    services = assemble(settings, tenant.database, cheap_passwords())
    usage = shutil.disk_usage("/")
    with TestClient(create_app(settings, services=services)) as client:
        assert client.get("/readyz").status_code == 200
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000))
        answer = client.get("/readyz")
    assert (answer.status_code, "the disk of data_dir is full" in answer.text) == (503, True)
