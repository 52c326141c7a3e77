"""The audit log: what is in it, who reads it, and that nothing takes it back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from tests.control_plane import new_key
from tests.server.api.client import V1, ApiClient, code_of
from tests.server.runs.git_tenant import GitTenant
from towline_server.api.audit import JSON_LINES
from towline_server.audit.actor import Actor, acting
from towline_server.audit.log import Action, Owner, record
from towline_server.audit.tables import LEAST_DAYS, AuditEventRow
from towline_server.auth.roles import Role
from towline_server.db import Database
from towline_server.runs.retention import Retained, Retention

LOG = f"{V1}/admin/audit"


def ask(api: ApiClient, method: str, url: str, **rest: Any) -> Any:
    """A good answer to who administers the tenant."""
    answer = api.ask(method, url, **{"key": api.tenant_keys[Role.ADMIN], **rest})
    assert answer.is_success, answer.text
    return answer


def log(api: ApiClient, query: str = "") -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = ask(api, "GET", f"{LOG}{query}").json()["items"]
    return items


def test_every_change_is_in_the_log_with_who_made_it_and_from_where(api: ApiClient):
    connection = ask(
        api, "POST", f"{V1}/connections", json={"url": "https://someone:hidden@git.example/n"}
    ).json()
    ask(api, "DELETE", f"{V1}/connections/{connection['id']}")
    api.put("rules/new.json", b"a content")
    run = ask(api, "POST", f"{api.url}/runs", json={}).json()
    ask(api, "POST", f"{V1}/runs/{run['id']}/cancel", json={"reason": "not now"})
    ask(api, "POST", f"{V1}/runs/{run['id']}/cancel", json={})
    webhook = ask(api, "POST", f"{V1}/webhooks", json={"url": "https://hooks.example/n"}).json()
    key = ask(
        api, "POST", f"{V1}/admin/tenants/{api.tenant.tenant_id}/keys", json={"name": "export"}
    ).json()
    found = log(api, "?order=oldest")
    assert [(each["action"], each["subject"]) for each in found] == [
        ("connection.created", connection["id"]),
        ("connection.deleted", connection["id"]),
        ("asset.written", "rules/new.json"),
        ("run.requested", run["id"]),
        ("run.cancelled", run["id"]),
        ("webhook.created", webhook["id"]),
        ("api_key.created", key["id"]),
    ]
    assert found[4]["detail"]["reason"] == "not now"
    assert {each["project_id"] for each in found[2:5]} == {str(api.project.id)}
    for each in found:
        assert each["tenant_id"] == str(api.tenant.tenant_id)
        assert (each["actor_kind"], each["credential"]) == ("api_key", "key")
        assert each["address"] == "testclient"
        assert len(each["request_id"]) >= 8
    text = json.dumps(found)
    for secret in ("hidden", key["key"], webhook["secret"], "a content"):
        assert secret not in text


def test_what_is_refused_or_only_read_is_not_in_the_log(api: ApiClient):
    assert api.ask("POST", f"{V1}/connections", json={"url": "no"}).status_code == 403
    assert api.ask("POST", f"{api.url}/runs", json={"kind": 1}).status_code == 422
    api.get(f"{api.url}/assets")
    assert log(api) == []


def test_the_log_is_read_by_pages_filters_and_lines(api: ApiClient):
    for number in range(5):
        api.put(f"rules/{number}.json", b"{}")
    ask(api, "POST", f"{api.url}/runs", json={})
    first = ask(api, "GET", f"{LOG}?limit=4").json()
    rest = ask(api, "GET", f"{LOG}?limit=4&after={first['next_cursor']}").json()
    assert [each["action"] for each in first["items"]] == ["run.requested"] + 3 * ["asset.written"]
    assert [each["subject"] for each in rest["items"]] == ["rules/1.json", "rules/0.json"]
    assert rest["next_cursor"] is None
    actor = rest["items"][0]["actor_id"]
    assert len(log(api, f"?action=asset.written&subject=rules/3.json&actor={actor}")) == 1
    assert log(api, "?since=2200-01-01T00:00:00Z") == []
    lines = ask(api, "GET", f"{LOG}?order=oldest&limit=1", headers={"Accept": JSON_LINES})
    assert lines.headers["content-type"].startswith(JSON_LINES)
    events = [json.loads(line) for line in lines.text.splitlines()]
    assert events == [*reversed([*first["items"], *rest["items"]])]
    last = ask(
        api,
        "GET",
        f"{LOG}?order=oldest&after={events[-2]['cursor']}",
        headers={"Accept": JSON_LINES},
    )
    assert json.loads(last.text) == events[-1]


def test_a_tenant_reads_its_own_events_alone(api: ApiClient, other: GitTenant):
    theirs = new_key(api.services.database, other.tenant_id, Role.ADMIN)
    api.put("rules/new.json", b"{}")
    assert ask(api, "GET", LOG, key=theirs).json()["items"] == []
    named = api.ask("GET", f"{LOG}?tenant_id={api.tenant.tenant_id}", key=theirs)
    assert code_of(named) == (404, "not_found")
    assert code_of(api.ask("GET", LOG)) == (403, "forbidden")
    token = "a token of the operator, long enough"
    services = api.services
    known = replace(services.authenticator, operator_token=token)
    api.client.app.state.services = replace(services, authenticator=known)  # type: ignore[attr-defined] # it is an application
    answer = api.client.get(LOG, headers={"Authorization": f"Bearer {token}"})
    assert [each["subject"] for each in answer.json()["items"]] == ["rules/new.json"]


def test_a_change_that_does_not_happen_is_not_recorded(database: Database):
    """They are one transaction."""

    def change() -> None:
        with acting(Actor(kind="shell")), database.writing() as session:
            record(session, Action.TENANT_CREATED, "one", Owner(None))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change()
    assert _subjects(database) == []


def test_an_event_is_never_changed_and_deleted_by_retention_alone(database: Database):
    """The database itself refuses, whatever asks."""
    days = timedelta(days=1)
    with acting(Actor(kind="shell", name="someone")):
        for subject in ("old", "new"):
            with database.writing() as session:
                record(session, Action.TENANT_CREATED, subject, Owner(None))
    row = AuditEventRow
    for statement in (
        update(row).values(actor_name="another"),
        delete(row),
        delete(row).where(row.subject == "old"),
    ):
        with pytest.raises(DatabaseError, match="append-only"), database.writing() as session:
            session.execute(statement)
    assert _subjects(database) == ["new", "old"]
    now = datetime.now(UTC)
    Retention(database, Retained(audit=LEAST_DAYS * days), now=lambda _: now).prune()
    assert _subjects(database) == ["new", "old"]
    with database.writing() as session:
        _add(session, now - (LEAST_DAYS + 2) * days)
    Retention(database, Retained(audit=(LEAST_DAYS + 3) * days), now=lambda _: now).prune()
    assert _subjects(database) == ["ancient", "new", "old"]
    Retention(database, Retained(audit=(LEAST_DAYS + 1) * days), now=lambda _: now).prune()
    assert _subjects(database) == ["new", "old"]


def _add(session: Session, at: datetime) -> None:
    session.add(
        AuditEventRow(
            id=UUID(int=1),
            at=at,
            action="tenant.created",
            subject="ancient",
            detail={},
            actor_kind="shell",
            actor_name="",
        )
    )


def _subjects(database: Database) -> list[str | None]:
    with database.reading() as session:
        return sorted(session.scalars(select(AuditEventRow.subject)), key=str)
