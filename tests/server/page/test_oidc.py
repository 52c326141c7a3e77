"""Signing in through a real OpenID Connect provider, and what goes wrong on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from fastapi.testclient import TestClient

from tests.control_plane import PASSWORD
from tests.server.page.browser import HtmlPage, PageClient
from towline_server.app import create_app
from towline_server.auth.oidc import OidcProvider
from towline_server.auth.roles import Role
from towline_server.page import DIALECT
from towline_server.settings import Settings

# The provider's own: it is not ours to mend.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

EMAIL = "someone@demo.example"
CALLBACK = "/ui/sign-in/oidc/callback"


@dataclass
class SignIn:
    """A provider, and a browser at this server's sign-in page."""

    provider: str
    client: TestClient

    def vouch(self, claims: Mapping[str, Any]) -> None:
        """Have the provider say this of its user."""
        self.answered(httpx2.put(f"{self.provider}/users/u-1", json=claims), 204)

    def begin(self, address: str = "/") -> str:
        """Follow the link of the sign-in page; where it leads."""
        shown = HtmlPage(self.client.get(f"/ui/sign-in?next={address}").text)
        [link] = [each for each in shown.links if "oidc" in each]
        return str(self.answered(self.client.get(link), 303).headers["location"])

    def consent(self, address: str) -> str:
        """Sign in at the provider; where it sends the browser back to."""
        answer = self.answered(httpx2.post(address, data={"sub": "u-1"}), 302)
        back = urlsplit(answer.headers["location"])
        assert back.path == CALLBACK
        return f"{back.path}?{back.query}"

    def answered(self, answer: httpx2.Response, status: int) -> httpx2.Response:
        """Return an answer that has this status."""
        assert answer.status_code == status, answer.text
        return answer


def _provider(url: str) -> OidcProvider:
    body = {"redirect_uris": [f"http://testserver{CALLBACK}"]}
    made = httpx2.post(f"{url}/oauth2/clients", json=body).json()
    return OidcProvider(
        issuer=url,
        client_id=made["client_id"],
        client_secret=made["client_secret"] or "",
        name="Keys",
    )


@pytest.fixture
def sign_in(site: PageClient, settings: Settings) -> Iterator[SignIn]:
    from oidc_provider_mock import run_server_in_thread

    with run_server_in_thread(require_client_registration=True) as server:
        url = f"http://localhost:{server.server_port}"
        oidc = _provider(url)
        services = replace(site.services, oidc=oidc)
        with services.database.writing() as session:
            services.identities(session).create_user(
                tenant_id=site.tenant.tenant_id,
                email=EMAIL,
                password=PASSWORD,
                tenant_role=Role.READER,
            )
        app = create_app(settings, services=services, dialects=[DIALECT])
        with TestClient(app, follow_redirects=False) as client:
            yield SignIn(provider=url, client=client)


def test_who_the_provider_vouches_for_is_signed_in(sign_in: SignIn):
    sign_in.vouch({"email": EMAIL.upper(), "email_verified": True})
    address = sign_in.begin("/ui/runs")
    asked = parse_qs(urlsplit(address).query)
    assert (asked["response_type"], asked["code_challenge_method"]) == (["code"], ["S256"])
    answer = sign_in.answered(sign_in.client.get(sign_in.consent(address)), 303)
    assert answer.headers["location"] == "/ui/runs"
    assert sign_in.client.get("/").status_code == 200
    assert "towline_oidc" not in sign_in.client.cookies


@pytest.mark.parametrize(
    ("claims", "problem"),
    [
        ({"email": EMAIL}, "not verified an email"),
        ({"email": EMAIL, "email_verified": False}, "not verified an email"),
        ({"email": EMAIL, "email_verified": "true"}, "not verified an email"),
        ({"email": "other@demo.example", "email_verified": True}, "no account here"),
        ({}, "not verified an email"),
    ],
)
def test_who_it_does_not_vouch_for_is_not(sign_in: SignIn, claims: Mapping[str, Any], problem: str):
    sign_in.vouch(claims)
    answer = sign_in.answered(sign_in.client.get(sign_in.consent(sign_in.begin())), 401)
    assert problem in answer.text
    assert sign_in.client.get("/").headers["location"].startswith("/ui/sign-in")


def test_a_sign_in_that_another_browser_began_is_refused(sign_in: SignIn):
    sign_in.vouch({"email": EMAIL, "email_verified": True})
    back = sign_in.consent(sign_in.begin())
    sign_in.client.cookies.clear()
    assert "expired" in sign_in.answered(sign_in.client.get(back), 401).text
    # Nor one after which the browser has begun another.
    sign_in.begin()
    assert "expired" in sign_in.answered(sign_in.client.get(back), 401).text


def test_a_code_counts_once(sign_in: SignIn):
    sign_in.vouch({"email": EMAIL, "email_verified": True})
    back = sign_in.consent(sign_in.begin())
    cookies = dict(sign_in.client.cookies)
    sign_in.answered(sign_in.client.get(back), 303)
    sign_in.client.cookies.clear()
    sign_in.client.cookies.update(cookies)
    assert "provider refused the sign-in" in sign_in.answered(sign_in.client.get(back), 401).text


def test_only_pages_of_this_server_follow(sign_in: SignIn):
    sign_in.vouch({"email": EMAIL, "email_verified": True})
    location = sign_in.client.get("/ui/sign-in/oidc?next=https://evil.example/").headers["location"]
    assert sign_in.client.get(sign_in.consent(location)).headers["location"] == "/"


def test_a_provider_that_is_away_is_a_503(site: PageClient, settings: Settings):
    oidc = OidcProvider(issuer="http://127.0.0.1:9", client_id="x", name="Keys")
    app = create_app(settings, services=replace(site.services, oidc=oidc), dialects=[DIALECT])
    with TestClient(app, follow_redirects=False) as client:
        answer = client.get("/ui/sign-in/oidc")
    assert (answer.status_code, "cannot be reached" in answer.text) == (503, True)


def test_without_a_provider_there_is_no_link(site: PageClient):
    assert "oidc" not in site.client.get("/ui/sign-in").text
    assert site.client.get("/ui/sign-in/oidc").status_code == 404
