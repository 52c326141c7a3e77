"""``/ui/sign-in`` and ``/ui/sign-out``: a password or an API key for a session."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, Request
from starlette.datastructures import FormData
from starlette.responses import Response

from towline.errors import TowlineError
from towline_server.audit.log import Action, Owner, record
from towline_server.auth.keys import new_token
from towline_server.auth.roles import Principal
from towline_server.auth.sessions import Sessions
from towline_server.errors import TooManyRequests, Unauthenticated
from towline_server.problems import failure_of
from towline_server.services import Services, services_of
from towline_server.web.limits import address_of

from .rendering import page
from .visitor import (
    SIGN_IN,
    Sent,
    drop_token,
    form_token,
    go,
    local,
    set_token,
    text_of,
    token_of,
)

router = APIRouter()


@router.get(SIGN_IN)
def show(request: Request, next: str = "/") -> Response:  # noqa: A002 - a query's name
    """Show the two forms; who is signed in already goes on."""
    if _is_signed_in(services_of(request), token_of(request)):
        return go(local(next))
    return shown(request, local(next))


@router.post(SIGN_IN)
def sign_in(request: Request, form: Sent) -> Response:
    """Begin a session, under a new token."""
    services, address = services_of(request), local(text_of(form, "next"))
    try:
        caller = _verified(services, form, address_of(request.scope))
    except (Unauthenticated, TooManyRequests) as error:
        if isinstance(error, Unauthenticated):
            _note_refusal(services, text_of(form, "email").strip())
        status = failure_of(error).status
        problem = _problem(error)
        response = shown(
            request, address, problem=problem, status=status, email=text_of(form, "email")
        )
        if isinstance(error, TooManyRequests):
            response.headers["Retry-After"] = str(error.retry_after)
        return response
    return begin_session(request, caller, address)


def begin_session(request: Request, caller: Principal, address: str) -> Response:
    """Begin a session under a new token, and go on to a page."""
    services = services_of(request)
    seconds = services.settings.session_seconds
    with services.database.writing() as session:
        sessions = Sessions(session)
        sessions.end(token_of(request))
        token = sessions.begin(caller.id, seconds)
        record(session, Action.SIGNED_IN, caller.id, Owner(caller.tenant_id))
    response = go(address)
    set_token(request, response, token, seconds)
    return response


@router.post("/ui/sign-out")
def sign_out(request: Request) -> Response:
    """End the session."""
    services, token = services_of(request), token_of(request)
    with suppress(Unauthenticated):
        services.authenticator.by_session(token)
    with services.database.writing() as session:
        ended = services.identities(session).end_session(token)
        if ended is not None:
            record(session, Action.SIGNED_OUT, ended.id, Owner(ended.tenant_id))
    response = go(SIGN_IN)
    drop_token(request, response)
    return response


def _verified(services: Services, form: FormData, address: str) -> Principal:
    """Return who signs in. Raises Unauthenticated, TooManyRequests."""
    if key := text_of(form, "key").strip():
        return services.authenticator.by_key(key)
    email, password = text_of(form, "email").strip(), text_of(form, "password")
    return services.authenticator.by_password(email, password, address)


def _note_refusal(services: Services, email: str) -> None:
    """Record a wrong password; an email that no one has is not, it may be a secret."""
    if not email:
        return  # a wrong key: how many there may be is not bounded
    with services.database.writing() as session:
        account = services.identities(session).by_email(email)
        found = None if account is None else account.principal
        record(
            session,
            Action.SIGN_IN_REFUSED,
            None if found is None else found.id,
            Owner(None if found is None else found.tenant_id),
        )


def _is_signed_in(services: Services, token: str) -> bool:
    try:
        return bool(token) and services.authenticator.by_session(token) is not None
    except Unauthenticated:
        return False


def shown(
    request: Request,
    address: str,
    *,
    problem: str | None = None,
    status: int = 200,
    email: str = "",
) -> Response:
    """Show the forms; ``address`` is the page to look at afterwards."""
    token = token_of(request) or new_token()
    oidc = services_of(request).oidc
    values = {
        "csrf": form_token(token),
        "next": address,
        "problem": problem,
        "email": email,
        "provider": None if oidc is None else oidc.name,
    }
    response = page("sign_in.html", values, status)
    set_token(request, response, token)
    return response


def _problem(error: TowlineError) -> str:
    if isinstance(error, TooManyRequests):
        return f"Too many wrong passwords lately. Try again in {error.retry_after} s."
    return "The email, the password or the key is not valid."
