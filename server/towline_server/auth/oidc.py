"""Sign in through an OpenID Connect provider: the authorization code flow, with PKCE.

A provider is found by discovery (OpenID Connect Discovery 1.0). It makes no accounts: who it
vouches for is the user of this server who has the email address that it has verified.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlencode

import httpx2

from towline.frozen import frozen
from towline_server.errors import Unauthenticated, Unavailable

from .tokens import KeySet, TokenVerifier, body_of, from_url

_DISCOVERY = "/.well-known/openid-configuration"
_SECONDS = 10.0


@frozen(kw_only=True)
class Pending:
    """A sign-in that has begun; the browser has it until the provider sends it back."""

    state: str
    nonce: str
    verifier: str
    address: str
    """The page to look at then."""

    @classmethod
    def new(cls, address: str) -> Pending:
        """Return a sign-in that begins, of random values."""
        return cls(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            address=address,
        )

    @property
    def challenge(self) -> str:
        """The verifier's hash, as PKCE sends it ahead (RFC 7636, S256)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@frozen(kw_only=True)
class _Endpoints:
    authorization: str
    token: str
    user_info: str | None
    """Where it has the claims that its tokens may lack."""
    keys: KeySet
    methods: tuple[str, ...]
    """How a client may authenticate at the token endpoint."""


@dataclass(slots=True, kw_only=True)
class OidcProvider:
    """An OpenID Connect provider, and this server as its client."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False, default="")
    """Empty: a public client, for whom PKCE is enough."""
    name: str
    """What the link on the sign-in page calls it."""
    _found: _Endpoints | None = field(default=None, init=False)
    _lock: Lock = field(default_factory=Lock, init=False)

    def begin(self, pending: Pending, redirect_uri: str) -> str:
        """Return the address at the provider to which a browser is sent. Raises Unavailable."""
        given = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid email",
            "state": pending.state,
            "nonce": pending.nonce,
            "code_challenge": pending.challenge,
            "code_challenge_method": "S256",
        }
        address = self._endpoints().authorization
        return f"{address}{'&' if '?' in address else '?'}{urlencode(given)}"

    def email(self, code: str, pending: Pending, redirect_uri: str) -> str:
        """Return the verified email address of who signed in there.

        Raises:
            Unauthenticated: the provider refuses the code, or has not verified an address.
            Unavailable: the provider cannot be reached.
        """
        endpoints = self._endpoints()
        given = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pending.verifier,
        }
        basic = None
        if self.client_secret and "client_secret_basic" in endpoints.methods:
            basic = (self.client_id, self.client_secret)
        else:
            given["client_id"] = self.client_id
            if self.client_secret:
                given["client_secret"] = self.client_secret
        answer = _request("POST", endpoints.token, data=given, auth=basic)
        verifier = TokenVerifier(
            keys=endpoints.keys, issuer=self.issuer, audience=self.client_id, leeway_seconds=60
        )
        claims = verifier.claims(str(answer.get("id_token", "")))
        if claims.get("nonce") != pending.nonce:
            raise Unauthenticated(problem="the token belongs to another sign-in")
        if "email" not in claims and endpoints.user_info is not None:
            claims = self._user_info(endpoints.user_info, answer, claims)
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is not True:
            # An address that is not verified may be anybody's.
            raise Unauthenticated(problem=f"{self.name} has not verified an email address")
        return email

    def _user_info(
        self, address: str, answer: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the claims that the provider has beside the token."""
        headers = {"Authorization": f"Bearer {answer.get('access_token', '')}"}
        found = _request("GET", address, headers=headers)
        if found.get("sub") != claims["sub"]:
            raise Unauthenticated(problem="the claims belong to someone else")
        return found

    def _endpoints(self) -> _Endpoints:
        with self._lock:
            if self._found is None:
                self._found = self._discovered()
            return self._found

    def _discovered(self) -> _Endpoints:
        document = _request("GET", self.issuer.rstrip("/") + _DISCOVERY)
        try:
            if document["issuer"] != self.issuer:
                raise ValueError("it is of another issuer")
            methods = document.get("token_endpoint_auth_methods_supported")
            return _Endpoints(
                authorization=str(document["authorization_endpoint"]),
                token=str(document["token_endpoint"]),
                user_info=document.get("userinfo_endpoint"),
                keys=KeySet(from_url(str(document["jwks_uri"]))),
                # The standard's default.
                methods=tuple(methods or ("client_secret_basic",)),
            )
        except (KeyError, ValueError, TypeError) as error:
            problem = f"the provider's discovery document is not usable: {error}"
            raise Unavailable(problem=problem) from None


def _request(method: str, url: str, **given: Any) -> Mapping[str, Any]:
    """Request JSON from the provider.

    Raises:
        Unauthenticated: it refuses the request.
        Unavailable: it cannot be reached, or answers something else.
    """
    try:
        with httpx2.stream(
            method, url, timeout=_SECONDS, follow_redirects=False, **given
        ) as response:
            body = body_of(response)
        if 400 <= response.status_code < 500:
            # Its words may quote the request, and so a secret.
            raise Unauthenticated(problem="the provider refused the sign-in")
        answer = json.loads(body)
        if response.status_code != 200 or not isinstance(answer, dict):
            raise ValueError(f"status {response.status_code}")
    except (OSError, ValueError, httpx2.HTTPError):
        raise Unavailable(problem="the sign-in provider cannot be reached now") from None
    return answer
