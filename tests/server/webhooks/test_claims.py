"""One attempt at a time, whoever makes it: leases, and how much is sent at once."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError

from tests.server.webhooks.post import LONG, Post
from tests.server.webhooks.receiver import Receiver, Reply
from towline_server.db import Database
from towline_server.loops import Backoff
from towline_server.webhooks.domain import DeliveryState, Result
from towline_server.webhooks.queue import Attempt, DeliveryQueue
from towline_server.webhooks.sending import Answer
from towline_server.webhooks.tables import WebhookDeliveryRow, WebhookSecretRow
from towline_server.webhooks.worker import Bounds, DeliveryWorker

REFUSE = Reply(500)


def test_a_slow_endpoint_holds_up_no_other(post: Post, receiver: Receiver):
    done = threading.Event()
    receiver.answer(Reply(200, after=done), path="/slow")
    slow, _ = post.endpoint(receiver.url("/slow"))
    fast, _ = post.endpoint(receiver.url("/fast"))
    for _ in range(30):
        post.announce()
    post.delivery_worker.deliver_due()
    # All that the slow one may have are under way, and stay so.
    receiver.wait_for(Bounds().endpoint, "/slow")
    receiver.wait_for(30, "/fast")
    assert len([each for each in receiver.came if each.path == "/slow"]) == Bounds().endpoint
    done.set()
    assert post.delivery_worker._threads.wait_idle(LONG)
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
    post.delivery_worker.deliver_due()
    receiver.wait_for(1, "/other")
    receiver.wait_for(Bounds().tenant + 1)
    assert len(receiver.came) == Bounds().tenant + 1
    done.set()
    assert post.delivery_worker._threads.wait_idle(LONG)
    assert len(receiver.came) == 26


def test_who_stops_begins_nothing_more(post: Post, receiver: Receiver):
    done = threading.Event()
    receiver.answer(Reply(200, after=done))
    endpoint, _ = post.endpoint(receiver.url())
    for _ in range(Bounds().endpoint + 1):
        post.announce()
    post.delivery_worker.deliver_due()
    receiver.wait_for(Bounds().endpoint)
    assert not post.delivery_worker.stop(0)
    done.set()
    assert post.delivery_worker.stop(LONG)
    post.delivery_worker.deliver_due()
    states = [each.state for each in post.deliveries(endpoint)]
    assert states.count(DeliveryState.WAITING) == 1
    assert len(receiver.came) == Bounds().endpoint


def test_a_database_that_fails_for_a_moment_costs_no_thread(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    endpoints = [post.endpoint(receiver.url(f"/{name}"))[0] for name in "abc"]
    post.announce()
    real, failing = post.delivery_worker._queue.take, {each.id for each in endpoints[1:]}

    def take(endpoint_id: UUID, limit: int) -> list[Attempt]:
        if endpoint_id in failing:
            raise OperationalError("UPDATE", {}, RuntimeError("busy"))
        return real(endpoint_id, limit)

    monkeypatch.setattr(post.delivery_worker._queue, "take", take)
    post.delivery_worker._backoff = Backoff("webhooks", first_seconds=0)
    post.deliver()
    assert [each.path for each in receiver.came] == ["/a"]
    failing.clear()
    post.deliver()
    assert sorted(each.path for each in receiver.came) == ["/a", "/b", "/c"]


# --- leases -------------------------------------------------------------------------------------


def _queue(post: Post) -> DeliveryQueue:
    return DeliveryQueue(post.database, now=post.clock, seconds=90)


def test_who_dies_before_writing_it_down_leaves_it_to_be_sent_again(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    endpoint, _ = post.endpoint(receiver.url())
    post.announce()
    dying = post.another()

    def die(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(dying._queue, "record", die)
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
    [late] = _queue(post).take(endpoint.id, 1)
    post.clock.move(seconds=91)
    [now] = _queue(post).take(endpoint.id, 1)
    gone = Answer(result=Result.REFUSED, status=410)
    assert _queue(post).record(late, gone) is None
    assert post.standing(endpoint).enabled
    recorded = _queue(post).record(now, Answer(result=Result.DELIVERED, status=200))
    assert recorded is not None
    assert recorded.state is DeliveryState.DELIVERED
    assert _queue(post).record(now, gone) is None


def test_what_is_deleted_meanwhile_is_no_trouble(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    post.announce()
    [attempt] = _queue(post).take(endpoint.id, 1)
    with post.database.writing() as session:
        post.webhooks(session).delete(endpoint.id)
    assert _queue(post).record(attempt, Answer(result=Result.DELIVERED, status=200)) is None
    assert _queue(post).take(endpoint.id, 1) == []
    assert post.deliveries(endpoint) == []


def test_of_many_servers_one_sends_a_message(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    for _ in range(40):
        post.announce()
    couriers = [post.another() for _ in range(4)]
    starting = threading.Barrier(len(couriers))

    def deliver(delivery_worker: DeliveryWorker) -> None:
        starting.wait()
        delivery_worker.deliver_due()
        assert delivery_worker._threads.wait_idle(LONG)

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
        first = select(WebhookDeliveryRow.id).order_by(
            WebhookDeliveryRow.next_attempt_at, WebhookDeliveryRow.id
        )
        held = session.scalars(first.limit(1).with_for_update()).one()
        taken = _queue(post).take(endpoint.id, 3)
        assert held not in {each.delivery_id for each in taken}
        assert len(taken) == 2
    assert [each.delivery_id for each in _queue(post).take(endpoint.id, 3)] == [held]
    database.close()


@pytest.mark.services
def test_an_endpoint_that_is_being_deleted_stops_no_run_from_ending(postgres_url: str):
    from tests.databases import open_database
    from towline_server.webhooks.deliveries import announce

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


# --- forgetting ---------------------------------------------------------------------------------


def test_what_ended_long_ago_is_forgotten_and_nothing_else(
    post: Post, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("towline_server.webhooks.queue._FORGOTTEN", 2)
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
    post.delivery_worker.forget_old()
    assert [len(post.deliveries(each)) for each in (sent, waiting, disabled)] == [6, 6, 5]
    post.clock.move(days=1, seconds=1)
    post.delivery_worker.forget_old()
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
        assert session.scalars(select(WebhookSecretRow)).all() == []
    assert post.deliveries(bound) == []
