"""A server as a process over a real Git server, and Debian's chromium.

A page that logs an error, breaks its policy or asks another host fails its test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    Request,
    sync_playwright,
)

from tests.browser.site import Site, new_site

CHROMIUM = "/usr/bin/chromium"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; it fails where it is missing."""
    assert Path(CHROMIUM).exists(), f"{CHROMIUM} is missing: install Debian's chromium"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(_ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Site]:
    """A server with a tenant; each test makes projects of its own."""
    with new_site(tmp_path_factory.mktemp("site"), sqlite_template) as made:
        yield made


@pytest.fixture
def own_site(tmp_path: Path, sqlite_template: Path) -> Iterator[Site]:
    """A server of this test alone, which it may end."""
    with new_site(tmp_path, sqlite_template) as made:
        yield made


@pytest.fixture
def own_page(chromium: Browser, own_site: Site) -> Iterator[Page]:
    """A window that shows the pages of it, and of what is served at its address later."""
    context = chromium.new_context(base_url=own_site.url)
    yield context.new_page()
    context.close()


@pytest.fixture
def opened(chromium: Browser, site: Site) -> Iterator[Callable[..., Page]]:
    """A function that opens a window of its own, such as another person's."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def on_message(message: ConsoleMessage) -> None:
        # That a form was refused is no problem of the page.
        refused = "Failed to load resource: the server responded with a status of 4"
        if message.type == "error" and not message.text.startswith(refused):
            problems.append(message.text)

    def on_error(error: Error) -> None:
        problems.append(str(error))

    def on_request(request: Request) -> None:
        if not request.url.startswith((site.url, "data:")):
            problems.append(f"asked {request.url}")

    def opened_window(*, width: int = 1280, dark: bool = False, scripts: bool = True) -> Page:
        context = chromium.new_context(
            base_url=site.url,
            viewport={"width": width, "height": 800},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", on_message)
        page.on("pageerror", on_error)
        page.on("request", on_request)
        return page

    yield opened_window
    for context in contexts:
        context.close()
    assert problems == []
