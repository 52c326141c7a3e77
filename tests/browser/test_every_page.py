"""Every page, light and dark: nothing that axe finds, and no scrolling sideways at 360 px."""

from __future__ import annotations

import os
from base64 import b64decode
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.pages import PAGES, WIDTHS, screenshot
from tests.browser.site import Site
from towline_server.auth.roles import Role

pytestmark = pytest.mark.browser

_RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
SHOTS = os.environ.get("SCREENSHOTS")
"""The folder of the documents' screenshots, where they are to be taken again."""


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
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found = Axe().run(page, options=_RULES)
        assert found.violations_count == 0, f"{name}: {found.generate_report()}"
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide at {width}"
        if SHOTS:
            _take(page, Path(SHOTS) / screenshot(name, width, dark=dark))


def _take(page: Page, file: Path) -> None:
    """Save what the window shows, as WebP: a tenth of a PNG."""
    made = page.context.new_cdp_session(page).send(
        "Page.captureScreenshot", {"format": "webp", "quality": 60}
    )
    file.write_bytes(b64decode(made["data"]))
