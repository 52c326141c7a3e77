"""``/webhooks``: who may say where events go, and what is shown of it."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from tests.server.api.client import V1, ApiClient, code_of
from towline_server.auth.roles import Role
from towline_server.web.idempotency import IdempotentResponseRow

URL = f"{V1}/webhooks"
HOOK = "https://hooks.example/towline"


def ask(api: ApiClient, method: str, url: str = URL, **rest: Any) -> Any:
    """An answer to who administers the tenant."""
    return api.ask(method, url, **{"key": api.tenant_keys[Role.ADMIN], **rest})


def make(api: ApiClient, **body: Any) -> dict[str, Any]:
    answer = ask(api, "POST", json={"url": HOOK, **body})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"{URL}/{made['id']}"
    return made


def test_a_webhook_is_made_read_changed_and_deleted(api: ApiClient):
    made = make(api, description="for the team")
    secret = made.pop("secret")
    assert secret.startswith("whsec_")
    here = f"{URL}/{made['id']}"
    assert made["event_types"] is None
    assert (made["enabled"], made["disabled_reason"]) == (True, None)
    assert ask(api, "GET", here).json() == made
    change = {"event_types": ["run.failed", "run.failed"], "enabled": False}
    changed = ask(api, "PATCH", here, json=change).json()
    assert changed["event_types"] == ["run.failed"]
    assert (changed["enabled"], changed["disabled_reason"]) == (False, "asked")
    assert changed["disabled_at"] is not None
    assert (changed["url"], changed["description"]) == (HOOK, "for the team")
    back = ask(api, "PATCH", here, json={"event_types": None, "enabled": True}).json()
    assert back == {**made, "updated_at": back["updated_at"]}
    assert ask(api, "DELETE", here).status_code == 204
    assert code_of(ask(api, "GET", here)) == (404, "not_found")


def test_a_secret_is_shown_where_it_is_made_and_nowhere_else(api: ApiClient):
    made = make(api)
    here = f"{URL}/{made['id']}"
    rotated = ask(api, "POST", f"{here}/rotate")
    assert rotated.status_code == 200
    assert rotated.json()["secret"] != made["secret"]
    for answer in (ask(api, "GET"), ask(api, "GET", here), ask(api, "PATCH", here, json={})):
        assert "whsec_" not in answer.text


def test_an_idempotent_request_shows_its_secret_again_and_keeps_it_sealed(api: ApiClient):
    headers = {"Idempotency-Key": "once"}
    first, second = (ask(api, "POST", json={"url": HOOK}, headers=headers) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert ask(api, "GET").json()["total"] == 1
    with api.services.database.reading() as session:
        [stored] = session.scalars(select(IdempotentResponseRow.body))
    assert stored is not None
    assert b"whsec_" not in stored
    assert first.json()["id"].encode() not in stored


def test_webhooks_are_listed_in_parts_oldest_first(api: ApiClient):
    made = [make(api, description=str(number))["id"] for number in range(3)]
    page = ask(api, "GET", f"{URL}?limit=2&offset=1").json()
    assert [each["id"] for each in page["items"]] == made[1:]
    assert (page["total"], page["has_next"]) == (3, False)


def test_a_tenant_has_a_bounded_number_of_them(api: ApiClient, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("towline_server.webhooks.service.MOST", 1)
    make(api)
    answer = ask(api, "POST", json={"url": HOOK})
    assert code_of(answer) == (409, "too_many_webhooks")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "invalid_request"),
        ({"url": "https://user:pass@hooks.example/"}, 422, "invalid_request"),
        ({"url": "ftp://hooks.example/"}, 422, "invalid_request"),
        ({"url": f"{HOOK}\0"}, 422, "invalid_request"),
        ({"url": "http://hooks.example/"}, 400, "invalid_value"),
        ({"url": HOOK, "event_types": []}, 422, "invalid_request"),
        ({"url": HOOK, "event_types": ["ping"]}, 422, "invalid_request"),
        ({"url": HOOK, "event_types": ["run.began"]}, 422, "invalid_request"),
        ({"url": HOOK, "description": "a\0b"}, 422, "invalid_request"),
        ({"url": HOOK, "secret": "whsec_mine"}, 422, "invalid_request"),
        ({"url": HOOK, "project_id": str(uuid4())}, 404, "not_found"),
    ],
)
def test_what_is_no_webhook_is_refused(
    api: ApiClient, body: dict[str, Any], status: int, code: str
):
    answer = ask(api, "POST", json=body)
    assert code_of(answer) == (status, code)
    assert "pass" not in answer.text
    if "url" in body and status != 404:
        made = make(api)
        changed = ask(api, "PATCH", f"{URL}/{made['id']}", json=body)
        assert code_of(changed) == (status, code)


def test_a_webhook_may_hear_of_one_project_alone(api: ApiClient):
    mine = make(api, project_id=str(api.project.id))
    assert mine["project_id"] == str(api.project.id)
    here = f"{URL}/{mine['id']}"
    assert ask(api, "PATCH", here, json={}).json()["project_id"] == mine["project_id"]
    assert ask(api, "PATCH", here, json={"project_id": None}).json()["project_id"] is None


def test_what_was_and_will_be_sent_is_listed(api: ApiClient):
    made = make(api)
    here = f"{URL}/{made['id']}"
    api.tenant.commit(rules__a=b"1")
    run = api.pull()
    ping = ask(api, "POST", f"{here}/ping")
    assert ping.status_code == 202
    page = ask(api, "GET", f"{here}/deliveries").json()
    assert [each["event_type"] for each in page["items"]] == ["ping", "run.succeeded"]
    assert page["items"][0] == ping.json()
    waiting_delivery = page["items"][1]
    assert (
        waiting_delivery["state"],
        waiting_delivery["attempts"],
        waiting_delivery["last_status"],
    ) == ("waiting", 0, None)
    assert waiting_delivery["next_attempt_at"] == waiting_delivery["created_at"]
    assert waiting_delivery["payload"]["data"]["run_id"] == run["id"]
    assert waiting_delivery["message_id"].startswith("msg_")
    of_state = {
        state: ask(api, "GET", f"{here}/deliveries?state={state}").json()["total"]
        for state in ("waiting", "delivered", "failed")
    }
    assert of_state == {"waiting": 2, "delivered": 0, "failed": 0}
    assert ask(api, "GET", f"{here}/deliveries?limit=1").json()["has_next"]
    again = ask(api, "POST", f"{here}/deliveries/{waiting_delivery['id']}/retry")
    assert (again.status_code, again.json()["message_id"]) == (202, waiting_delivery["message_id"])
    missing = ask(api, "POST", f"{here}/deliveries/{uuid4()}/retry")
    assert code_of(missing) == (404, "not_found")


def test_a_data_s_names_are_those_of_the_run(api: ApiClient):
    made = make(api)
    api.tenant.commit(rules__a=b"1")
    run = api.pull()
    page = ask(api, "GET", f"{URL}/{made['id']}/deliveries").json()
    data = page["items"][0]["payload"]["data"]
    shared = set(data) & set(run)
    assert set(data) - shared == {"run_id", "project_path", "counts"}
    assert {name: data[name] for name in shared} == {name: run[name] for name in shared}


def test_nothing_is_sent_to_a_disabled_one(api: ApiClient):
    made = make(api, enabled=False)
    here = f"{URL}/{made['id']}"
    assert code_of(ask(api, "POST", f"{here}/ping")) == (409, "webhook_disabled")
    api.tenant.commit(rules__a=b"1")
    api.pull()
    assert ask(api, "GET", f"{here}/deliveries").json()["total"] == 0
