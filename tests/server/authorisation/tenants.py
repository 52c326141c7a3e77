"""Two tenants, one of them with two projects, and the application between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fastapi.testclient import TestClient
from httpx2 import Response

from towline_server.auth.roles import Role
from towline_server.services import Services

from .callers import Caller, Headers, grant, new_caller
from .marked_project import MarkedProject, Things
from .rows import Rows, differing, rows_below, tokens_in, tokens_of
from .table import TABLE, Needs, dialect_of

_REQUEST_ID = "the-same-for-all"
_LEAST_WORD = 16
"""Characters; what is shorter is no name that only one marked has."""


@dataclass
class Tenants:
    """Callers of what is their own, of the project beside it, and of another tenant's."""

    services: Services
    client: TestClient
    own: MarkedProject
    beside: MarkedProject
    """Another project of the same tenant."""
    other: MarkedProject
    """Another tenant's."""

    # --- who asks -----------------------------------------------------------------------------

    def callers(self, *, is_service: bool = False) -> list[Caller]:
        """One without any role, and one of each role on the whole tenant."""
        return [self.caller(role, is_service=is_service) for role in (None, *Role)]

    def callers_of_project(self) -> list[Caller]:
        """One of each role on the own project alone."""
        return [self.caller(role, on=self.own) for role in Role]

    def caller(
        self,
        role: Role | None,
        *,
        of: MarkedProject | None = None,
        on: MarkedProject | None = None,
        is_service: bool = False,
    ) -> Caller:
        """A new account of a marked project's tenant, or with a role on that project alone."""
        tenant_id = (of or on or self.own).tenant.tenant_id
        project = None if on is None else on.project
        return new_caller(self.services, tenant_id, role, on=project, is_service=is_service)

    # --- asking -------------------------------------------------------------------------------

    def ask(
        self,
        endpoint: str,
        things: Things,
        proof: Headers,
        *,
        body: Any = None,
        query: str = "",
        content: bytes = b"",
    ) -> Response:
        """The answer to a request for these things, by whom the proof proves.

        ``body`` is sent as JSON, by default the table's; ``content`` in place of it, as it is.
        """
        method, _, path = endpoint.partition(" ")
        needs = TABLE[endpoint]
        headers = {"X-Request-Id": _REQUEST_ID, **proof}
        if isinstance(needs, Needs):
            headers |= filled(needs.headers, things)
            body = needs.body if body is None else body
        given: dict[str, Any] = {} if body is None else {"json": filled(body, things)}
        if content:
            headers["Content-Type"] = "application/json"
            given = {"content": content}
        url = filled(path + query, things)
        return self.client.request(method, url, headers=headers, **given)

    def ask_as(self, caller: Caller, endpoint: str, things: Things, **rest: Any) -> Response:
        """The same by a caller, with the first credential that the endpoint takes."""
        return self.ask(endpoint, things, caller.by(dialect_of(endpoint).taken[0]), **rest)

    def fresh(self, needs: Needs, caller: Caller) -> Things:
        """The own things, with a new one in place of what a success uses up."""
        own = self.own
        match needs.fresh:
            case "project_id":
                project = own.bare_project()
                grant(self.services, caller, project)
                made = project.id
            case "connection_id":
                made = own.connection()
            case "plan_id":
                made = own.plan()
            case "schedule_id":
                made = own.schedule()
            case "sync_id":
                made = own.sync()
            case "webhook_id":
                made = own.webhook()
            case _:
                return own.things
        return {**own.things, needs.fresh: str(made)}

    # --- what no one else may learn -----------------------------------------------------------

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """No row of either tenant changes in the block."""
        before = self._own_rows()
        with self.other_unchanged():
            yield
        assert differing(before, self._own_rows()) == []

    @contextmanager
    def other_unchanged(self) -> Iterator[None]:
        """No row of the other tenant changes in the block."""
        before = self._other_rows()
        yield
        assert differing(before, self._other_rows()) == []

    @cached_property
    def names_of_other(self) -> frozenset[str]:
        """The other tenant's names, which no account of the own one may learn."""
        return tokens_of(self._other_rows()) - tokens_of(self._own_rows())

    @cached_property
    def names_beside(self) -> frozenset[str]:
        """The names of the project beside, which no account without a role there may learn."""
        return tokens_of(self.beside.rows()) - tokens_of(self.own.rows())

    def names_behind_own_connection(self) -> frozenset[str]:
        """The same of a new project, which is bound to the own project's connection."""
        before = tokens_of(self._own_rows())
        project = self.own.tenant.project(ref="heads/beside", connection_id=self.own.connected)
        self.services.runs.request_kinds(project.id, [project.kinds.kinds[0].name])
        return tokens_of(rows_below(self.services.database, projects=project.id)) - before

    def _own_rows(self) -> Rows:
        return rows_below(self.services.database, tenants=self.own.tenant.tenant_id)

    def _other_rows(self) -> Rows:
        return rows_below(self.services.database, tenants=self.other.tenant.tenant_id)


def answered(answer: Response, things: Things) -> tuple[int, str]:
    """An answer, every byte of it, but for the words that the caller asked with."""
    text = f"{sorted(answer.headers.items())}\n{answer.text}"
    for name, value in sorted(things.items(), key=lambda each: -len(each[1])):
        if len(value) >= _LEAST_WORD:
            text = text.replace(value, f"{{{name}}}")
    return answer.status_code, text


def leaks(answer: Response, names: frozenset[str], asked: Mapping[str, str]) -> frozenset[str]:
    """The names that an answer shows, other than those that were asked with."""
    given = tokens_in(" ".join(asked.values()))
    return tokens_in(f"{answer.headers} {answer.text}") & names - given


def filled(value: Any, things: Things) -> Any:
    """A value with what it names in its place."""
    if isinstance(value, Mapping):
        return {name: filled(each, things) for name, each in value.items()}
    if isinstance(value, list):
        return [filled(each, things) for each in value]
    if isinstance(value, str):
        return re.sub(r"\{(\w+)\}", lambda found: things[found[1]], value)
    return value
