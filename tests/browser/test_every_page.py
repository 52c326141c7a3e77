"""Every page, light and dark: nothing that axe finds, and no scrolling sideways at 360 px."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.pages import PAGES
from tests.browser.site import Site
from towline_server.auth.roles import Role

pytestmark = pytest.mark.browser

_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SHOTS = os.environ.get("SCREENSHOTS")
"""A folder to save what the browser shows, for who wants to look."""


@pytest.fixture(scope="module")
def ids(site: Site) -> Mapping[str, str]:
    return site.filled()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_and_no_page_scrolls_sideways(
    site: Site, opened: Callable[..., Page], ids: Mapping[str, str], dark: bool
):
    page = opened(dark=dark)
    _check(page, "sign in", "/ui/sign-in", dark=dark)
    site.sign_in(page, Role.ADMIN)
    for name, address in PAGES.items():
        _check(page, name, address.format_map(ids), dark=dark)


def _check(page: Page, name: str, address: str, *, dark: bool) -> None:
    page.goto(address)
    for width in (1280, 360):
        page.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(page, options=_RULES)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide at {width}"
        if SHOTS:
            file = f"{name.replace(' ', '-')}-{width}-{'dark' if dark else 'light'}.png"
            page.screenshot(path=Path(SHOTS) / file, full_page=True)
