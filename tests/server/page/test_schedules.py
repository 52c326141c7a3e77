"""Schedules of a project, set up on the page."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from tests.server.page.browser import HtmlPage, PageClient
from towline.options import OnConflict
from towline_server.auth.roles import Role
from towline_server.db.clock import database_now
from towline_server.runs.schedules import Rhythm, Schedule, ScheduleSpec, place, schedules_of


def schedules(site: PageClient) -> tuple[Schedule, ...]:
    with site.services.database.reading() as session:
        return schedules_of(session, site.project.id)


def add(site: PageClient, **values: Any) -> Schedule:
    """A schedule that was added on the page."""
    action, before = f"{site.url}/schedules/new", schedules(site)
    site.send(site.get(action), action, 303, **values)
    [made] = [each for each in schedules(site) if each not in before]
    return made


def invalid(text: str) -> set[str]:
    """The fields that a page marks as wrong."""
    return {given["name"] for _, given in HtmlPage(text).tags if "aria-invalid" in given}


def test_a_schedule_is_added_changed_paused_and_deleted(site: PageClient):
    site.sign_in(site.keys[Role.WRITER])
    listed = f"{site.url}/schedules"
    made = add(site, cron="0 4 * * *", timezone="Europe/Berlin", on_conflict="skip")
    assert made.spec.rhythm == Rhythm(cron="0 4 * * *", timezone="Europe/Berlin")
    assert made.spec.request.on_conflict is OnConflict.SKIP
    at = f"{listed}/{made.id}"
    assert at in site.get(listed).links
    # As it is, it stays.
    site.send(site.get(at), at)
    assert schedules(site) == (made,)
    site.send(site.get(at), at, cron="", every_seconds="3600", on_conflict="")
    [changed] = schedules(site)
    assert changed.spec.rhythm == Rhythm(every_seconds=3600, timezone="Europe/Berlin")
    assert changed.spec.request.on_conflict is None

    site.send(site.get(listed), f"{at}/pause")
    assert [each.due_at for each in schedules(site)] == [None]
    page = site.get(listed)
    assert "paused" in page.text
    assert f"{at}/pause" not in page.actions
    site.send(page, f"{at}/resume")
    assert schedules(site)[0].enabled

    asked = site.get(f"{at}/delete")
    assert schedules(site) != ()
    site.send(asked, f"{at}/delete")
    assert schedules(site) == ()


def test_what_is_wrong_with_a_schedule_is_shown_by_its_field(site: PageClient):
    site.sign_in(site.keys[Role.WRITER])
    action = f"{site.url}/schedules/new"
    for values, fields in (
        ({"cron": "every day"}, {"cron"}),
        ({"cron": "0 4 * * *", "timezone": "Mars/Olympus"}, {"timezone"}),
        ({"every_seconds": "0"}, {"every_seconds"}),
        ({"every_seconds": "soon"}, {"every_seconds"}),
        ({}, set[str]()),
        ({"cron": "0 4 * * *", "every_seconds": "60"}, set[str]()),
    ):
        given: dict[str, Any] = {"mode": "dry_run", **values}
        sent = site.send(site.get(action), action, 422, **given)
        assert invalid(sent.text) == fields, values
        # What was typed is there still.
        form = HtmlPage(sent.text).form(action)
        assert {**dict(form.fields), **given} == dict(form.fields)
    assert schedules(site) == ()


def test_a_schedule_of_a_sync_has_no_buttons(site: PageClient):
    site.sign_in(site.keys[Role.WRITER])
    schedule_id = uuid4()
    spec = ScheduleSpec(
        project_id=site.project.id, rhythm=Rhythm(every_seconds=60), sync_id=uuid4()
    )
    with site.services.database.writing() as session:
        place(session, schedule_id, spec, database_now(session))
    at = f"{site.url}/schedules/{schedule_id}"
    page = site.get(f"{site.url}/schedules")
    assert not [each for each in (*page.actions, *page.links) if str(schedule_id) in each]
    for address in (at, f"{at}/delete"):
        assert "this schedule belongs to a sync" in site.get(address, 409).text
    for action in ("delete", "pause"):
        assert site.post(f"{at}/{action}").status_code == 409
    assert schedules(site)[0].enabled


def test_a_reader_sees_when_a_schedule_fires_and_no_button(site: PageClient):
    site.sign_in(site.keys[Role.WRITER])
    add(site, cron="0 4 * * *")
    site.sign_in(site.keys[Role.READER])
    page = site.get(f"{site.url}/schedules")
    assert "0 4 * * *" in page.text
    assert not [each for each in (*page.actions, *page.links) if "/schedules/" in each]
