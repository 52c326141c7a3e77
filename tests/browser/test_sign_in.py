"""Signing in and out, by keyboard alone, and without scripts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import Site
from tests.control_plane import PASSWORD
from towline_server.auth.roles import Role

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("scripts", [True, False])
def test_a_person_signs_in_by_keyboard_and_out(
    site: Site, opened: Callable[..., Page], scripts: bool
):
    page = opened(scripts=scripts)
    page.goto("/?q=nothing")
    page.get_by_label("Email").focus()
    page.keyboard.type(site.emails[Role.READER])
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Projects")).to_be_visible()
    assert page.url.endswith("/?q=nothing")
    expect(page.get_by_text("No project has “nothing” in its path.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_search_narrows_the_list_while_it_is_typed(site: Site, opened: Callable[..., Page]):
    names = [site.tenant.project(name=name).path for name in ("orders", "returns")]
    page = opened()
    site.sign_in(page)
    for name in names:
        expect(page.get_by_role("link", name=str(name))).to_be_visible()
    page.get_by_label("Search by path").type("RETURN")
    expect(page.get_by_role("link", name=str(names[0]))).to_have_count(0)
    expect(page.get_by_role("link", name=str(names[1]))).to_be_visible()
    assert page.url.endswith("/?q=RETURN")
