"""A browser without scripts: it has cookies, follows redirects and sends the forms of pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from tests.control_plane import new_key
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.services import Services


@dataclass
class HtmlForm:
    """A form of a page."""

    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    """The hidden and filled fields, in their order; checkboxes only where they are checked."""
    buttons: list[tuple[str, str]] = field(default_factory=list)
    """The buttons that have a name, with their values."""


@dataclass
class _OpenField:
    """A select or a textarea that has not ended yet."""

    name: str
    is_text: bool
    value: str | None = None


class HtmlPage(HTMLParser):
    """What is on a page: its forms, links and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[HtmlForm] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: _OpenField | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        self._begin(tag, given)
        if tag == "a":
            self.links.append(given.get("href", ""))
        elif tag == "form":
            method = given.get("method", "get").upper()
            self.forms.append(HtmlForm(given.get("action", ""), method))
        elif self.forms and tag in ("input", "button") and given.get("name"):
            self._take(tag, given)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("select", "textarea") and self._open is not None:
            if self._open.name and self.forms:
                self.forms[-1].fields.append((self._open.name, self._open.value or ""))
            self._open = None

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._open is not None and self._open.is_text:
            # A newline right after the tag is not part of it.
            self._open.value = (self._open.value or "") + data if self._open.value else data[1:]

    def _begin(self, tag: str, given: dict[str, str]) -> None:
        """Take what a select or a textarea will send."""
        if tag in ("select", "textarea"):
            self._open = _OpenField(given.get("name", ""), is_text=tag == "textarea")
        elif tag == "option" and (found := self._open) is not None:
            is_first = found.value is None
            found.value = given.get("value", "") if is_first or "selected" in given else found.value

    def _take(self, tag: str, given: dict[str, str]) -> None:
        named = (given["name"], given.get("value", ""))
        if tag == "button":
            self.forms[-1].buttons.append(named)
        elif given.get("type") not in ("checkbox", "radio") or "checked" in given:
            self.forms[-1].fields.append(named)

    @property
    def inputs(self) -> dict[str, dict[str, str]]:
        """The attributes of its fields, by their names."""
        tags = ("input", "select", "textarea")
        return {given["name"]: given for tag, given in self.tags if tag in tags and "name" in given}

    def form(self, action: str) -> HtmlForm:
        """The form that is sent to an address."""
        return next(form for form in self.forms if form.action == action)

    @property
    def actions(self) -> set[str]:
        """Where its forms that change something are sent to."""
        return {form.action for form in self.forms if form.method == "POST"}


@dataclass
class PageClient:
    """A tenant with a project and an identity of each role, and a browser."""

    runner: Runner
    services: Services
    client: TestClient
    project: Project = field(init=False)
    keys: dict[Role | None, str] = field(init=False)
    """API keys by their role on the project alone; that of None has no role at all."""

    def __post_init__(self) -> None:
        self.project = self.tenant.project(name="project")
        self.keys = {role: self.key(role, self.project) for role in (None, *Role)}

    @property
    def tenant(self) -> GitTenant:
        return self.runner.tenant

    @property
    def url(self) -> str:
        """The project's address."""
        return f"/ui/projects/{self.project.id}"

    def key(self, role: Role | None, project: Project | None = None, *, name: str = "") -> str:
        """An API key: with a role on the project, or on the whole tenant."""
        return new_key(self.services.database, self.tenant.tenant_id, role, project, name=name)

    def sign_in(self, key: str | None = None) -> None:
        """Sign in with a key, by default that of the project's administrator."""
        self.client.cookies.clear()
        form = self.get("/ui/sign-in").forms[-1]
        answer = self.client.post(
            form.action, data=dict(form.fields) | {"key": key or self.keys[Role.ADMIN]}
        )
        assert answer.status_code == 303, answer.text

    def get(self, url: str, status: int = 200) -> HtmlPage:
        """A page."""
        return HtmlPage(self.ask(url, status).text)

    def ask(self, url: str, status: int = 200) -> Response:
        answer = self.client.get(url)
        assert answer.status_code == status, (url, answer.status_code, answer.text[:2000])
        return answer

    def send(self, page: HtmlPage, action: str, status: int = 303, **values: Any) -> Response:
        """Send a form of a page, with some of its fields filled in."""
        form = page.form(action)
        data: dict[str, Any] = {}
        for name, value in form.fields:
            data.setdefault(name, []).append(value)
        answer = self.client.post(action, data={**data, **values})
        assert answer.status_code == status, (action, answer.status_code, answer.text[:2000])
        return answer

    def post(self, url: str, values: Mapping[str, Any] | None = None) -> Response:
        """Send a form that is on no page, with the session's token."""
        page = self.get("/")
        token = dict(page.form("/ui/sign-out").fields)["csrf"]
        return self.client.post(url, data={"csrf": token, **(values or {})})
