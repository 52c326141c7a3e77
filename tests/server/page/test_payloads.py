"""No script that a name, path, content or message has is part of a page."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import quote

from markupsafe import escape

from tests.server.page.browser import HtmlPage, PageClient
from tests.server.page.filled import Texts, fill
from tests.server.page.payloads import PAYLOADS
from tests.server.page.routes import ROUTES
from towline.kinds import Kind, Kinds
from towline.names import path_problem
from towline_server.auth.roles import Role

_ALLOWED = {"hx-get", "hx-trigger", "hx-select", "hx-target", "hx-push-url", "hx-ext", "hx-swap"}
_ALLOWED |= {"sse-connect", "sse-swap", "sse-close"}
_HREFS = ("/", "#", "?", "data:image/svg+xml,")


def active(text: str) -> list[str]:
    """What of a page runs or loads something that the page's own templates have not."""
    return list(_active(HtmlPage(text).tags))


def _active(tags: Iterable[tuple[str, dict[str, str]]]) -> Iterable[str]:
    made = {"script", "link", "meta", "style", "img", "svg", "iframe", "object", "embed", "base"}
    for tag, given in tags:
        source = given.get("src", given.get("href", ""))
        is_own = (
            (tag == "script" and source.startswith("/ui/static/"))
            or (tag == "link" and source.startswith(("/ui/static/", "data:image/svg+xml,")))
            or tag == "meta"
        )
        if (tag in made or tag in ("video", "audio", "math", "marquee", "b")) and not is_own:
            yield f"<{tag}>"
        if tag == "meta" and "http-equiv" in given and given.get("content") != "5":
            yield f"<meta {given}>"
        for name, value in given.items():
            is_odd = name.startswith(("hx-", "data-hx", "sse-")) and name not in _ALLOWED
            if name.startswith("on") or name in ("style", "srcdoc") or is_odd:
                yield f"<{tag} {name}>"
            address = name in ("href", "action", "formaction", "src", "hx-get", "sse-connect")
            if address and value and not value.startswith(_HREFS):
                yield f"<{tag} {name}={value}>"


def _usable(payload: str) -> str:
    """A payload as a name in a path, where it is one."""
    name = payload.replace("/", "∕").replace("\\", "∖")
    return name if path_problem(name) is None else "x"


def test_no_page_of_a_project_has_what_its_names_and_contents_say(site: PageClient):
    """Stored: in paths, contents, names of identities, and descriptions."""
    texts = [
        Texts(folder=f"{number} {_usable(payload)}", content=payload, webhook=payload)
        for number, payload in enumerate(PAYLOADS)
    ]
    project = site.tenant.project(name=_usable(PAYLOADS[0]))
    filled = fill(site, project, *texts)
    site.sign_in(site.key(Role.ADMIN, name=PAYLOADS[1]))
    shown, of_assets = "", [route for route in ROUTES if "{asset_id}" in route]
    for route, needs in ROUTES.items():
        # What is open shows nothing of a project.
        if not route.startswith("GET") or needs.open or route.endswith("/events"):
            continue
        # Each asset on one of the pages that show one: they have one template.
        part = of_assets.index(route) if route in of_assets else len(filled.asset_ids) - 1
        for asset_id in filled.asset_ids[part :: len(of_assets)]:
            address = route.removeprefix("GET ").format_map({**filled.ids, "asset_id": asset_id})
            for page in ("", "&page=2", "&page=3") if address == site.url else ("",):
                answer = site.client.get(address + page)
                assert answer.status_code in (200, 303, 409), address
                if answer.status_code == 303:
                    continue
                if "html" not in answer.headers["content-type"]:
                    assert answer.headers["x-content-type-options"] == "nosniff"
                    continue
                assert active(answer.text) == [], (address, answer.text)
                shown += answer.text
    assert [each for each in texts if str(escape(each.folder)) not in shown] == []


def test_names_of_projects_and_kinds_are_escaped(site: PageClient):
    names = [each for each in map(_usable, PAYLOADS) if each != "x"]
    for payload in names:
        kinds = Kinds((Kind(name=payload, globs=("**",)),))
        site.tenant.project(name=payload, kinds=kinds)
    site.sign_in(site.key(Role.READER))
    text = site.client.get("/").text
    assert active(text) == []
    assert [each for each in names if text.count(str(escape(each))) < 2] == []
    assert len(names) > 50


def test_no_page_has_what_an_address_or_a_form_says(site: PageClient):
    """Reflected: in queries, paths and fields."""
    site.sign_in()
    for payload in PAYLOADS:
        given = dict.fromkeys(("q", "state", "kind", "under", "list", "next", "page"), payload)
        for address in ("/", site.url, "/ui/runs", f"{site.url}/plans", "/ui/sign-in"):
            for query in (given, {**given, "page": "1"}):
                text = site.client.get(address, params=query).text
                assert active(text) == [], (payload, address)
        text = site.client.get(f"/ui/{quote(payload)}").text
        assert active(text) == [], payload
        bad = {"on_conflict": payload, "id": payload, "mode": payload}
        assert active(site.post(f"{site.url}/runs", bad).text) == [], payload
    site.client.cookies.clear()
    form = site.get("/ui/sign-in").forms[0]
    for payload in PAYLOADS[:8]:
        fields = dict(form.fields) | {"email": payload, "password": payload, "next": payload}
        assert active(site.client.post("/ui/sign-in", data=fields).text) == [], payload


def test_no_form_that_is_refused_comes_back_with_what_it_says(site: PageClient):
    site.sign_in(site.key(Role.ADMIN))
    names = [
        *("name", "email", "path", "project", "url", "kinds", "own_kinds", "binding.ref"),
        *("config.items", "config.parameters", "tenant_role", "cron", "description", "event"),
        *("timezone", "every_seconds", "kind"),
    ]
    pages = [
        *("people/new", "keys/new?days=x", "new-project", "webhooks/new"),
        *("connections/new?provider=http_api", f"projects/{site.project.id}/settings"),
        f"projects/{site.project.id}/schedules/new",
    ]
    for payload in PAYLOADS:
        given = {**dict.fromkeys(names, payload), "days": payload, "kinds": "own", "do": "preview"}
        for page in pages:
            answer = site.post(f"/ui/{page}", given)
            assert answer.status_code in (400, 422), page
            assert active(answer.text) == [], (page, payload)
        for query in ("action", "actor", "subject", "since"):
            text = site.client.get("/ui/audit", params={query: payload}).text
            assert active(text) == [], (query, payload)


def test_no_preview_or_connection_has_what_its_names_say(site: PageClient):
    """Stored: paths of a repository that no project has yet, names of connections and of kinds."""
    paths = {f"{number} {_usable(payload)}/a.json" for number, payload in enumerate(PAYLOADS)}
    site.tenant.repository.commit(dict.fromkeys(paths, b"{}"))
    site.sign_in(site.key(Role.ADMIN))
    connection_id, at = site.project.bound.connection_id, f"{site.url}/settings"
    for payload in PAYLOADS:
        with site.services.database.writing() as session:
            site.services.connections(session).rename(connection_id, payload)
        for address in ("", f"/{connection_id}", f"/{connection_id}/delete"):
            text = site.ask(f"/ui/connections{address}").text
            assert active(text) == [], (address, payload)
            assert str(escape(payload)) in text, (address, payload)
    kinds = [{"name": payload, "globs": ["**"]} for payload in PAYLOADS if payload.isprintable()]
    given = {"kinds": "own", "own_kinds": json.dumps(kinds), "do": "preview"}
    shown = site.send(site.get(at), at, 200, **given).text
    assert active(shown) == []
    assert [path for path in paths if str(escape(path)) not in shown] == []
    for payload in PAYLOADS:
        # Refused as no name of a branch, or not found.
        refused = site.post(at, {**given, "binding.ref": f"heads/{payload}"})
        assert refused.status_code in (200, 422), payload
        assert active(refused.text) == [], payload


def test_it_would_find_each_payload_that_is_not_escaped():
    harmless = {"javascript:alert(1)", "JaVaScRiPt:alert(1)"}
    harmless |= {each for each in PAYLOADS if each.startswith(('"', "'", "data:"))}
    for payload in PAYLOADS:
        # As it is in a text; as the value of an attribute.
        found = active(f"<p>{payload}</p>") or active(f"<a href=\"{payload}\" title='{payload}'>")
        assert found or payload in harmless, payload
