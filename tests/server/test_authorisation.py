"""Role × endpoint × tenant × credential, for every endpoint of the OpenAPI document.

What each endpoint asks of its callers is in `tests.server.authorisation.table`; one that is
not there fails the first test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.testclient import TestClient
from httpx2 import Response

from tests.control_plane import cheap_passwords
from tests.server.api.client import RunServices
from tests.server.authorisation import smuggled
from tests.server.authorisation.callers import Caller, Credential, bad_proofs
from tests.server.authorisation.marked_project import MarkedProject, Things
from tests.server.authorisation.rows import tables_below, tokens_of
from tests.server.authorisation.table import (
    GUARDED,
    NAMING,
    SNAPLOGIC,
    TABLE,
    V1,
    Open,
    dialect_of,
    documented,
    named_by,
)
from tests.server.authorisation.tenants import Tenants, answered, leaks
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.testing.git_server import GitServer
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.db import Database, make_engine
from towline_server.runs.domain import BackendName
from towline_server.services import assemble
from towline_server.settings import Settings
from towline_server.tables import Base

pytestmark = pytest.mark.slow


@pytest.fixture
def tenants(settings: Settings, git_server: GitServer, tmp_path: Path) -> Iterator[Tenants]:
    """No run is executed or waited for, and wrong passwords are not counted."""
    hasty = settings.model_copy(update={"wait_seconds": 0, "login_failures": 100_000})
    database = Database(make_engine(hasty.database))
    services = assemble(hasty, database, cheap_passwords())
    own, other = (
        GitTenant(database, git_server, tmp_path / name, sealer=services.sealer)
        for name in ("own", "other")
    )
    runner = Runner(own)
    services = services.with_runtime(RunServices.of(runner))
    marked = [MarkedProject(services, runner, tenant) for tenant in (own, own, other)]
    with TestClient(create_app(hasty, services=services), raise_server_exceptions=False) as client:
        yield Tenants(services, client, *marked)
    database.close()


# --- the table ----------------------------------------------------------------------------------


def test_every_endpoint_of_the_document_is_in_the_table():
    paths = create_app(Settings.defaults()).openapi()["paths"]
    found = {
        f"{method.upper()} {path}": {each for one in what.get("security", ()) for each in one}
        for path, methods in paths.items()
        for method, what in methods.items()
    }
    assert found == {
        documented(endpoint): dialect_of(endpoint).schemes if endpoint in GUARDED else set()
        for endpoint in TABLE
    }


def test_every_row_of_the_database_belongs_to_a_tenant():
    """So that comparing a tenant's rows leaves nothing out."""
    assert tables_below("tenants") == set(Base.metadata.tables)


# --- what is theirs -----------------------------------------------------------------------------


def test_a_role_on_the_whole_tenant(tenants: Tenants):
    def expected(endpoint: str, caller: Caller) -> int:
        return GUARDED[endpoint].status(caller.role)

    _hold(tenants, tenants.callers(), expected, tenants.names_of_other, _every_form)


def test_a_service_account(tenants: Tenants):
    """As anybody else, but for Git operations in SnapLogic's words."""

    def expected(endpoint: str, caller: Caller) -> int:
        return 403 if SNAPLOGIC in endpoint else GUARDED[endpoint].status(caller.role)

    callers = tenants.callers(is_service=True)
    _hold(tenants, callers, expected, tenants.names_of_other, _every_form)


def test_a_role_on_one_project(tenants: Tenants):
    def expected(endpoint: str, caller: Caller) -> int:
        needs = GUARDED[endpoint]
        return needs.status(None if needs.of_tenant else caller.role)

    hidden = tenants.names_of_other | tenants.names_beside | tenants.names_behind_own_connection()
    _hold(tenants, tenants.callers_of_project(), expected, hidden, _first_form)


Forms = Callable[[str, Caller], Iterable[Credential]]


def _every_form(endpoint: str, caller: Caller) -> Iterable[Credential]:
    return filter(caller.can_send, dialect_of(endpoint).taken)


def _first_form(endpoint: str, _caller: Caller) -> Iterable[Credential]:
    return dialect_of(endpoint).taken[:1]


def _hold(
    tenants: Tenants,
    callers: Iterable[Caller],
    expected: Callable[[str, Caller], int],
    hidden: frozenset[str],
    forms: Forms,
) -> None:
    """Every endpoint by these callers: first what is refused, which changes nothing."""

    def ask(endpoint: str, caller: Caller, credential: Credential, things: Things) -> None:
        answer = tenants.ask(endpoint, things, caller.by(credential))
        about = f"{endpoint} by {caller}, {credential}: {answer.text}"
        assert answer.status_code == expected(endpoint, caller), about
        assert not leaks(answer, hidden, things), about

    refused: list[tuple[str, Caller, Credential]] = []
    done: list[tuple[str, Caller, Credential]] = []
    for endpoint, needs in GUARDED.items():
        for caller in callers:
            asked = done if expected(endpoint, caller) == needs.done else refused
            asked += [(endpoint, caller, credential) for credential in forms(endpoint, caller)]
    with tenants.unchanged():
        for endpoint, caller, credential in refused:
            ask(endpoint, caller, credential, tenants.own.things)
    with tenants.other_unchanged():
        for endpoint, caller, credential in done:
            ask(endpoint, caller, credential, tenants.fresh(GUARDED[endpoint], caller))


def test_a_list_shows_what_its_caller_sees(tenants: Tenants):
    stranger = tenants.caller(None)
    for endpoint, needs in GUARDED.items():
        if not needs.shows:
            continue
        role = needs.role or Role.READER
        of_tenant, of_project = tenants.caller(role), tenants.caller(role, on=tenants.own)

        def seen(caller: Caller, endpoint: str = endpoint, name: str = needs.shows) -> list[bool]:
            text = tenants.ask_as(caller, endpoint, tenants.own.things).text
            return [
                each.things[name] in text for each in (tenants.own, tenants.beside, tenants.other)
            ]

        assert seen(of_tenant) == [True, True, False], endpoint
        assert seen(of_project) == [not needs.of_tenant, False, False], endpoint
        assert seen(stranger) == [False, False, False], endpoint


# --- what is someone else's ---------------------------------------------------------------------


def test_what_is_another_tenants_is_not_there(tenants: Tenants):
    """It answers as what does not exist, to the byte."""
    theirs, missing = tenants.other.things, tenants.other.missing(tenants.own.things)
    callers = tenants.callers()
    with tenants.unchanged():
        for endpoint, needs in NAMING.items():
            for caller in callers:
                of_missing = answered(tenants.ask_as(caller, endpoint, missing), missing)
                for credential in dialect_of(endpoint).taken:
                    answer = tenants.ask(endpoint, theirs, caller.by(credential))
                    about = f"{endpoint} by {caller}, {credential}: {answer.text}"
                    assert answer.status_code == needs.status_elsewhere(caller.role), about
                    assert answered(answer, theirs) == of_missing, about
                    assert not leaks(answer, tenants.names_of_other, {}), about


def test_a_role_on_one_project_shows_nothing_of_another(tenants: Tenants):
    """Nor does no role at all, in the same tenant."""
    theirs, missing = tenants.beside.things, tenants.beside.missing(tenants.own.things)
    callers = [tenants.caller(None), *tenants.callers_of_project()]
    with tenants.unchanged():
        for endpoint, needs in NAMING.items():
            for caller in callers:
                answer = tenants.ask_as(caller, endpoint, theirs)
                of_missing = tenants.ask_as(caller, endpoint, missing)
                about = f"{endpoint} by {caller}: {answer.text}"
                role = None if needs.of_tenant else caller.role
                assert answer.status_code == needs.status_elsewhere(role), about
                assert answered(answer, theirs) == answered(of_missing, missing), about
                assert not leaks(answer, tenants.names_beside, {}), about


def test_what_is_someone_elses_is_not_below_what_is_ones_own(tenants: Tenants):
    """Where a request names several things, one of which is not the caller's."""
    for stranger in _strangers(tenants):
        theirs, missing = stranger.theirs, stranger.missing
        with tenants.unchanged():
            for endpoint, needs in NAMING.items():
                names = named_by(endpoint, needs)
                for name in names if len(names) > 1 else ():
                    if theirs[name] == tenants.own.things[name]:
                        continue
                    given = {**tenants.own.things, name: theirs[name]}
                    nothing = {**tenants.own.things, name: missing[name]}
                    answer = tenants.ask_as(stranger.caller, endpoint, given)
                    of_missing = tenants.ask_as(stranger.caller, endpoint, nothing)
                    about = f"{endpoint} with their {name}: {answer.text}"
                    assert answer.status_code == needs.elsewhere, about
                    assert answered(answer, given) == answered(of_missing, nothing), about
                    assert not leaks(answer, stranger.hidden, {}), about


def test_a_sync_of_no_project_yet_is_not_there_for_others(tenants: Tenants):
    """For another tenant, nor for a caller with roles on single projects alone."""
    admins = (tenants.caller(Role.ADMIN), tenants.caller(Role.ADMIN, on=tenants.own))
    for marked, admin in zip((tenants.other, tenants.own), admins, strict=True):
        draft, nothing = (
            {**tenants.own.things, "sync_id": str(each)} for each in (marked.draft(), uuid4())
        )
        with tenants.unchanged():
            for endpoint, needs in NAMING.items():
                if "sync_id" in named_by(endpoint, needs):
                    answer = tenants.ask_as(admin, endpoint, draft)
                    assert answer.status_code == needs.elsewhere, endpoint
                    of_missing = tenants.ask_as(admin, endpoint, nothing)
                    assert answered(answer, draft) == answered(of_missing, nothing), endpoint


def test_what_is_someone_elses_is_not_among_what_is_ones_own(tenants: Tenants):
    """In bodies and queries that may name more than the table's requests do."""
    for stranger in _strangers(tenants):
        given = smuggled.with_theirs(tenants.own.things, stranger.theirs)
        nothing = smuggled.with_theirs(tenants.own.things, stranger.missing)
        with tenants.unchanged():
            for row in smuggled.ROWS:
                ask = partial(
                    tenants.ask_as, stranger.caller, row.endpoint, body=row.body, query=row.query
                )
                answer, of_missing = ask(given), ask(nothing)
                needs = GUARDED[row.endpoint]
                is_short = needs.of_tenant and stranger.caller.project_id is not None
                about = f"{row}: {answer.text}"
                assert answer.status_code == (needs.no_role if is_short else row.status), about
                assert answered(answer, given) == answered(of_missing, nothing), about
                assert not leaks(answer, stranger.hidden, given), about


def test_no_caller_executes_what_is_someone_elses(tenants: Tenants):
    """Each project has a run that waits to be claimed."""
    for marked in (tenants.own, tenants.beside, tenants.other):
        tenants.services.runs.request(marked.project.id, backend=BackendName.EXTERNAL)
    low = (
        tenants.caller(None),
        tenants.caller(Role.READER),
        tenants.caller(Role.READER, on=tenants.own),
    )
    of_project, of_tenant = tenants.caller(Role.WRITER, on=tenants.own), tenants.caller(Role.WRITER)

    def claim(caller: Caller) -> int:
        body = {"executor_id": "one"}
        answer = tenants.ask_as(caller, f"POST {V1}/work/claim", tenants.own.things, body=body)
        return answer.status_code

    with tenants.unchanged():
        assert [claim(caller) for caller in low] == [204, 204, 204]
    with tenants.other_unchanged():
        assert [claim(of_project), claim(of_project)] == [200, 204]
        assert [claim(of_tenant), claim(of_tenant)] == [200, 204]


def test_tenants_share_no_branch(tenants: Tenants):
    """Each pulls its own, though both call it the same."""
    tenants.other.tenant.project(ref=f"heads/{tenants.own.branch}")
    for marked in (tenants.own, tenants.other):
        writer = tenants.caller(Role.WRITER, of=marked)
        for endpoint, needs in GUARDED.items():
            if "{branch}" in needs.headers.values():
                answer = tenants.ask_as(writer, endpoint, tenants.own.things)
                assert answer.status_code == needs.done, answer.text


@dataclass(frozen=True)
class Stranger:
    """An administrator, and what is not theirs to see."""

    caller: Caller
    theirs: Things
    missing: Things
    hidden: frozenset[str]


def _strangers(tenants: Tenants) -> Iterator[Stranger]:
    for marked, caller, hidden in (
        (tenants.other, tenants.caller(Role.ADMIN), tenants.names_of_other),
        (tenants.beside, tenants.caller(Role.ADMIN, on=tenants.own), tenants.names_beside),
    ):
        yield Stranger(caller, marked.things, marked.missing(tenants.own.things), hidden)


def test_a_replayed_answer_is_for_its_caller_alone(tenants: Tenants):
    admin, known = tenants.caller(Role.ADMIN), tenants.caller(None)
    stranger = tenants.caller(Role.ADMIN, of=tenants.other)
    for endpoint, needs in GUARDED.items():
        if not endpoint.startswith("POST") or needs.done >= 400:
            continue

        def ask(caller: Caller, endpoint: str = endpoint) -> tuple[int, bool]:
            proof = caller.by(dialect_of(endpoint).taken[0])
            with_key = {**proof, "Idempotency-Key": "the same"}
            answer = tenants.ask(endpoint, tenants.own.things, with_key)
            return answer.status_code, "Idempotency-Replayed" in answer.headers

        assert ask(admin) == (needs.done, False), endpoint
        assert ask(admin) == (needs.done, True), endpoint
        assert ask(known) == (needs.no_role, False), endpoint
        elsewhere = needs.elsewhere if endpoint in NAMING else needs.done
        assert ask(stranger) == (elsewhere, False), endpoint


# --- who is not known ---------------------------------------------------------------------------


def test_a_caller_without_a_proof_learns_nothing(tenants: Tenants):
    """Whatever is wrong with a credential: 401, and no sign of what is there."""
    proofs = bad_proofs(tenants.services, tenants.own.tenant.tenant_id)
    own, missing = tenants.own.things, tenants.own.missing({})
    with tenants.unchanged():
        for endpoint in GUARDED:
            without = answered(_unknown(tenants, endpoint, own, {}), own)
            assert without == answered(_unknown(tenants, endpoint, missing, {}), missing), endpoint
            no_json = _unknown(tenants, endpoint, own, {}, content=b"{")
            assert answered(no_json, own) == without, endpoint
            for credential in dialect_of(endpoint).taken:
                answers = {
                    why: answered(_unknown(tenants, endpoint, own, credential.sent(proof)), own)
                    for why, proof in proofs[credential.proof].items()
                }
                # No answer shows which accounts there are, or were.
                same = {answers[why] for why in ACCOUNTS if why in answers}
                assert len(same) == 1, f"{endpoint} by {credential}: {same}"


ACCOUNTS = ("unknown", "wrong", "disabled", "deleted", "expired key")


def _unknown(
    tenants: Tenants, endpoint: str, things: Things, proof: Mapping[str, str], **rest: Any
) -> Response:
    answer = tenants.ask(endpoint, things, proof, **rest)
    assert answer.status_code == 401, f"{endpoint} with {proof}: {answer.text}"
    assert answer.headers["WWW-Authenticate"]
    return answer


def test_a_credential_in_a_form_that_a_dialect_does_not_take(tenants: Tenants):
    admin = tenants.caller(Role.ADMIN)
    with tenants.unchanged():
        for endpoint in GUARDED:
            for credential in Credential:
                if credential not in dialect_of(endpoint).taken:
                    _unknown(tenants, endpoint, tenants.own.things, admin.by(credential))


def test_what_is_open_shows_nothing(tenants: Tenants):
    """Not even which connections there are, and which take webhooks."""
    with tenants.services.database.writing() as session:
        connections = tenants.services.connections(session)
        connections.set_webhook_secret(tenants.own.connected, "a secret of the host's, and ours")
    hidden = tenants.names_of_other | tokens_of(tenants.own.rows())
    with tenants.unchanged():
        for endpoint, is_open in TABLE.items():
            if not isinstance(is_open, Open):
                continue
            answers = set()
            for things in (tenants.own.things, tenants.other.things, tenants.own.missing({})):
                answer = tenants.ask(endpoint, things, {})
                assert not leaks(answer, hidden, {}), endpoint
                answers.add(answered(answer, things))
            assert [status for status, _ in answers] == [is_open.status], endpoint
