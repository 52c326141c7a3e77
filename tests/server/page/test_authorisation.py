"""Role × route: every route of the page by every role, and by who is someone else.

What each asks of its visitor is in `tests.server.page.routes`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute

from tests.control_plane import new_key
from tests.databases import everything
from tests.server.page.browser import PageClient
from tests.server.page.filled import fill
from tests.server.page.routes import ROUTES, Needs
from tests.server.runs.git_tenant import GitTenant
from towline_server.auth.roles import Role
from towline_server.page import DIALECT

Ids = Mapping[str, str]


@pytest.fixture
def ids(site: PageClient) -> Ids:
    return fill(site, site.project).ids


def test_every_route_is_in_the_table():
    included: list[Any] = list(DIALECT.router.routes)
    routes = [route for each in included for route in each.original_router.routes]
    assert all(isinstance(route, APIRoute) for route in routes)
    found = {f"{method} {route.path}" for route in routes for method in route.methods}
    assert found == {route.partition("?")[0] for route in ROUTES}


def _ask(site: PageClient, route: str, ids: Ids) -> int:
    """The status of a route, for the visitor who is signed in; a stream is not read to its end."""
    method, address = route.split(" ")
    address = address.format_map({"name": "x", **ids})
    if method == "POST":
        return site.post(address).status_code
    return site.client.get(address).status_code


def _expected(needs: Needs, role: Role | None, *, of_tenant: bool) -> int:
    if needs.role is None:
        return 200
    if role is None:
        return 403 if needs.of_tenant else 404
    if needs.of_tenant and not of_tenant:
        return 403
    return needs.done if role.covers(needs.role) else 403


_GUARDED = {route: needs for route, needs in ROUTES.items() if not needs.open}


def test_who_is_not_signed_in_sees_nothing_and_changes_nothing(site: PageClient, ids: Ids):
    before = everything(site.services.database)
    for route in _GUARDED:
        method, address = route.split(" ")
        answer = site.client.request(method, address.format_map({"name": "x", **ids}))
        # A form without a session's token is refused before anything else.
        assert answer.status_code in ((303,) if method == "GET" else (303, 403)), route
        assert answer.status_code == 403 or answer.headers["location"].startswith("/ui/sign-in")
    assert everything(site.services.database) == before


@pytest.mark.parametrize("of_tenant", [False, True], ids=["of the project", "of the tenant"])
@pytest.mark.parametrize("role", [None, *Role])
def test_a_role_does_what_it_covers(site: PageClient, ids: Ids, role: Role | None, of_tenant: bool):
    key = site.key(role, site.project) if not of_tenant else site.key(role)
    site.sign_in(key)
    for route, needs in _GUARDED.items():
        expected = _expected(needs, role, of_tenant=of_tenant)
        if route.startswith("POST") and expected < 400:
            continue  # what it does is tested one by one
        if needs.of_tenant and expected == 403 and "{" in route:
            assert _ask(site, route, ids) in (403, 404), route
            continue
        assert _ask(site, route, ids) == expected, route


def test_what_is_another_tenants_is_not_there(site: PageClient, ids: Ids):
    tenant = site.tenant
    other = GitTenant(tenant.database, tenant.server, tenant.folder / "other")
    site.sign_in(new_key(site.services.database, other.tenant_id, Role.ADMIN))
    missing = {**ids, **{name: str(uuid4()) for name in ids if name.endswith("_id")}}
    before = everything(site.services.database)
    for route, needs in _GUARDED.items():
        if "{" in route:
            assert _ask(site, route, ids) == 404, route
            assert _ask(site, route, missing) == 404, route
        elif needs.role is None:
            address = route.split(" ")[1]
            assert ids["project_id"] not in site.client.get(address).text
    assert everything(site.services.database) == before


@pytest.mark.parametrize("role", list(Role))
def test_no_page_has_a_button_or_link_that_is_refused(site: PageClient, ids: Ids, role: Role):
    """Every form that a role is shown is one that its role covers."""
    patterns = {
        re.compile(
            re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.split(" ")[1].partition("?")[0]))
        ): needs
        for route, needs in ROUTES.items()
        if route.startswith("POST")
    }
    site.sign_in(site.key(role))
    waiting, seen = ["/"], set[str]()
    shown: set[str] = set()
    while waiting:
        address = waiting.pop()
        key = re.sub(r"[?#].*", "", address)
        if key in seen or not (key == "/" or key.startswith("/ui/")):
            continue
        seen.add(key)
        answer = site.client.get(address)
        assert answer.status_code in (200, 409), (address, answer.status_code)
        if answer.status_code != 200 or "html" not in answer.headers["content-type"]:
            continue
        page = site.get(address)
        waiting += [link for link in page.links if not link.startswith("#")]
        shown |= {form.action for form in page.forms if form.method == "POST"}
    for action in (each.partition("?")[0] for each in shown):
        # As requests are routed: the first one that fits.
        needs = next(needs for pattern, needs in patterns.items() if pattern.fullmatch(action))
        assert needs.role is None or role.covers(needs.role), action
    assert any(action.endswith("/runs") for action in shown) == role.covers(Role.WRITER)
    assert len(seen) > 12
