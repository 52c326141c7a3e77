"""The same request with the same key gets the first response."""

from datetime import timedelta
from typing import Annotated

import pytest
from fastapi import APIRouter, Body, Depends, Response
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from sqlalchemy import select

from towline_server.app import create_app
from towline_server.auth.roles import Principal, Role
from towline_server.errors import IdempotencyKeyReused, IdempotentRequestRunning
from towline_server.projects.service import utc_now
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect
from towline_server.web.idempotency import (
    LOCK_TIMEOUT,
    IdempotentResponseRow,
    KeyedRequest,
    KeyLock,
    ResponseStore,
    idempotent,
)


class Endpoint:
    """Counts how often it was really called."""

    def __init__(self) -> None:
        self.calls = 0
        self.fails = 0


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def client(settings, services, endpoint):
    router = APIRouter(route_class=idempotent(Form.X_API_KEY))
    caller = Depends(authenticated(Form.X_API_KEY))

    @router.post("/do/{what}", status_code=201)
    def do(
        who: Annotated[Principal, caller],
        response: Response,
        what: str,
        body: Annotated[int, Body()],
    ) -> dict[str, int]:
        endpoint.calls += 1
        if endpoint.fails:
            endpoint.fails -= 1
            raise RuntimeError
        response.headers["Location"] = f"/done/{body}"
        return {"calls": endpoint.calls}

    @router.post("/stream")
    def stream(who: Annotated[Principal, caller]) -> StreamingResponse:
        endpoint.calls += 1
        return StreamingResponse(iter([b"a", b"b"]))

    @router.get("/do")
    def look(who: Annotated[Principal, caller]) -> dict[str, int]:
        endpoint.calls += 1
        return {"calls": endpoint.calls}

    dialect = Dialect(tag="Do", description="", router=router, prefixes=("/do",))
    app = create_app(settings, services=services, dialects=[dialect])
    with TestClient(app) as client:
        yield client


def _post(client, demo, key="k1", body=7, path="/do/it", role: Role | None = Role.WRITER):
    headers = {"X-API-Key": demo.keys[role]}
    if key is not None:
        headers["Idempotency-Key"] = key
    return client.post(path, json=body, headers=headers)


def test_the_first_answer_comes_again(client, demo, endpoint):
    first, second = _post(client, demo), _post(client, demo)
    assert endpoint.calls == 1
    assert first.status_code == second.status_code == 201
    assert first.content == second.content
    assert second.headers["location"] == "/done/7"
    assert second.headers["content-type"] == first.headers["content-type"]
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"


def test_without_a_key_every_request_counts(client, demo, endpoint):
    for _ in range(2):
        _post(client, demo, key=None)
    assert endpoint.calls == 2


def test_another_body_under_the_same_key_is_refused(client, demo, endpoint):
    _post(client, demo)
    answer = _post(client, demo, body=8)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert endpoint.calls == 1


def test_keys_are_a_callers_and_a_routes_own(client, demo, other, endpoint):
    _post(client, demo)
    _post(client, demo, role=Role.ADMIN)
    _post(client, other)
    _post(client, demo, path="/do/other")
    _post(client, demo, path="/do/it?query=1")
    assert endpoint.calls == 5


def test_a_stranger_gets_no_stored_response(client, demo, endpoint):
    _post(client, demo)
    headers = {"X-API-Key": "twl_wrong", "Idempotency-Key": "k1"}
    answer = client.post("/do/it", json=7, headers=headers)
    assert answer.status_code == 401
    assert "calls" not in answer.text


def test_a_failure_is_not_stored(client, demo, endpoint):
    endpoint.fails = 1
    assert _post(client, demo).status_code == 500
    assert _post(client, demo).status_code == 201
    assert _post(client, demo, key="k2", body="no number").status_code == 422
    assert _post(client, demo, key="k2", body=3).status_code == 201
    assert endpoint.calls == 3


@pytest.mark.parametrize("key", ["", "x" * 256, "\x7f"])
def test_a_key_must_be_fit(client, demo, endpoint, key):
    assert _post(client, demo, key=key).status_code == 400
    assert endpoint.calls == 0


def test_streams_and_reads_are_not_stored(client, demo, endpoint):
    headers = {"X-API-Key": demo.keys[Role.WRITER], "Idempotency-Key": "k1"}
    assert [client.post("/stream", headers=headers).text for _ in range(2)] == ["ab", "ab"]
    assert [client.get("/do", headers=headers).json()["calls"] for _ in range(2)] == [3, 4]


# --- the locks -------------------------------------------------------------------------------


class Now:
    def __init__(self) -> None:
        self.now = utc_now()

    def __call__(self):
        return self.now


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def responses(services, now) -> ResponseStore:
    return ResponseStore(
        database=services.database, sealer=services.sealer, retention=timedelta(hours=1), now=now
    )


@pytest.fixture
def keyed(services, demo) -> KeyedRequest:
    with services.database.reading() as session:
        caller = services.identities(session).by_key(demo.keys[Role.WRITER])
    return KeyedRequest(caller=caller, route="POST /x?", key="k", digest="d")


RESPONSE = Response(b"done", status_code=201, media_type="text/plain")


def is_replayed(response: KeyLock | Response) -> bool:
    assert isinstance(response, Response)
    given = {**response.headers, "idempotency-replayed": None}
    expected = {**RESPONSE.headers, "idempotency-replayed": None}
    return (response.status_code, response.body, given) == (201, b"done", expected)


def test_a_lock_is_held_until_a_response_is_stored(responses, keyed):
    lock = responses.acquire(keyed)
    assert isinstance(lock, KeyLock)
    with pytest.raises(IdempotentRequestRunning):
        responses.acquire(keyed)
    responses.save(lock, RESPONSE)
    assert is_replayed(responses.acquire(keyed))
    other = KeyedRequest(caller=keyed.caller, route=keyed.route, key=keyed.key, digest="other")
    with pytest.raises(IdempotencyKeyReused):
        responses.acquire(other)


def test_a_lock_belongs_to_one_caller(responses, keyed, services, demo):
    with services.database.reading() as session:
        caller = services.identities(session).by_key(demo.keys[Role.ADMIN])
    theirs = KeyedRequest(caller=caller, route=keyed.route, key=keyed.key, digest=keyed.digest)
    mine = responses.acquire(keyed)
    assert isinstance(responses.acquire(theirs), KeyLock)
    responses.save(mine, RESPONSE)
    with pytest.raises(IdempotentRequestRunning):
        responses.acquire(theirs)
    assert is_replayed(responses.acquire(keyed))


def test_a_released_lock_can_be_acquired(responses, keyed):
    responses.release(responses.acquire(keyed))
    assert isinstance(responses.acquire(keyed), KeyLock)


def test_the_lock_of_a_dead_server_expires_and_it_stores_nothing_afterwards(responses, keyed, now):
    dead = responses.acquire(keyed)
    now.now += LOCK_TIMEOUT - timedelta(seconds=1)
    with pytest.raises(IdempotentRequestRunning):
        responses.acquire(keyed)
    now.now += timedelta(seconds=1)
    successor = responses.acquire(keyed)
    assert isinstance(successor, KeyLock)
    responses.save(dead, RESPONSE)
    responses.release(dead)
    with pytest.raises(IdempotentRequestRunning):
        responses.acquire(keyed)
    responses.save(successor, RESPONSE)
    assert is_replayed(responses.acquire(keyed))


def test_responses_are_deleted_after_their_retention(responses, keyed, now, services):
    responses.save(responses.acquire(keyed), RESPONSE)
    now.now += timedelta(hours=1, seconds=1)
    assert isinstance(responses.acquire(keyed), KeyLock)
    with services.database.reading() as session:
        assert len(session.scalars(select(IdempotentResponseRow)).all()) == 1
