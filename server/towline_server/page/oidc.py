"""``/ui/sign-in/oidc``: a sign-in at an OpenID Connect provider, and the way back."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from hmac import compare_digest

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from towline_server.audit.actor import identified
from towline_server.auth.oidc import OidcProvider, Pending
from towline_server.auth.roles import Principal
from towline_server.errors import NotFound, Unauthenticated
from towline_server.services import Services, services_of

from .sign_in import begin_session, shown
from .visitor import SIGN_IN, drop_cookie, local, set_cookie

router = APIRouter()

_COOKIE = "towline_oidc"
_PATH = f"{SIGN_IN}/oidc"
_SECONDS = 600
"""How long a sign-in at the provider may take."""


@router.get(_PATH)
def begin(request: Request, next: str = "/") -> Response:  # noqa: A002 - a query's name
    """Send the browser to the provider. Raises NotFound, Unavailable."""
    pending = Pending.new(local(next))
    address = _provider(services_of(request)).begin(pending, _back(request))
    response = RedirectResponse(address, status_code=303)
    value = base64.urlsafe_b64encode(json.dumps(asdict(pending)).encode()).decode()
    set_cookie(request, response, _COOKIE, value, _SECONDS, _PATH)
    return response


@router.get(f"{_PATH}/callback")
def end(request: Request, state: str = "", code: str = "") -> Response:
    """Begin a session for whom the provider vouches for. Raises NotFound, Unavailable."""
    services = services_of(request)
    provider = _provider(services)
    try:
        pending = _pending(request, state)
        caller = _user(services, provider.email(code, pending, _back(request)))
    except Unauthenticated as error:
        response = shown(request, "/", problem=error.problem, status=401)
    else:
        response = begin_session(request, caller, local(pending.address))
    drop_cookie(request, response, _COOKIE, _PATH)
    return response


def _provider(services: Services) -> OidcProvider:
    if services.oidc is None:
        raise NotFound(what="page")
    return services.oidc


def _pending(request: Request, state: str) -> Pending:
    """Return the sign-in that this browser began. Raises Unauthenticated."""
    try:
        value = base64.urlsafe_b64decode(request.cookies.get(_COOKIE, ""))
        pending = Pending(**json.loads(value))
        if compare_digest(pending.state.encode(), state.encode()):
            return pending
    except (ValueError, TypeError, AttributeError):
        pass  # the cookie is gone, or someone has changed it
    raise Unauthenticated(problem="this sign-in has expired; try again")


def _user(services: Services, email: str) -> Principal:
    with services.database.reading() as session:
        account = services.identities(session).by_email(email)
    if account is None:
        raise Unauthenticated(problem=f"no account here has the address {email}")
    caller = account.principal
    identified(caller.kind, caller.id, caller.name, "oidc")
    return caller


def _back(request: Request) -> str:
    """Return where the provider sends the browser back to."""
    return f"{request.url.scheme}://{request.url.netloc}{_PATH}/callback"
