"""The forms that credentials come in, as FastAPI dependencies.

A dialect names the forms that it accepts, and gets one dependency that returns the principal,
is in the OpenAPI document, and refuses everything else with `Unauthenticated`.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from enum import StrEnum
from inspect import Parameter, Signature
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request, Security
from fastapi.openapi.models import APIKey, HTTPBase
from fastapi.security.base import SecurityBase

from towline.errors import TowlineError
from towline_server.auth.authenticator import Authenticator
from towline_server.auth.keys import KEY_PREFIX
from towline_server.auth.roles import Principal
from towline_server.errors import Forbidden, Unauthenticated
from towline_server.services import services_of

from .limits import address_of

COOKIE = "vai_token"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Form(StrEnum):
    """A form that a credential comes in."""

    BASIC_PASSWORD = "basic_password"  # noqa: S105 - the name of a form
    """``Authorization: Basic base64(email:password)``"""
    BASIC_KEY = "basic_key"
    """``Authorization: Basic base64(key)``"""
    BEARER_JWT = "bearer_jwt"
    """``Authorization: Bearer JWT``"""
    BEARER_TOKEN_JWT = "bearer_token_jwt"  # noqa: S105 - the name of a form
    """``Authorization: Bearer Token JWT``"""
    BEARER_KEY = "bearer_key"
    """``Authorization: Bearer KEY``"""
    X_API_KEY = "x_api_key"
    """``X-API-Key: KEY``"""
    NECTED_API_KEY = "nected_api_key"
    """``Nected-API-Key: KEY``"""
    OPERATOR_TOKEN = "operator_token"  # noqa: S105 - the name of a form
    """``Authorization: Bearer TOKEN``, of the operator's settings."""
    COOKIE = "cookie"
    """``Cookie: vai_token=JWT``, or a key."""


_BASIC = frozenset({Form.BASIC_PASSWORD, Form.BASIC_KEY})
_BEARER = frozenset({Form.BEARER_JWT, Form.BEARER_TOKEN_JWT, Form.BEARER_KEY, Form.OPERATOR_TOKEN})
_HEADERS = {Form.X_API_KEY: "X-API-Key", Form.NECTED_API_KEY: "Nected-API-Key"}


class _Scheme(SecurityBase):
    """A security scheme of the OpenAPI document; it checks nothing by itself."""

    def __init__(self, name: str, model: HTTPBase | APIKey) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        """Do nothing: the dependency that names the scheme verifies."""


def _api_key(where: str, name: str) -> APIKey:
    return APIKey.model_validate({"type": "apiKey", "in": where, "name": name})


_SCHEMES = {
    "basic": _Scheme("basic", HTTPBase(scheme="basic")),
    "bearer": _Scheme("bearer", HTTPBase(scheme="bearer")),
    "x_api_key": _Scheme("x_api_key", _api_key("header", "X-API-Key")),
    "nected_api_key": _Scheme("nected_api_key", _api_key("header", "Nected-API-Key")),
    "cookie": _Scheme("cookie", _api_key("cookie", COOKIE)),
}


def authenticated(*forms: Form) -> Callable[..., Principal]:
    """Return a dependency that returns the principal of a request, from one of these forms.

    Use it as ``caller: Annotated[Principal, Depends(authenticated(Form.X_API_KEY))]``.
    """
    taken = frozenset(forms)

    def principal(request: Request, **_schemes: Any) -> Principal:
        return authenticate(request, taken)

    # FastAPI reads the signature; the schemes in it put the forms into the OpenAPI document.
    parameters = [Parameter("request", Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)]
    parameters += [
        Parameter(name, Parameter.KEYWORD_ONLY, default=Security(_SCHEMES[name]))
        for name in dict.fromkeys(_scheme_of(form) for form in forms)
    ]
    principal.__signature__ = Signature(parameters)  # type: ignore[attr-defined] # a function's is settable
    return principal


def authenticate(request: Request, forms: frozenset[Form]) -> Principal:
    """Return the principal of a request, which is verified once for the same forms.

    It reads the database and may verify a password: call it in a thread.

    Raises:
        Unauthenticated: no credential, one in another form, two where one belongs, or a bad one.
        Forbidden: a cookie in a request that another site may have caused.
        TooManyRequests: too many wrong passwords lately.
    """
    known: dict[frozenset[Form], Principal | TowlineError]
    known = getattr(request.state, "callers", {})
    if forms not in known:
        # A refusal is remembered too: a wrong password counts, and costs, once.
        known = {**known, forms: _outcome(request, forms)}
        request.state.callers = known
    outcome = known[forms]
    if isinstance(outcome, TowlineError):
        raise outcome
    return outcome


def _outcome(request: Request, forms: frozenset[Form]) -> Principal | TowlineError:
    try:
        return _verify(request, forms, services_of(request).authenticator)
    except Unauthenticated as error:
        challenges = tuple(dict.fromkeys(_challenge(form) for form in sorted(forms)))
        return Unauthenticated(problem=error.problem, challenges=challenges)
    except TowlineError as error:
        return error


def _verify(request: Request, forms: frozenset[Form], verifier: Authenticator) -> Principal:
    """Verify the first credential that is present; no other makes up for a bad one."""
    if forms & (_BASIC | _BEARER) and (given := _only(request, "Authorization")) is not None:
        return _from_authorization(given, forms, verifier, address_of(request.scope))
    for form, header in _HEADERS.items():
        if form in forms and (key := _only(request, header)) is not None:
            return verifier.by_key(key.strip())
    if Form.COOKIE in forms and (cookie := request.cookies.get(COOKIE)):
        refuse_other_sites(request)
        is_key = cookie.startswith(KEY_PREFIX)
        return verifier.by_key(cookie) if is_key else verifier.by_token(cookie)
    raise Unauthenticated


def _from_authorization(
    header: str, forms: frozenset[Form], verifier: Authenticator, address: str
) -> Principal:
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        return _from_basic(value, forms, verifier, address)
    if scheme.lower() != "bearer":
        raise Unauthenticated
    if Form.OPERATOR_TOKEN in forms and (operator := verifier.by_operator_token(value)):
        return operator
    word, space, rest = value.partition(" ")
    if space and word.lower() == "token" and Form.BEARER_TOKEN_JWT in forms:
        return verifier.by_token(rest.strip())
    if value.startswith(KEY_PREFIX) and Form.BEARER_KEY in forms:
        return verifier.by_key(value)
    if Form.BEARER_JWT in forms and not value.startswith(KEY_PREFIX):
        return verifier.by_token(value)
    raise Unauthenticated


def _from_basic(
    value: str, forms: frozenset[Form], verifier: Authenticator, address: str
) -> Principal:
    try:
        text = b64decode(value, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError):
        raise Unauthenticated from None
    name, _, password = text.partition(":")
    if name.startswith(KEY_PREFIX) and not password and Form.BASIC_KEY in forms:
        return verifier.by_key(name)
    if Form.BASIC_PASSWORD in forms and password:
        return verifier.by_password(name, password, address)
    raise Unauthenticated


def _only(request: Request, header: str) -> str | None:
    values = request.headers.getlist(header)
    if len(values) > 1:
        # A proxy and this server might each use another one.
        raise Unauthenticated
    return values[0] if values else None


def refuse_other_sites(request: Request) -> None:
    """Refuse a cookie that came with a change that another site caused.

    Raises:
        Forbidden: the request's page is another site's.
    """
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc != request.headers.get("host")
    if foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise Forbidden(problem="a cookie is not accepted from another site's page")


def _scheme_of(form: Form) -> str:
    if form in _BASIC:
        return "basic"
    return "bearer" if form in _BEARER else str(form)


def _challenge(form: Form) -> str:
    if form in _BASIC:
        return 'Basic realm="towline", charset="UTF-8"'
    if form in _BEARER:
        return 'Bearer realm="towline"'
    return f'ApiKey realm="towline", name="{_HEADERS.get(form, COOKIE)}"'
