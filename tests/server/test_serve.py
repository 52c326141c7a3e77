"""The server as a process: it releases its runs when it stops, and reloads on SIGHUP."""

from __future__ import annotations

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest

from tests.control_plane import PASSWORD, cheap_passwords
from tests.server.dialects.tenant_client import bearer
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import LONG, runs_elsewhere
from tests.server.serving import admin_key, client_of, serving, settings_file
from towline.testing.git_server import StaysSilent
from towline_server.auth.identities import Identities
from towline_server.auth.roles import Role
from towline_server.runs.states import ReasonCode, RunState

pytestmark = pytest.mark.slow

EMAIL = "someone@demo.example"


def test_sigterm_hands_a_run_back_and_the_next_server_ends_it(tenant: GitTenant, database_url: str):
    tenant.commit(a=b"1")
    project = tenant.project()
    file, key = settings_file(tenant, database_url), admin_key(tenant)
    tenant.server.trouble = StaysSilent()
    words = ["--settings", str(file), "--port", "0"]
    url = f"/v2/integrations/connections/{tenant.connection_id}/sync"
    with serving(words) as first:
        with client_of(first) as client:
            answer = client.post(url, headers=bearer(key)).json()
            begun = first.hear("run begun")
        assert {begun["run_id"], begun["project_id"]} <= {
            *[a["id"] for a in answer],
            str(project.id),
        }
        assert first.end() == 0
    runs = runs_elsewhere(tenant)
    left = runs.get(UUID(begun["run_id"]))
    assert (left.state, left.reason_code) == (RunState.FAILED, ReasonCode.WORKER_SHUTDOWN)
    tenant.server.trouble = None
    with serving(words) as second:
        ended = runs.wait(left.id, LONG)
        assert second.hear("run ended")["project_id"] == str(project.id)
        assert second.end() == 0
    assert (ended.state, ended.attempts.previous_id) == (RunState.SUCCEEDED, left.id)


def test_a_request_that_waits_for_its_run_does_not_hold_the_server(
    tenant: GitTenant, database_url: str
):
    tenant.commit(a=b"1")
    project = tenant.project()
    with tenant.database.writing() as session:
        Identities(session, cheap_passwords()).create_user(
            tenant_id=tenant.tenant_id, email=EMAIL, password=PASSWORD, tenant_role=Role.ADMIN
        )
    file = settings_file(tenant, database_url, wait_seconds=100_000, shutdown_seconds=1)
    tenant.server.trouble = StaysSilent()
    path = f"/api/1/rest/public/project/pull/{project.path}"
    with (
        serving(["--settings", str(file), "--port", "0"]) as server,
        client_of(server) as client,
        ThreadPoolExecutor() as pool,
    ):
        answer = pool.submit(client.post, path, auth=(EMAIL, PASSWORD))
        begun = server.hear("run begun")
        assert server.end() == 0
        assert answer.result().status_code == 503
    left = runs_elsewhere(tenant).get(UUID(begun["run_id"]))
    assert left.reason_code is ReasonCode.WORKER_SHUTDOWN


def test_sigterm_ends_the_streams_of_events(tenant: GitTenant, database_url: str):
    tenant.commit(a=b"1")
    project = tenant.project()
    file, headers = (
        settings_file(tenant, database_url, shutdown_seconds=3000),
        bearer(admin_key(tenant)),
    )
    tenant.server.trouble = StaysSilent()
    native = "/api/towline/v1"
    with (
        serving(["--settings", str(file), "--port", "0"]) as server,
        client_of(server) as client,
    ):
        run = client.post(f"{native}/projects/{project.id}/runs", json={}, headers=headers).json()
        url = f"{native}/projects/{project.id}/events"
        streamed = {**headers, "Accept": "text/event-stream"}
        with (
            client.stream("GET", f"{native}/runs/{run['id']}/events", headers=headers) as stream,
            client.stream("GET", url, headers=streamed) as of_project,
        ):
            lines = stream.iter_lines()
            assert next(lines) == "event: progress"
            assert server.end() == 0
            assert "event: ended" not in list(lines)
            assert "event: change" not in list(of_project.iter_lines())


def test_sigterm_ends_a_server_on_which_nothing_runs(tenant: GitTenant, database_url: str):
    file = settings_file(tenant, database_url)
    with serving(["--settings", str(file), "--port", "0"]) as server:
        server.hear("listening")
        assert server.end() == 0


def test_sighup_takes_up_what_can_change_and_names_what_cannot(
    tenant: GitTenant, database_url: str
):
    file = settings_file(tenant, database_url, metrics_token="the first token")
    with (
        serving(["--settings", str(file), "--port", "0"]) as server,
        client_of(server) as client,
    ):
        assert client.get("/metrics", headers=bearer("the first token")).status_code == 200
        settings_file(tenant, database_url, metrics_token="the second", lease_seconds=90)
        server.send_signal(signal.SIGHUP)
        assert server.hear("settings reloaded")["changed"] == ["metrics_token"]
        assert server.hear("these settings wait for a restart")["changed"] == ["lease_seconds"]
        assert client.get("/metrics", headers=bearer("the first token")).status_code == 401
        assert client.get("/metrics", headers=bearer("the second")).status_code == 200

        file.write_text("log_level = 'loud'\n")
        server.send_signal(signal.SIGHUP)
        refused = server.hear("the settings are refused, and stay as they are")
        assert "log_level" in refused["problem"]
        assert client.get("/metrics", headers=bearer("the second")).status_code == 200


def test_a_port_that_is_taken_ends_the_server_with_a_failure(tenant: GitTenant, database_url: str):
    file = settings_file(tenant, database_url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with serving(["--settings", str(file), "--port", str(port)]) as server:
            assert server.child.wait(LONG) == 1
            server.hear("Application shutdown complete.")
    assert any("already in use" in line["message"] for line in server.lines)
