"""Messages on their way: at least once, in their time, each to its own endpoint."""

from __future__ import annotations

import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import OperationalError

from tests.server.webhooks.post import LONG, Post
from tests.server.webhooks.receiver import Receiver, Reply
from towline.errors import InvalidValue
from towline_server.addresses import AddressPolicy
from towline_server.auth.sealing import Sealer
from towline_server.db import Database
from towline_server.metrics import REGISTRY
from towline_server.webhooks.claims import Claimed, Claims
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.delivering import Bounds, Courier
from towline_server.webhooks.domain import (
    DeliveryState,
    DisabledReason,
    EventType,
    Result,
)
from towline_server.webhooks.errors import WebhookDisabled
from towline_server.webhooks.retrying import DELAYS
from towline_server.webhooks.sending import Answer, Sender
from towline_server.webhooks.tables import WebhookDelivery, WebhookSecret

REFUSE = Reply(500)


def test_a_message_arrives_signed(post: Post, receiver: Receiver):
    endpoint, secret = post.endpoint(receiver.url())
    post.announce(EventType.RUN_SUCCEEDED, run_id="r1")
    post.deliver()
    [came] = receiver.came
    event = came.verify(secret)
    assert event == {
        "type": "run.succeeded",
        "timestamp": post.clock.now.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "data": {
            "project_id": str(post.project_id),
            "project_path": json.loads(came.body)["data"]["project_path"],
            "run_id": "r1",
        },
    }
    delivery = post.delivery(endpoint)
    assert (delivery.message_id, delivery.payload.encode()) == (came.id, came.body)
    assert came.timestamp == int(post.clock.now.timestamp())
    assert "." not in came.id
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert (delivery.last_result, delivery.last_status) == (Result.DELIVERED, 204)
    assert (delivery.next_attempt_at, delivery.ended_at) == (None, post.clock.now)
    post.clock.move(days=5)
    post.deliver()
    assert len(receiver.came) == 1


# --- who is told --------------------------------------------------------------------------------


def test_everyone_is_told_who_wants_to_be_and_of_one_event_once(post: Post, receiver: Receiver):
    stranger = Post(post.database, post.clock)
    mine, other = post.project_id, Post(post.database).project_id
    wishes: dict[str, dict[str, Any]] = {
        "/all": {},
        "/mine": {"project_id": mine},
        "/failed": {"event_types": (EventType.RUN_FAILED,)},
        "/succeeded": {"event_types": (EventType.RUN_SUCCEEDED, EventType.RUN_CANCELLED)},
        "/disabled": {"enabled": False},
        "/elsewhere": {"project_id": other},
    }
    for path, wanted in wishes.items():
        post.endpoint(receiver.url(path), **wanted)
    stranger.endpoint(receiver.url("/stranger"))
    post.announce(EventType.RUN_FAILED)
    post.deliver()
    assert sorted(each.path for each in receiver.came) == ["/all", "/failed", "/mine"]
    assert len({each.id for each in receiver.came}) == 1
    assert len({each.body for each in receiver.came}) == 1


def test_what_is_rolled_back_was_never_said(post: Post, receiver: Receiver):
    from towline_server.webhooks.outbox import announce

    endpoint, _ = post.endpoint(receiver.url())

    def fail() -> None:
        with post.database.writing() as session:
            announce(session, post.event())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    post.deliver()
    assert (receiver.came, post.deliveries(endpoint)) == ([], [])


# --- trying again -------------------------------------------------------------------------------


def test_a_message_is_tried_again_in_its_time_under_one_id(post: Post, receiver: Receiver):
    endpoint, secret = post.endpoint(receiver.url())
    receiver.answer(*[REFUSE] * 9, Reply(200))
    post.announce()
    began = post.clock.now
    for number, delay in enumerate(DELAYS, start=1):
        if delay:
            post.clock.now += delay - timedelta(seconds=1)
            post.deliver()
            assert len(receiver.came) == number - 1
            post.clock.move(seconds=1)
        post.deliver()
        assert len(receiver.came) == number
        assert receiver.came[-1].timestamp == int(post.clock.now.timestamp())
    assert len({each.id for each in receiver.came}) == 1
    assert all(each.is_signed_with(secret) for each in receiver.came)
    assert post.clock.now - began == timedelta(hours=75, minutes=35, seconds=5)
    delivery = post.delivery(endpoint)
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 10)
    assert post.standing(endpoint).enabled


def test_an_endpoint_is_disabled_when_a_message_has_failed_at_its_last_attempt(
    post: Post, receiver: Receiver
):
    endpoint, _ = post.endpoint(receiver.url())
    receiver.answer(REFUSE)
    post.announce()
    for delay in DELAYS:
        assert post.standing(endpoint).enabled
        post.clock.now += delay
        post.deliver()
    found, delivery = post.standing(endpoint), post.delivery(endpoint)
    assert (found.enabled, found.disabled_reason) == (False, DisabledReason.FAILING)
    assert found.disabled_at == post.clock.now
    assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, 10)
    assert (delivery.last_result, delivery.last_status) == (Result.REFUSED, 500)
    post.announce()
    post.clock.move(days=9)
    post.deliver()
    assert len(receiver.came) == 10


def test_who_is_gone_is_told_no_more(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    receiver.answer(Reply(410))
    post.announce()
    post.deliver()
    found = post.standing(endpoint)
    assert (found.enabled, found.disabled_reason) == (False, DisabledReason.GONE)
    assert post.delivery(endpoint).state is DeliveryState.FAILED
    with pytest.raises(WebhookDisabled):
        post.ping(endpoint)
    with pytest.raises(WebhookDisabled):
        post.retry(post.delivery(endpoint))
    assert len(receiver.came) == 1


def test_what_waited_for_a_disabled_endpoint_goes_on_when_it_is_enabled(
    post: Post, receiver: Receiver
):
    endpoint, _ = post.endpoint(receiver.url())
    post.announce()
    post.change(endpoint, url=endpoint.url, enabled=False)
    assert post.standing(endpoint).disabled_reason is DisabledReason.ASKED
    post.deliver()
    assert receiver.came == []
    back = post.change(endpoint, url=receiver.url("/new"), enabled=True)
    assert (back.disabled_at, back.disabled_reason) == (None, None)
    post.deliver()
    assert [each.path for each in receiver.came] == ["/new"]


def test_retry_after_holds_for_the_whole_endpoint(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    other, _ = post.endpoint(receiver.url("/other"))
    receiver.answer(Reply(429, {"Retry-After": "3600"}), Reply(200))
    post.announce()
    post.deliver()
    assert post.delivery(endpoint).next_attempt_at == post.clock.now + timedelta(hours=1)
    post.clock.move(seconds=3599)
    post.announce()
    post.deliver()
    assert [each.path for each in receiver.came].count("/hook") == 1
    assert len(post.deliveries(other)) == [each.path for each in receiver.came].count("/other")
    post.clock.move(seconds=1)
    post.deliver()
    assert [each.path for each in receiver.came].count("/hook") == 3


def test_retry_after_shortens_nothing_and_counts_for_busy_statuses_alone(
    post: Post, receiver: Receiver
):
    endpoint, _ = post.endpoint(receiver.url())
    receiver.answer(Reply(503, {"Retry-After": "1"}), Reply(500, {"Retry-After": "9999"}))
    post.announce()
    post.deliver()
    assert post.delivery(endpoint).next_attempt_at == post.clock.now + DELAYS[1]
    post.clock.now += DELAYS[1]
    post.deliver()
    assert post.delivery(endpoint).next_attempt_at == post.clock.now + DELAYS[2]


def test_somebody_who_asks_for_a_message_again_gets_the_same_one(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    receiver.answer(Reply(200), Reply(503, {"Retry-After": "999"}), Reply(200))
    post.announce()
    post.deliver()
    first = post.delivery(endpoint)
    again = post.retry(first)
    assert (again.state, again.ended_at) == (DeliveryState.WAITING, None)
    assert again.next_attempt_at == post.clock.now
    post.deliver()
    assert post.delivery(endpoint).state is DeliveryState.WAITING
    # Who asks does not wait for the rest that the receiver asked for.
    post.retry(first)
    post.deliver()
    ended = post.delivery(endpoint)
    assert (ended.state, ended.attempts) == (DeliveryState.DELIVERED, 3)
    assert len({(each.id, each.body) for each in receiver.came}) == 1


def test_a_message_that_failed_for_good_starts_anew_when_it_is_asked_for(
    post: Post, receiver: Receiver
):
    endpoint, _ = post.endpoint(receiver.url())
    receiver.answer(*[REFUSE] * 11, Reply(200))
    post.announce()
    for delay in DELAYS:
        post.clock.now += delay
        post.deliver()
    post.change(endpoint, url=endpoint.url)
    post.deliver()
    assert len(receiver.came) == 10, "what failed for good is not sent by itself"
    post.retry(post.delivery(endpoint))
    post.deliver()
    assert post.standing(endpoint).enabled
    post.clock.now += DELAYS[1]
    post.deliver()
    assert post.delivery(endpoint).state is DeliveryState.DELIVERED


def test_a_ping_is_tried_once_and_disables_nothing(post: Post, receiver: Receiver):
    endpoint, secret = post.endpoint(receiver.url(), event_types=(EventType.RUN_FAILED,))
    receiver.answer(REFUSE, Reply(200))
    ping = post.ping(endpoint)
    post.deliver()
    post.clock.move(days=4)
    post.deliver()
    [came] = receiver.came
    assert json.loads(came.body)["type"] == "ping"
    assert json.loads(came.body)["data"] == {"webhook_id": str(endpoint.id)}
    assert came.is_signed_with(secret)
    assert post.delivery(endpoint).state is DeliveryState.FAILED
    assert post.standing(endpoint).enabled
    post.retry(ping)
    post.deliver()
    assert post.delivery(endpoint).state is DeliveryState.DELIVERED


# --- secrets ------------------------------------------------------------------------------------


def test_old_secrets_sign_along_for_a_day(post: Post, receiver: Receiver):
    endpoint, first = post.endpoint(receiver.url())
    second = post.rotate(endpoint)
    third = post.rotate(endpoint)
    assert len({first, second, third}) == 3

    def signed() -> list[bool]:
        post.ping(endpoint)
        post.deliver()
        return [receiver.came[-1].is_signed_with(each) for each in (first, second, third)]

    # A rotation whose answer got lost, and that is asked for again, locks nobody out.
    assert signed() == [True, True, True]
    assert receiver.came[-1].verify(first) == receiver.came[-1].verify(third)
    post.clock.move(hours=23, minutes=59)
    assert signed() == [True, True, True]
    post.clock.move(minutes=1)
    assert signed() == [False, False, True]
    fourth = post.rotate(endpoint)
    post.clock.move(hours=1)
    assert signed() == [False, False, True]
    assert receiver.came[-1].is_signed_with(fourth)


def test_however_often_secrets_are_rotated_the_header_stays_bounded(post: Post, receiver: Receiver):
    endpoint, first = post.endpoint(receiver.url())
    last = first
    for _ in range(30):
        post.clock.move(seconds=1)
        last = post.rotate(endpoint)
    post.ping(endpoint)
    post.deliver()
    [came] = receiver.came
    assert len(came.headers["webhook-signature"].split(" ")) == 10
    assert came.is_signed_with(last)
    assert not came.is_signed_with(first)


def test_no_secret_stands_in_the_database(post: Post, receiver: Receiver):
    from tests.databases import everything

    endpoint, first = post.endpoint(receiver.url())
    second = post.rotate(endpoint)
    post.ping(endpoint)
    post.deliver()
    there = repr(everything(post.database))
    for secret in (first, second):
        assert secret not in there
        assert secret.removeprefix("whsec_") not in there


def test_secrets_are_resealed(post: Post, receiver: Receiver):
    endpoint, secret = post.endpoint(receiver.url())
    old, new = "a secret key of the tests, and of no one else", "another secret key, of 32 or more"
    post.sealer = Sealer([new, old])
    with post.database.writing() as session:
        assert post.webhooks(session).reseal() == 1
        assert post.webhooks(session).reseal() == 0
    post.sealer = Sealer([new])
    post.courier = post.another()
    post.ping(endpoint)
    post.deliver()
    assert receiver.came[0].is_signed_with(secret)


def test_a_secret_opens_in_its_own_row_alone(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    other, _ = post.endpoint(receiver.url())
    with post.database.writing() as session:
        sealed = select(WebhookSecret.sealed).where(WebhookSecret.endpoint_id == other.id)
        foreign = session.scalars(sealed).one()
        mine = update(WebhookSecret).where(WebhookSecret.endpoint_id == endpoint.id)
        session.execute(mine.values(sealed=foreign))
    post.ping(endpoint)
    post.deliver()
    assert receiver.came == []
    assert post.delivery(endpoint).last_result is Result.SECRET_UNREADABLE


# --- addresses ----------------------------------------------------------------------------------


def test_what_may_not_be_connected_to_is_told_and_not_connected_to(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    post.sender = Sender(policy=AddressPolicy())
    post.courier = post.another()
    post.announce()
    post.deliver()
    assert receiver.came == []
    delivery = post.delivery(endpoint)
    assert (delivery.last_result, delivery.last_status) == (Result.ADDRESS_REFUSED, None)
    assert delivery.state is DeliveryState.WAITING


def test_a_scheme_that_is_not_allowed_any_more_is_not_used(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    claims = Claims(post.database, now=post.clock)
    post.courier = Courier(post.database, post.sealer, claims, post.sender)
    post.announce()
    post.deliver()
    assert receiver.came == []
    assert post.delivery(endpoint).last_result is Result.SCHEME_REFUSED


# --- at once ------------------------------------------------------------------------------------


def test_a_slow_endpoint_holds_up_no_other(post: Post, receiver: Receiver):
    done = threading.Event()
    receiver.answer(Reply(200, after=done), path="/slow")
    slow, _ = post.endpoint(receiver.url("/slow"))
    fast, _ = post.endpoint(receiver.url("/fast"))
    for _ in range(30):
        post.announce()
    post.courier.deliver_due()
    # All that the slow one may have are under way, and stay so.
    receiver.wait_for(Bounds().endpoint, "/slow")
    receiver.wait_for(30, "/fast")
    assert len([each for each in receiver.came if each.path == "/slow"]) == Bounds().endpoint
    done.set()
    assert post.courier.wait_idle(LONG)
    for endpoint in (slow, fast):
        assert {each.state for each in post.deliveries(endpoint)} == {DeliveryState.DELIVERED}
    assert len(receiver.came) == 60


def test_a_tenant_cannot_take_every_thread(post: Post, receiver: Receiver):
    done = threading.Event()
    for number in range(5):
        receiver.answer(Reply(200, after=done), path=f"/slow{number}")
        post.endpoint(receiver.url(f"/slow{number}"))
    other = Post(post.database, post.clock)
    other.endpoint(receiver.url("/other"))
    for _ in range(5):
        post.announce()
    post.clock.move(seconds=1)
    other.announce()
    post.courier.deliver_due()
    receiver.wait_for(1, "/other")
    receiver.wait_for(Bounds().tenant + 1)
    assert len(receiver.came) == Bounds().tenant + 1
    done.set()
    assert post.courier.wait_idle(LONG)
    assert len(receiver.came) == 26


def test_who_stops_begins_nothing_more(post: Post, receiver: Receiver):
    done = threading.Event()
    receiver.answer(Reply(200, after=done))
    endpoint, _ = post.endpoint(receiver.url())
    for _ in range(Bounds().endpoint + 1):
        post.announce()
    post.courier.deliver_due()
    receiver.wait_for(Bounds().endpoint)
    assert not post.courier.stop(0)
    done.set()
    assert post.courier.stop(LONG)
    post.courier.deliver_due()
    states = [each.state for each in post.deliveries(endpoint)]
    assert states.count(DeliveryState.WAITING) == 1
    assert len(receiver.came) == Bounds().endpoint


def test_a_database_that_fails_for_a_moment_costs_no_thread(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    endpoints = [post.endpoint(receiver.url(f"/{name}"))[0] for name in "abc"]
    post.announce()
    real, failing = post.courier._claims.take, {each.id for each in endpoints[1:]}

    def take(endpoint_id: UUID, limit: int) -> list[Claimed]:
        if endpoint_id in failing:
            raise OperationalError("UPDATE", {}, RuntimeError("busy"))
        return real(endpoint_id, limit)

    monkeypatch.setattr(post.courier._claims, "take", take)
    post.deliver()
    assert [each.path for each in receiver.came] == ["/a"]
    failing.clear()
    post.deliver()
    assert sorted(each.path for each in receiver.came) == ["/a", "/b", "/c"]


# --- leases -------------------------------------------------------------------------------------


def _claims(post: Post) -> Claims:
    return Claims(post.database, now=post.clock, seconds=90)


def test_who_dies_before_writing_it_down_leaves_it_to_be_sent_again(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    endpoint, _ = post.endpoint(receiver.url())
    post.announce()
    dying = post.another()

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(dying._claims, "record", die)
    with monkeypatch.context() as quiet:
        quiet.setattr(threading, "excepthook", lambda _: None)
        dying.deliver_due()
        receiver.wait_for(1)
        for thread in threading.enumerate():
            if thread.name == "towline-webhook":
                thread.join(LONG)
    post.clock.move(seconds=90)
    post.deliver()
    assert len(receiver.came) == 1
    post.clock.move(seconds=1)
    post.deliver()
    first, second = receiver.came
    assert (first.id, first.body) == (second.id, second.body)
    assert second.timestamp == first.timestamp + 91
    delivery = post.delivery(endpoint)
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


def test_who_comes_too_late_writes_nothing(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    post.announce()
    [late] = _claims(post).take(endpoint.id, 1)
    post.clock.move(seconds=91)
    [now] = _claims(post).take(endpoint.id, 1)
    gone = Answer(result=Result.REFUSED, status=410)
    assert _claims(post).record(late, gone) is None
    assert post.standing(endpoint).enabled
    recorded = _claims(post).record(now, Answer(result=Result.DELIVERED, status=200))
    assert recorded is not None
    assert recorded.state is DeliveryState.DELIVERED
    assert _claims(post).record(now, gone) is None


def test_what_is_deleted_meanwhile_is_no_trouble(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    post.announce()
    [claimed] = _claims(post).take(endpoint.id, 1)
    with post.database.writing() as session:
        post.webhooks(session).delete(endpoint.id)
    assert _claims(post).record(claimed, Answer(result=Result.DELIVERED, status=200)) is None
    assert _claims(post).take(endpoint.id, 1) == []
    assert post.deliveries(endpoint) == []


def test_of_many_servers_one_sends_a_message(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    for _ in range(40):
        post.announce()
    couriers = [post.another() for _ in range(4)]
    starting = threading.Barrier(len(couriers))

    def deliver(courier: Courier) -> None:
        starting.wait()
        courier.deliver_due()
        assert courier.wait_idle(LONG)

    with ThreadPoolExecutor() as pool:
        list(pool.map(deliver, couriers))
    assert len(receiver.came) == 40
    assert len({each.id for each in receiver.came}) == 40
    assert {each.attempts for each in post.deliveries(endpoint)} == {1}


@pytest.mark.services
def test_two_servers_that_take_at_once_share_and_wait_for_nobody(postgres_url: str):
    from tests.databases import open_database

    # Who would have to wait for a lock fails at once.
    database = open_database(postgres_url, lock_seconds=0.001)
    post = Post(database)
    endpoint, _ = post.endpoint("https://hooks.example/")
    for _ in range(3):
        post.announce()
    with database.writing() as session:
        first = select(WebhookDelivery.id).order_by(
            WebhookDelivery.next_attempt_at, WebhookDelivery.id
        )
        held = session.scalars(first.limit(1).with_for_update()).one()
        taken = _claims(post).take(endpoint.id, 3)
        assert held not in {each.delivery_id for each in taken}
        assert len(taken) == 2
    assert [each.delivery_id for each in _claims(post).take(endpoint.id, 3)] == [held]
    database.close()


@pytest.mark.services
def test_an_endpoint_that_is_being_deleted_stops_no_run_from_ending(postgres_url: str):
    from tests.databases import open_database
    from towline_server.webhooks.outbox import announce

    database = open_database(postgres_url, lock_seconds=LONG)
    post = Post(database)
    endpoint, _ = post.endpoint("https://hooks.example/")
    other, _ = post.endpoint("https://other.example/")

    def end_a_run() -> None:
        with database.writing() as session:
            announce(session, post.event())

    with ThreadPoolExecutor() as pool:
        with database.writing() as session:
            post.webhooks(session).delete(endpoint.id)
            ending = pool.submit(end_a_run)
            _await_waiter(database)
        ending.result(LONG)
    assert post.deliveries(endpoint) == []
    assert len(post.deliveries(other)) == 1
    database.close()


def _await_waiter(database: Database) -> None:
    """Come back once somebody waits for a lock."""
    ends_at = time.monotonic() + LONG
    waiting = 0
    while not waiting:
        assert time.monotonic() < ends_at, "nobody waits"
        with database.reading() as session:
            waiting = session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))


# --- what is told of it -------------------------------------------------------------------------


def test_attempts_are_counted_and_logged_without_secrets(
    post: Post, receiver: Receiver, caplog: pytest.LogCaptureFixture
):
    def counted(result: str) -> float:
        return REGISTRY.get_sample_value("towline_webhook_attempts_total", {"result": result}) or 0

    _, secret = post.endpoint(receiver.url("/hook?token=hush"))
    receiver.answer(REFUSE, Reply(410), path="/hook?token=hush")
    before = counted("refused")
    with caplog.at_level(logging.DEBUG, "towline"):
        post.announce()
        post.deliver()
        post.clock.now += DELAYS[1]
        post.deliver()
    assert counted("refused") == before + 2
    attempts = [each for each in caplog.records if each.message == "webhook attempted"]
    assert [vars(each)["status"] for each in attempts] == [500, 410]
    [disabled] = [each for each in caplog.records if each.message == "webhook disabled"]
    assert vars(disabled)["reason"] == "gone"
    said = " ".join(str(vars(each)) for each in caplog.records)
    assert secret not in said
    assert "hush" not in said


# --- forgetting ---------------------------------------------------------------------------------


def test_what_ended_long_ago_is_forgotten_and_nothing_else(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("towline_server.webhooks.claims._FORGOTTEN", 2)
    sent, _ = post.endpoint(receiver.url())
    waiting, _ = post.endpoint(receiver.url("/waiting"))
    disabled, _ = post.endpoint(receiver.url("/disabled"))
    receiver.answer(REFUSE, path="/waiting")
    for _ in range(5):
        post.announce()
    post.change(disabled, url=disabled.url, enabled=False)
    post.deliver()
    post.clock.move(days=29)
    post.announce()
    post.retry(post.deliveries(sent)[-1])
    post.deliver()
    post.courier.forget_old()
    assert [len(post.deliveries(each)) for each in (sent, waiting, disabled)] == [6, 6, 5]
    post.clock.move(days=1, seconds=1)
    post.courier.forget_old()
    # One was sent again since, one is new; what is still tried is kept; what waits in vain is not.
    assert [len(post.deliveries(each)) for each in (sent, waiting, disabled)] == [2, 6, 0]


def test_an_endpoint_goes_with_its_project_and_its_deliveries_with_it(
    post: Post, receiver: Receiver
):
    from towline_server.projects.service import Projects

    bound, _ = post.endpoint(receiver.url(), project_id=post.project_id)
    post.announce()
    with post.database.writing() as session:
        Projects(session).delete(post.project_id)
    with post.database.reading() as session:
        assert post.webhooks(session).get(bound.id) is None
        assert session.scalars(select(WebhookSecret)).all() == []
    assert post.deliveries(bound) == []


def test_a_url_that_is_no_webhooks_is_refused(post: Post):
    for url in (
        "https://user:password@hooks.example/",
        "https://user@hooks.example/",
        "https://hooks.example/#part",
        "https://hooks.example/a b",
        "https://hooks.example/\n",
        "https://hooks.example\n",
        "https://hooks.example:0/",
        "https://hooks.example:65536/",
        "https://-hooks.example/",
        "https://[::1]/",
        "https:///path",
        "ftp://hooks.example/",
        "https://hooks.example/é",
        "https://hooks.example/" + "a" * 1024,
        "",
    ):
        with pytest.raises(InvalidValue) as caught:
            post.endpoint(url)
        assert not url or url not in caught.value.message
    for url in ("https://hooks.example", "https://1.2.3.4:65535/a@b?c=d?e", "http://h?x"):
        assert post.endpoint(url)[0].url == url


def test_deliveries_of_others_are_not_there(post: Post, receiver: Receiver, database: Database):
    from towline_server.errors import NotFound

    mine, _ = post.endpoint(receiver.url())
    theirs, _ = post.endpoint(receiver.url())
    ping = post.ping(theirs)
    for endpoint_id, delivery_id in ((mine.id, ping.id), (theirs.id, uuid4()), (uuid4(), ping.id)):
        with pytest.raises(NotFound), database.writing() as session:
            Deliveries(session, endpoint_id).retry(delivery_id)
