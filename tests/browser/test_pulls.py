"""Pulling with scripts: a run that is watched, cancelled and undone; changes of someone else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site, serving_again
from towline.testing.git_server import StaysSilent
from towline_server.auth.roles import Role

pytestmark = pytest.mark.browser


@pytest.fixture
def silent(site: Site) -> Iterator[None]:
    """The Git server answers nothing for now."""
    site.tenant.server.trouble = StaysSilent()
    yield
    site.tenant.server.trouble = None


def test_a_pull_is_planned_watched_and_undone(site: Site, opened: Callable[..., Page]):
    project = site.conflicting()
    page = opened()
    site.sign_in(page, Role.WRITER, f"/ui/projects/{project.id}")
    page.get_by_role("button", name="Plan a pull").click()
    expect(page.get_by_text("unresolved conflicts")).to_be_visible()
    page.go_back()
    page.get_by_label("On conflict").select_option("skip")
    page.get_by_label("All on this page").check()
    page.get_by_role("button", name="Pull selected").click()
    expect(page.get_by_role("heading", name=re.compile("succeeded"))).to_be_visible()
    expect(page.get_by_text("Left in conflict.")).to_be_visible()
    page.get_by_role("row", name="rules/b.txt").get_by_role("link", name="Show").click()
    expect(page.get_by_text("+three")).to_be_visible()
    assert "/ui/runs/" in page.url
    page.get_by_role("link", name="History", exact=True).click()
    page.get_by_role("link", name="Undo 2").click()
    page.get_by_role("button", name="Undo it").click()
    expect(page.get_by_role("heading", name="Undo of pull 2")).to_be_visible()
    page.reload()
    assert site.tenant.contents(project)["rules/b.txt"] == b"one\ntwo\n"


@pytest.mark.usefixtures("silent")
def test_a_run_is_watched_as_it_goes_and_cancelled_by_someone_else(
    site: Site, opened: Callable[..., Page]
):
    project = site.tenant.project()
    mine, theirs, reader = opened(), opened(), opened(scripts=False)
    for page, role in ((mine, Role.WRITER), (theirs, Role.ADMIN), (reader, Role.READER)):
        site.sign_in(page, role, f"/ui/projects/{project.id}")
    mine.get_by_role("button", name="Pull", exact=True).click()
    expect(mine.get_by_role("heading", name=re.compile("fetching"))).to_be_visible()
    run = mine.url
    # Another person's page shows it without a reload, and leads to it.
    expect(theirs.get_by_text("running")).to_be_visible(timeout=15_000)
    theirs.get_by_role("link", name="fetching").click()
    # Without scripts a reader sees it too, and no button.
    reader.goto(run)
    expect(reader.get_by_role("heading", name=re.compile("fetching"))).to_be_visible()
    expect(reader.get_by_role("main").get_by_role("button")).to_have_count(0)
    theirs.get_by_role("button", name="Cancel").click()
    for page in (theirs, mine):
        expect(page.get_by_role("heading", name=re.compile("cancelled"))).to_be_visible()
    mine.reload()
    expect(mine.get_by_role("button", name="Retry")).to_be_visible()


def test_who_was_signed_out_meanwhile_comes_back_to_where_they_were(
    site: Site, opened: Callable[..., Page]
):
    project = site.tenant.project()
    page = opened()
    site.sign_in(page, Role.WRITER, f"/ui/projects/{project.id}")
    page.context.clear_cookies()
    page.get_by_role("button", name="Fetch").click()
    # The form has the token of a session that is over.
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    site.fill_in(page, Role.WRITER)
    expect(page).to_have_url(f"{site.url}/ui/projects/{project.id}")


def test_who_is_signed_in_stays_so_when_the_server_restarts(own_site: Site, own_page: Page):
    """A run that was watched is watched on, by the same page after a reload."""
    git = own_site.tenant.server
    own_site.tenant.commit(a=b"1")
    git.trouble = StaysSilent()
    project = own_site.tenant.project()
    own_site.sign_in(own_page, Role.WRITER, f"/ui/projects/{project.id}")
    own_page.get_by_role("button", name="Pull", exact=True).click()
    expect(own_page.get_by_role("heading", name=re.compile("fetching"))).to_be_visible()
    assert own_site.server.end() == 0
    git.trouble = None
    with serving_again(own_site):
        own_page.reload()
        # The page follows the attempt that takes the run's place.
        expect(own_page.get_by_role("heading", name=re.compile("succeeded"))).to_be_visible()
        expect(own_page.get_by_role("button", name="Sign out")).to_be_visible()
