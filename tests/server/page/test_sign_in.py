"""Who is signed in, for how long, and which forms are taken."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, update

from tests.control_plane import PASSWORD
from tests.server.page.browser import HtmlPage, PageClient
from towline_server.audit.reading import AuditFilter, events
from towline_server.auth.roles import Role
from towline_server.auth.tables import SessionRow
from towline_server.page.rendering import HEADERS

EMAIL = "someone@demo.example"


def _user(site: PageClient) -> None:
    with site.services.database.writing() as session:
        site.services.identities(session).create_user(
            tenant_id=site.tenant.tenant_id,
            email=EMAIL,
            password=PASSWORD,
            name="Someone",
            tenant_role=Role.READER,
        )


def _cookie(site: PageClient) -> str:
    return str(site.client.cookies["towline_session"])


def test_a_password_or_a_key_begins_a_session_under_a_new_token(site: PageClient):
    _user(site)
    for given in ({"email": EMAIL, "password": PASSWORD}, {"key": site.keys[Role.READER]}):
        site.client.cookies.clear()
        shown = site.get("/ui/sign-in?next=/ui/x")
        before = _cookie(site)
        answer = site.client.post(
            "/ui/sign-in", data=dict(shown.forms[0].fields) | {"email": ""} | given
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/x")
        attributes = answer.headers["set-cookie"].lower()
        found = [part.strip() for part in attributes.split(";")[1:]]
        assert {"httponly", "samesite=lax"} <= set(found)
        assert "secure" not in found
        assert _cookie(site) != before
        assert str(site.project.path) in site.get("/").text


def test_over_tls_the_cookie_is_secure_and_this_hosts_alone(site: PageClient):
    answer = site.client.get("https://testserver/ui/sign-in")
    attributes = answer.headers["set-cookie"]
    assert attributes.startswith("__Host-towline_session=")
    assert "Secure" in attributes


def test_what_is_stored_is_not_the_token(site: PageClient):
    site.sign_in()
    with site.services.database.reading() as session:
        rows = session.scalars(select(SessionRow)).all()
    assert len(rows) == 1
    assert _cookie(site) not in str([vars(row) for row in rows])


def test_a_wrong_password_begins_none_and_too_many_are_refused(site: PageClient):
    _user(site)
    shown = site.get("/ui/sign-in")
    wrong = dict(shown.forms[0].fields) | {"email": EMAIL, "password": "not the password"}
    statuses = [site.client.post("/ui/sign-in", data=wrong).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    right = site.client.post("/ui/sign-in", data=wrong | {"password": PASSWORD})
    assert right.status_code == 429
    assert "Try again in" in right.text
    assert EMAIL in right.text
    assert PASSWORD not in right.text
    assert site.ask("/", 303).headers["location"] == "/ui/sign-in"


def test_signing_out_ends_the_session_itself(site: PageClient):
    site.sign_in()
    token = _cookie(site)
    site.send(site.get("/"), "/ui/sign-out")
    site.client.cookies.set("towline_session", token)
    assert site.ask("/", 303).headers["location"] == "/ui/sign-in"


def test_signing_in_and_out_and_a_wrong_password_are_in_the_audit_log(site: PageClient):
    _user(site)
    shown = site.get("/ui/sign-in")
    given = dict(shown.forms[0].fields) | {"email": EMAIL, "password": "not the password"}
    site.client.post("/ui/sign-in", data=given)
    site.client.post("/ui/sign-in", data=given | {"email": "a pasted password"})
    site.client.post("/ui/sign-in", data=given | {"password": PASSWORD})
    site.send(site.get("/"), "/ui/sign-out")
    with site.services.database.reading() as session:
        found = events(session, AuditFilter(order="oldest"), 10)
    shown_ids = {each.subject for each in found}
    assert [(each.action, each.actor_name) for each in found] == [
        ("session.refused", ""),
        ("session.refused", ""),
        ("session.begun", "Someone"),
        ("session.ended", "Someone"),
    ]
    assert found[1].tenant_id is None
    assert len(shown_ids - {None}) == 1
    assert "password" not in str([(each.detail, each.subject) for each in found])


def test_an_expired_session_or_a_disabled_identity_signs_in_again_and_comes_back(site: PageClient):
    for end in (_expire, _disable):
        site.sign_in()
        shown = site.get("/?q=x")
        end(site)
        away = site.ask("/ui/nothing", 404)
        assert "Not Found" in away.text
        assert site.ask("/?q=x", 303).headers["location"] == "/ui/sign-in?next=%2F%3Fq%3Dx"
        htmx = {"HX-Request": "true", "HX-Current-URL": "http://testserver/?q=x"}
        part = site.client.get("/", headers=htmx)
        assert (part.status_code, part.headers["hx-redirect"]) == (
            401,
            "/ui/sign-in?next=%2F%3Fq%3Dx",
        )
        assert shown.forms


def _expire(site: PageClient) -> None:
    with site.services.database.writing() as session:
        session.execute(update(SessionRow).values(expires_at=datetime.now(UTC)))


def _disable(site: PageClient) -> None:
    with site.services.database.writing() as session:
        identity = session.scalars(
            select(SessionRow.identity_id).where(SessionRow.expires_at > datetime.now(UTC))
        ).one()
        site.services.identities(session).disable(identity)


def test_a_new_password_ends_the_sessions_of_the_old_one(site: PageClient):
    _user(site)
    shown = site.get("/ui/sign-in")
    given = {"email": EMAIL, "password": PASSWORD}
    site.client.post("/ui/sign-in", data=dict(shown.forms[0].fields) | given)
    with site.services.database.writing() as session:
        identities = site.services.identities(session)
        account = identities.by_email(EMAIL)
        assert account is not None
        identities.set_password(account.principal.id, f"{PASSWORD} again")
    site.ask("/", 303)


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "/api/x", "ui/x"]
)
def test_signing_in_leads_to_this_page_alone(site: PageClient, elsewhere: str):
    shown = site.client.get("/ui/sign-in", params={"next": elsewhere})
    fields = dict(HtmlPage(shown.text).forms[0].fields)
    assert fields["next"] == "/"
    answer = site.client.post(
        "/ui/sign-in", data=fields | {"next": elsewhere, "key": site.keys[Role.READER]}
    )
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({}, "0" * 64),
        ({"Origin": "https://evil.example"}, None),
        ({"Origin": "null"}, None),
        ({"Sec-Fetch-Site": "cross-site"}, None),
        ({"Sec-Fetch-Site": "same-site"}, None),
    ],
)
@pytest.mark.parametrize("address", ["/ui/sign-in", "/ui/sign-out"])
def test_a_form_of_another_site_changes_nothing(
    site: PageClient, address: str, headers: dict[str, str], token: str | None
):
    site.sign_in()
    right = dict(site.get("/").form("/ui/sign-out").fields)["csrf"]
    data = {"csrf": right if token is None else token, "key": site.keys[Role.READER]}
    before = _cookie(site)
    answer = site.client.post(address, data=data, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert _cookie(site) == before
    site.ask("/")


def test_no_page_is_framed_cached_or_takes_scripts_from_elsewhere(site: PageClient):
    pages = [site.client.get("/ui/sign-in"), site.client.get("/ui/nothing")]
    site.sign_in()
    pages.append(site.client.get("/"))
    for answer in pages:
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["x-content-type-options"] == "nosniff"
        for tag, given in HtmlPage(answer.text).tags:
            assert not [name for name in given if name.startswith("on") or name == "style"]
            assert tag != "style"
            assert tag != "script" or given["src"].startswith("/ui/static/")


def test_the_first_load_is_three_small_requests(site: PageClient):
    site.sign_in()
    first = site.client.get("/")
    found = HtmlPage(first.text).tags
    loaded = [each["src"] for tag, each in found if tag == "script"]
    loaded += [
        each["href"] for tag, each in found if tag == "link" and not each["href"].startswith("data")
    ]
    assert len(loaded) == 2
    size = len(first.content)
    for url in loaded:
        with site.client.stream("GET", url, headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.headers["cache-control"].endswith("immutable")
            size += sum(map(len, answer.iter_raw()))
        again = site.client.get(url, headers={"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert size < 100_000
