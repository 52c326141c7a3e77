"""A server that sends the event of a pull: everything real, from the request to the signature."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.server.dialects.tenant_client import bearer
from tests.server.runs.git_tenant import GitTenant
from tests.server.serving import admin_key, client_of, serving
from tests.server.webhooks.receiver import Reply, receiving

pytestmark = pytest.mark.slow

V1 = "/api/towline/v1"


def _settings(tenant: GitTenant, url: str) -> Path:
    file = tenant.folder / "towline.toml"
    file.write_text(
        f'database_url = "{url}"\ndata_dir = "{tenant.folder / "data"}"\n'
        f'secret_keys = ["{"k" * 40}"]\n'
        'remote_schemes = ["http"]\nremote_networks = ["127.0.0.0/8"]\n'
        'webhook_schemes = ["http"]\nwebhook_networks = ["127.0.0.0/8"]\n'
    )
    return file


def test_the_event_of_a_pull_is_sent_even_by_the_next_server(tenant: GitTenant, database_url: str):
    revision = tenant.commit(rules__a=b"1")
    project, key = tenant.project(), admin_key(tenant)
    words = ["--settings", str(_settings(tenant, database_url)), "--port", "0"]
    with receiving() as receiver:
        receiver.answer(Reply(200), Reply(503, {"Retry-After": "3600"}), Reply(200))
        with serving(words) as first, client_of(first) as client:
            client.headers.update(bearer(key))
            made = client.post(f"{V1}/webhooks", json={"url": receiver.url()}).json()
            secret = made["secret"]
            run = client.post(f"{V1}/projects/{project.id}/runs", json={}).json()
            [received] = receiver.wait_for(1)
            event = received.verify(secret)
            assert isinstance(event, dict)
            assert event["type"] == "run.succeeded"
            assert event["data"]["run_id"] == run["id"]
            assert event["data"]["target_revision"] == revision
            attempted = first.hear("webhook attempted")
            assert attempted["message_id"] == received.id
            assert attempted["webhook_id"] == made["id"]
            assert attempted["result"] == "delivered"

            client.post(f"{V1}/projects/{project.id}/runs", json={"mode": "dry_run"})
            second = receiver.wait_for(2)[1]
            while first.hear("webhook attempted")["status"] != 503:
                pass
            first.end(signal.SIGKILL)
        with serving(words) as last, client_of(last) as client:
            client.headers.update(bearer(key))
            # Its time has not come, but a client asks for it.
            url = f"{V1}/webhooks/{made['id']}/deliveries"
            [left] = client.get(f"{url}?state=waiting").json()["items"]
            assert (left["message_id"], left["last_status"]) == (second.id, 503)
            assert client.post(f"{url}/{left['id']}/retry").status_code == 202
            third = receiver.wait_for(3)[2]
            assert (third.id, third.body) == (second.id, second.body)
            assert third.id != received.id
            assert third.verify(secret) == second.verify(secret)
            assert last.hear("webhook attempted")["status"] == 200
            assert last.end() == 0
        log = " ".join(map(str, [*first.lines, *last.lines]))
        assert secret not in log
        assert receiver.url() not in log
