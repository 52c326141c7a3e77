"""Conflicts in a browser: they arrive, are settled by place and by side, pulled, and undone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site, serving_again
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project

pytestmark = pytest.mark.browser

LIVE = 20_000
"""Milliseconds within which a page shows what changed, which it asks for every 5 s."""
BEFORE = {"x": 1, "y": 1, "items": [{"id": "a", "n": 1}]}
OURS = {"x": 2, "y": 2, "items": [{"id": "a", "n": 2}]}
THEIRS = {"x": 3, "y": 3, "items": [{"id": "a", "n": 3}]}
FIELDS, LINES = "rules/fields.json", "rules/lines.txt"


def document(value: object) -> bytes:
    return json.dumps(value).encode()


def edited(site: Site) -> Project:
    """A project that was pulled and edited; the edits of the other side are not pushed yet."""
    site.tenant.repository.commit({FIELDS: document(BEFORE), LINES: b"one\ntwo\n"})
    project = site.tenant.project()
    assert site.pull(project)["outcome"] == "changed"
    site.tenant.edit(project, FIELDS, document(OURS))
    site.tenant.edit(project, LINES, b"ours\ntwo\n")
    return project


def push(site: Site) -> None:
    site.tenant.repository.commit({FIELDS: document(THEIRS), LINES: b"theirs\ntwo\n"})


def choose(page: Page, place: str, side: str) -> None:
    page.get_by_role("radio", name=f"{place}: {side}").check()


def keep(page: Page) -> None:
    """Preview what is chosen, and save it."""
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="Result")).to_be_visible()
    page.get_by_role("button", name="Save the choice").click()
    expect(page.get_by_text("resolved", exact=True)).to_be_visible()


def test_conflicts_arrive_are_settled_pulled_and_undone(site: Site, opened: Callable[..., Page]):
    project = edited(site)
    mine, other = opened(), opened()
    at = f"/ui/projects/{project.id}"
    site.sign_in(mine, Role.WRITER, f"{at}/conflicts")
    expect(mine.get_by_text("No conflicts")).to_be_visible()
    # Someone pushes, and another person fetches: the list shows it without a reload.
    push(site)
    site.sign_in(other, Role.WRITER, at)
    other.get_by_role("button", name="Fetch").click()
    expect(mine.get_by_role("link", name=FIELDS)).to_be_visible(timeout=LIVE)

    mine.get_by_role("link", name=FIELDS).click()
    mine.get_by_role("radio", name=re.compile("as chosen for each place")).check()
    choose(mine, "/x", "theirs")
    choose(mine, "/y", "ours")
    choose(mine, "/items/[id=a]/n", "theirs")
    keep(mine)
    # A reload in the middle, and the way back, lose nothing.
    mine.reload()
    expect(mine.get_by_role("radio", name="/y: ours")).to_be_checked()
    mine.get_by_role("link", name="All conflicts").click()
    mine.go_back()
    expect(mine.get_by_role("radio", name="/x: theirs")).to_be_checked()

    # The other person settles the second one by a side, seen here without a reload.
    mine.get_by_role("link", name="All conflicts").click()
    other.goto(f"{at}/conflicts")
    other.get_by_role("link", name=LINES).click()
    other.get_by_role("radio", name="take theirs").check()
    keep(other)
    row = mine.get_by_role("row", name=LINES)
    expect(row.get_by_text("theirs")).to_be_visible(timeout=LIVE)

    mine.get_by_role("button", name="Pull").click()
    expect(mine.get_by_role("heading", name=re.compile("succeeded"))).to_be_visible()
    found = site.tenant.contents(project)
    assert json.loads(found[FIELDS]) == {"x": 3, "y": 2, "items": [{"id": "a", "n": 3}]}
    assert found[LINES] == b"theirs\ntwo\n"

    mine.get_by_role("link", name="History", exact=True).click()
    mine.get_by_role("link", name="Undo 2").click()
    mine.get_by_role("button", name="Undo it").click()
    expect(mine.get_by_role("heading", name="Undo of pull 2")).to_be_visible()
    assert json.loads(site.tenant.contents(project)[FIELDS]) == OURS


def test_a_push_in_the_middle_is_shown_and_nothing_old_is_saved(
    site: Site, opened: Callable[..., Page]
):
    project = edited(site)
    push(site)
    page = opened()
    site.sign_in(page, Role.WRITER, f"/ui/projects/{project.id}")
    page.get_by_role("button", name="Fetch").click()
    page.get_by_role("link", name="Conflicts", exact=True).click()
    page.get_by_role("link", name=LINES).click()
    page.get_by_role("radio", name="take theirs").check()
    page.get_by_role("button", name="Preview").click()
    site.tenant.repository.commit({FIELDS: document(THEIRS), LINES: b"again\ntwo\n"})
    site.native("GET", f"/projects/{project.id}/status?fetch=true")
    page.get_by_role("button", name="Save the choice").click()
    expect(page.get_by_role("alert")).to_contain_text("has changed since you saw it")
    page.get_by_role("radio", name="take theirs").check()
    keep(page)
    page.get_by_role("button", name="Pull").click()
    expect(page.get_by_role("heading", name=re.compile("failed"))).to_be_visible()
    # The other conflict is still open, so nothing was pulled.
    assert site.tenant.contents(project)[LINES] == b"ours\ntwo\n"


def test_without_scripts_a_conflict_is_settled_and_a_reader_has_no_choice(
    site: Site, opened: Callable[..., Page]
):
    project = edited(site)
    push(site)
    site.native("GET", f"/projects/{project.id}/status?fetch=true")
    writer, reader = opened(scripts=False), opened(scripts=False, width=360)
    at = f"/ui/projects/{project.id}/conflicts"
    site.sign_in(reader, Role.READER, at)
    reader.get_by_role("link", name=FIELDS).click()
    expect(reader.get_by_text("/items/[id=a]/n").first).to_be_visible()
    expect(reader.get_by_role("main").get_by_role("button")).to_have_count(0)
    expect(reader.get_by_role("radio")).to_have_count(0)
    site.sign_in(writer, Role.WRITER, at)
    writer.get_by_role("checkbox", name=FIELDS).check()
    writer.get_by_role("button", name="Keep ours").click()
    row = writer.get_by_role("row", name=FIELDS)
    expect(row.get_by_text("ours")).to_be_visible()


def test_who_is_signed_out_in_the_middle_finds_what_was_saved(
    site: Site, opened: Callable[..., Page]
):
    project = edited(site)
    push(site)
    site.native("GET", f"/projects/{project.id}/status?fetch=true")
    page = opened()
    site.sign_in(page, Role.WRITER, f"/ui/projects/{project.id}/conflicts")
    page.get_by_role("link", name=LINES).click()
    page.get_by_role("radio", name="keep ours").check()
    keep(page)
    page.context.clear_cookies()
    page.get_by_role("button", name="Clear the choice").click()
    site.fill_in(page, Role.WRITER)
    expect(page.get_by_text("resolved", exact=True)).to_be_visible()
    expect(page.get_by_role("radio", name="keep ours")).to_be_checked()


def test_a_server_that_restarts_in_the_middle_has_what_was_saved(own_site: Site, own_page: Page):
    project = edited(own_site)
    push(own_site)
    own_site.native("GET", f"/projects/{project.id}/status?fetch=true")
    own_site.sign_in(own_page, Role.WRITER, f"/ui/projects/{project.id}/conflicts")
    own_page.get_by_role("link", name=LINES).click()
    own_page.get_by_role("radio", name="take theirs").check()
    own_page.get_by_role("button", name="Preview").click()
    assert own_site.server.end() == 0
    with serving_again(own_site):
        own_page.get_by_role("button", name="Save the choice").click()
        expect(own_page.get_by_text("resolved", exact=True)).to_be_visible()
