"""``/projects/{id}/schedules``: made, changed, paused, deleted, and what they request."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.databases import DatabaseClock
from tests.server.api.client import ApiClient, code_of
from towline_server.db.clock import database_now
from towline_server.runs.domain import TriggeredBy
from towline_server.runs.firing import Schedules
from towline_server.runs.listing import RunFilter
from towline_server.runs.project_schedules import MOST
from towline_server.runs.schedules import Rhythm, ScheduleSpec, place


def make(api: ApiClient, **body: Any) -> dict[str, Any]:
    answer = api.ask("POST", f"{api.url}/schedules", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == at(api, made)
    return made


def at(api: ApiClient, made: dict[str, Any]) -> str:
    return f"{api.url}/schedules/{made['id']}"


def change(api: ApiClient, made: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = api.ask("PATCH", at(api, made), json=body)
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def fire(api: ApiClient, made: dict[str, Any], **after: float) -> list[Any]:
    """Fire what is due so long after now; returns the runs that the schedule requested so far."""
    runs = api.services.runs
    clock = DatabaseClock(datetime.now(UTC) + timedelta(**after))
    Schedules(api.services.database, runs, now=clock).fire()
    found = runs.page(RunFilter(project_id=api.project.id), limit=100).runs
    return [run for run in found if run.trigger.schedule_id == UUID(made["id"])]


def of_sync(api: ApiClient) -> dict[str, Any]:
    """A schedule that a sync has."""
    schedule_id = uuid4()
    rhythm = Rhythm(every_seconds=60)
    spec = ScheduleSpec(project_id=api.project.id, rhythm=rhythm, sync_id=uuid4())
    with api.services.database.writing() as session:
        place(session, schedule_id, spec, database_now(session))
    return {"id": str(schedule_id)}


def test_a_schedule_is_made_read_changed_and_deleted(api: ApiClient):
    made = make(api, cron="0 4 * * *", timezone="Europe/Berlin", on_conflict="skip")
    assert (made["cron"], made["timezone"], made["every_seconds"]) == (
        "0 4 * * *",
        "Europe/Berlin",
        None,
    )
    assert (made["enabled"], made["mode"], made["sync_id"]) == (True, "incremental", None)
    assert api.get(at(api, made)) == made
    assert api.get(f"{api.url}/schedules")["items"] == [made]
    assert change(api, made) == made
    hourly = change(api, made, every_seconds=3600, on_conflict=None, mode="dry_run")
    assert (hourly["cron"], hourly["every_seconds"]) == (None, 3600)
    assert (hourly["on_conflict"], hourly["mode"]) == (None, "dry_run")
    assert change(api, made, cron="5 4 * * *")["every_seconds"] is None
    assert api.ask("DELETE", at(api, made)).status_code == 204
    assert code_of(api.ask("GET", at(api, made))) == (404, "not_found")


def test_a_schedule_requests_runs_of_what_it_says(api: ApiClient):
    kind = api.project.kinds.kinds[0].name
    made = make(api, every_seconds=60, kind=kind, mode="dry_run")
    assert fire(api, made, seconds=5) == []
    [run] = fire(api, made, seconds=120)
    assert run.trigger.by is TriggeredBy.SCHEDULED
    assert (str(run.request.mode), run.request.kind) == ("dry_run", kind)


def test_a_paused_schedule_fires_once_it_is_enabled_again(api: ApiClient):
    made = make(api, every_seconds=60)
    paused = change(api, made, enabled=False)
    assert (paused["enabled"], paused["due_at"]) == (False, None)
    assert fire(api, made, hours=1) == []
    assert change(api, made, every_seconds=30)["enabled"] is False
    assert fire(api, made, hours=1) == []
    again = change(api, made, enabled=True)
    assert again["due_at"] is not None
    assert len(fire(api, made, hours=1)) == 1
    assert make(api, every_seconds=60, enabled=False)["due_at"] is None


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, (422, "invalid_request")),
        ({"cron": "0 4 * * *", "every_seconds": 60}, (422, "invalid_request")),
        ({"every_seconds": 0}, (422, "invalid_request")),
        ({"cron": "every day"}, (400, "invalid_value")),
        ({"cron": "0 0 30 2 *"}, (400, "invalid_value")),
        ({"cron": "0 4 * * *", "timezone": "Mars/Olympus"}, (400, "invalid_value")),
        ({"every_seconds": 60, "kind": "nothing"}, (400, "unknown_kind")),
        ({"every_seconds": 60, "backend": "temporal"}, (422, "backend_not_configured")),
    ],
)
def test_what_no_schedule_has_is_refused(
    api: ApiClient, body: dict[str, Any], refusal: tuple[int, str]
):
    answer = api.ask("POST", f"{api.url}/schedules", json=body)
    assert code_of(answer) == refusal
    if refusal[1] == "invalid_value":
        assert answer.json()["field"] in ("cron", "timezone")
    assert api.get(f"{api.url}/schedules")["items"] == []


def test_a_schedule_of_a_sync_is_shown_and_changes_with_its_sync_alone(api: ApiClient):
    made = of_sync(api)
    assert api.get(at(api, made))["sync_id"] is not None
    for method, body in (("PATCH", {"enabled": False}), ("DELETE", None)):
        answer = api.ask(method, at(api, made), json=body)
        assert code_of(answer) == (409, "schedule_of_sync")
    assert api.get(at(api, made))["enabled"] is True


def test_a_project_has_so_many_schedules_at_most(api: ApiClient):
    of_sync(api)
    last = [make(api, every_seconds=60) for _ in range(MOST)][-1]
    answer = api.ask("POST", f"{api.url}/schedules", json={"every_seconds": 60})
    assert code_of(answer) == (409, "too_many_schedules")
    api.ask("DELETE", at(api, last))
    make(api, every_seconds=60)


def test_a_schedule_whose_kind_is_gone_can_be_paused(api: ApiClient):
    kind = api.project.kinds.kinds[0].name
    made = make(api, every_seconds=60, kind=kind)
    kinds = [{"name": "other", "globs": ["**"]}]
    assert api.ask("PATCH", api.url, json={"kinds": kinds}).status_code == 200
    assert change(api, made, enabled=False)["kind"] == kind
