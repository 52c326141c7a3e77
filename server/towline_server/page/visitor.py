"""Who looks at a page: the session of the browser, its cookie, and the forms that it sends.

One cookie. Before someone signs in its value is random and no session's; the token in every form
is derived from it, so that another site's form, which cannot read it, is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from hmac import compare_digest
from typing import Annotated, Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from fastapi import Depends, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline_server.api.access import RequestContext
from towline_server.auth.roles import Role
from towline_server.errors import Forbidden, Unauthenticated
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects
from towline_server.projects.tables import ProjectRow
from towline_server.runs.overview import last_conflicts
from towline_server.services import services_of
from towline_server.web.authentication import refuse_other_sites

from .navigation import NAVIGATION, SETTINGS, TABS
from .rendering import page

SIGN_IN = "/ui/sign-in"
_MOST_FIELDS = 2_000


def cookie_name(request: Request) -> str:
    """Return the name of the session's cookie; over TLS one that no other host can set."""
    return "__Host-towline_session" if _is_secure(request) else "towline_session"


def token_of(request: Request) -> str:
    """Return the value of the session's cookie, or nothing."""
    return request.cookies.get(cookie_name(request), "")


def set_token(request: Request, response: Response, token: str, seconds: int | None = None) -> None:
    """Set the session's cookie; without ``seconds`` until the browser is closed."""
    set_cookie(request, response, cookie_name(request), token, seconds)


def drop_token(request: Request, response: Response) -> None:
    """Delete the session's cookie."""
    drop_cookie(request, response, cookie_name(request))


def set_cookie(
    request: Request,
    response: Response,
    name: str,
    value: str,
    seconds: int | None,
    path: str = "/",
) -> None:
    """Set a cookie that scripts cannot read, and other sites' forms are sent without."""
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=path,
        secure=_is_secure(request),
        httponly=True,
        # Not strict: a link in a mail would find everybody signed out.
        samesite="lax",
    )


def drop_cookie(request: Request, response: Response, name: str, path: str = "/") -> None:
    """Delete a cookie that `set_cookie` has set."""
    response.delete_cookie(
        name, path=path, secure=_is_secure(request), httponly=True, samesite="lax"
    )


def form_token(cookie: str) -> str:
    """Return the token that forms of a browser with this cookie have; without a cookie none."""
    return hashlib.sha256(f"towline form\0{cookie}".encode()).hexdigest() if cookie else ""


@frozen(kw_only=True)
class Visitor(RequestContext):
    """Who is signed in, what they may access, and how they are shown a page."""

    request: Request
    csrf: str
    """The token of every form."""

    def may(self, needed: Role, project: Project | None = None) -> bool:
        """Whether they have a role: on a project, or without one on the whole tenant."""
        role = self.caller.tenant_role if project is None else self.caller.role_on(project.id)
        return role is not None and role.covers(needed)

    def project_at(self, path: str) -> Project:
        """Return the tenant's project at a path that someone typed. Raises InvalidValue."""
        with self.reading() as session:
            found = Projects(session).by_path(self.caller.tenant_id, path)
        if found is None:
            raise InvalidValue(field="project", problem=f"there is none at {path}")
        return found

    def project_paths(self, ids: Collection[UUID]) -> Mapping[UUID, str]:
        """Return the paths of those of these projects that they see."""
        with self.reading() as session:
            wanted = [ProjectRow.id.in_(ids)]
            found = Projects(session).visible_to(self.caller, conditions=wanted)
        return {project.id: project.path for project in found}

    def page(
        self, template: str, *, project: Project | None = None, status: int = 200, **values: Any
    ) -> Response:
        """Return a page. Templates get ``visitor``, ``csrf``, ``may`` and the navigation, too.

        ``project`` is the one that the page is about: then ``may`` is about it.
        """
        return page(template, {**self.values(project), **values}, status)

    def conflicts(self, project: Project) -> int:
        """Return what the tab of a project's conflicts counts: those that its last run left."""
        with self.reading() as session:
            return last_conflicts(session, project.id)

    def values(self, project: Project | None = None) -> Mapping[str, Any]:
        """Return what every template gets."""
        settings, path = tuple(each.address for each in SETTINGS), self.request.url.path
        return {
            "visitor": self,
            "csrf": self.csrf,
            "project": project,
            "may": {str(role): self.may(role, project) for role in Role},
            "path": path,
            "navigation": [each for each in NAVIGATION if each.is_for(self.caller.tenant_role)],
            "in_settings": path.startswith(settings),
            "settings": [each for each in SETTINGS if each.is_for(self.caller.tenant_role)],
            "tabs": [
                each
                for each in (TABS if project is not None else ())
                if each.is_for(self.caller.role_on(project.id) if project else None)
            ],
        }


def _visitor(request: Request) -> Visitor:
    """Return who is signed in. Raises Unauthenticated."""
    token = token_of(request)
    if not token:
        raise Unauthenticated
    services = services_of(request)
    caller = services.authenticator.by_session(token)
    return Visitor(services=services, caller=caller, request=request, csrf=form_token(token))


SignedIn = Annotated[Visitor, Depends(_visitor)]


async def checked_form(request: Request) -> FormData:
    """Return the fields of a form that this server's own page sent; a page that is read has none.

    Every route depends on it, whether it looks at the fields or not.

    Raises:
        Forbidden: another site's page sent it, or it has not the token of this session.
        Unauthenticated: the browser has no session, and has lost the cookie of the form.
        InvalidValue: it contains a file.
    """
    if request.method != "POST":
        return FormData()
    refuse_other_sites(request)
    if not token_of(request):
        raise Unauthenticated
    found = await request.form(max_files=0, max_fields=_MOST_FIELDS)
    given, expected = text_of(found, "csrf"), form_token(token_of(request))
    if not compare_digest(given.encode(), expected.encode()):
        raise Forbidden(problem="the form is out of date: go back, reload the page and try again")
    return found


Sent = Annotated[FormData, Depends(checked_form)]


def text_of(form: FormData, name: str) -> str:
    """Return a field of a form, empty where it is missing. Raises InvalidValue: it is a file."""
    value = form.get(name, "")
    if not isinstance(value, str):
        raise InvalidValue(field=name, problem="is a file")
    return value


def texts_of(form: FormData, name: str) -> list[str]:
    """Return every value of a field that a form may have several times."""
    return [value for value in form.getlist(name) if isinstance(value, str)]


def go(address: str) -> RedirectResponse:
    """Return the answer to a form: the page to look at next."""
    return RedirectResponse(address, status_code=303)


def here(request: Request) -> str:
    """Return the page that a browser is at: of a form, the one that has it."""
    if request.method in ("GET", "HEAD"):
        return local(str(request.url.path) + (f"?{request.url.query}" if request.url.query else ""))
    return came_from(request)


def came_from(request: Request) -> str:
    """Return the page of this server that led to a request, or ``/``."""
    referer = urlsplit(request.headers.get("referer", ""))
    return local(referer.path + (f"?{referer.query}" if referer.query else ""))


def local(address: str) -> str:
    """Return an address of this page, or ``/`` instead of any other."""
    is_page = address == "/" or address.startswith(("/?", "/ui/"))
    return address if is_page and not address.startswith(SIGN_IN) else "/"


def sign_in_address(address: str) -> str:
    """Return where to sign in, to come back to an address."""
    return SIGN_IN if address == "/" else f"{SIGN_IN}?next={quote(address, safe='')}"


def _is_secure(request: Request) -> bool:
    """Whether the browser speaks TLS, to this server or to the proxy before it."""
    return request.url.scheme == "https"
