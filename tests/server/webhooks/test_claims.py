"""One attempt at a time over all servers: leases, and how much is sent at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.server.runs.deadlocks import await_waiters
from tests.server.webhooks.receiver import Receiver, Reply
from tests.server.webhooks.tenant_webhooks import LONG, TenantWebhooks
from towline_server.loops import Backoff
from towline_server.webhooks.domain import DeliveryState, Result
from towline_server.webhooks.queue import Attempt, DeliveryQueue
from towline_server.webhooks.sending import Answer
from towline_server.webhooks.tables import WebhookDeliveryRow, WebhookSecretRow
from towline_server.webhooks.worker import Bounds, DeliveryWorker

REFUSE = Reply(500)


def test_a_slow_endpoint_holds_up_no_other(webhooks: TenantWebhooks, receiver: Receiver):
    done = threading.Event()
    receiver.answer(Reply(200, after=done), path="/slow")
    slow, _ = webhooks.endpoint(receiver.url("/slow"))
    fast, _ = webhooks.endpoint(receiver.url("/fast"))
    for _ in range(30):
        webhooks.announce()
    webhooks.delivery_worker.deliver_due()
    # All that the slow one may have are under way, and stay so.
    receiver.wait_for(Bounds().endpoint, "/slow")
    receiver.wait_for(30, "/fast")
    assert len([each for each in receiver.requests if each.path == "/slow"]) == Bounds().endpoint
    done.set()
    assert webhooks.delivery_worker._threads.wait_idle(LONG)
    for endpoint in (slow, fast):
        assert {each.state for each in webhooks.deliveries(endpoint)} == {DeliveryState.DELIVERED}
    assert len(receiver.requests) == 60


def test_a_tenant_cannot_take_every_thread(webhooks: TenantWebhooks, receiver: Receiver):
    done = threading.Event()
    for number in range(5):
        receiver.answer(Reply(200, after=done), path=f"/slow{number}")
        webhooks.endpoint(receiver.url(f"/slow{number}"))
    other = TenantWebhooks(webhooks.database, webhooks.clock)
    other.endpoint(receiver.url("/other"))
    for _ in range(5):
        webhooks.announce()
    webhooks.clock.move(seconds=1)
    other.announce()
    webhooks.delivery_worker.deliver_due()
    receiver.wait_for(1, "/other")
    receiver.wait_for(Bounds().tenant + 1)
    assert len(receiver.requests) == Bounds().tenant + 1
    done.set()
    assert webhooks.delivery_worker._threads.wait_idle(LONG)
    assert len(receiver.requests) == 26


def test_who_stops_begins_nothing_more(webhooks: TenantWebhooks, receiver: Receiver):
    done = threading.Event()
    receiver.answer(Reply(200, after=done))
    endpoint, _ = webhooks.endpoint(receiver.url())
    for _ in range(Bounds().endpoint + 1):
        webhooks.announce()
    webhooks.delivery_worker.deliver_due()
    receiver.wait_for(Bounds().endpoint)
    assert not webhooks.delivery_worker.stop(0)
    done.set()
    assert webhooks.delivery_worker.stop(LONG)
    webhooks.delivery_worker.deliver_due()
    states = [each.state for each in webhooks.deliveries(endpoint)]
    assert states.count(DeliveryState.WAITING) == 1
    assert len(receiver.requests) == Bounds().endpoint


def test_a_database_that_fails_for_a_moment_costs_no_thread(
    webhooks: TenantWebhooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    endpoints = [webhooks.endpoint(receiver.url(f"/{name}"))[0] for name in "abc"]
    webhooks.announce()
    real, failing = webhooks.delivery_worker._queue.take, {each.id for each in endpoints[1:]}

    def take(endpoint_id: UUID, limit: int) -> list[Attempt]:
        if endpoint_id in failing:
            raise OperationalError("UPDATE", {}, RuntimeError("busy"))
        return real(endpoint_id, limit)

    monkeypatch.setattr(webhooks.delivery_worker._queue, "take", take)
    webhooks.delivery_worker._backoff = Backoff("webhooks", first_seconds=0)
    webhooks.deliver()
    assert [each.path for each in receiver.requests] == ["/a"]
    failing.clear()
    webhooks.deliver()
    assert sorted(each.path for each in receiver.requests) == ["/a", "/b", "/c"]


# --- leases -------------------------------------------------------------------------------------


def _queue(webhooks: TenantWebhooks) -> DeliveryQueue:
    return DeliveryQueue(webhooks.database, now=webhooks.clock, seconds=90)


def test_who_dies_before_writing_it_down_leaves_it_to_be_sent_again(
    webhooks: TenantWebhooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    webhooks.announce()
    dying = webhooks.another()

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
    webhooks.clock.move(seconds=90)
    webhooks.deliver()
    assert len(receiver.requests) == 1
    webhooks.clock.move(seconds=1)
    webhooks.deliver()
    first, second = receiver.requests
    assert (first.id, first.body) == (second.id, second.body)
    assert second.timestamp == first.timestamp + 91
    delivery = webhooks.delivery(endpoint)
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)


def test_a_worker_whose_lease_lapsed_writes_nothing(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, _ = webhooks.endpoint(receiver.url())
    webhooks.announce()
    [late] = _queue(webhooks).take(endpoint.id, 1)
    webhooks.clock.move(seconds=91)
    [now] = _queue(webhooks).take(endpoint.id, 1)
    gone = Answer(result=Result.REFUSED, status=410)
    assert _queue(webhooks).record(late, gone) is None
    assert webhooks.current(endpoint).enabled
    recorded = _queue(webhooks).record(now, Answer(result=Result.DELIVERED, status=200))
    assert recorded is not None
    assert recorded.state is DeliveryState.DELIVERED
    assert _queue(webhooks).record(now, gone) is None


def test_what_is_deleted_meanwhile_is_no_trouble(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, _ = webhooks.endpoint(receiver.url())
    webhooks.announce()
    [attempt] = _queue(webhooks).take(endpoint.id, 1)
    with webhooks.database.writing() as session:
        webhooks.service(session).delete(endpoint.id)
    assert _queue(webhooks).record(attempt, Answer(result=Result.DELIVERED, status=200)) is None
    assert _queue(webhooks).take(endpoint.id, 1) == []
    assert webhooks.deliveries(endpoint) == []


def test_of_many_servers_one_sends_a_message(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, _ = webhooks.endpoint(receiver.url())
    for _ in range(40):
        webhooks.announce()
    workers = [webhooks.another() for _ in range(4)]
    starting = threading.Barrier(len(workers))

    def deliver(delivery_worker: DeliveryWorker) -> None:
        starting.wait()
        delivery_worker.deliver_due()
        assert delivery_worker._threads.wait_idle(LONG)

    with ThreadPoolExecutor() as pool:
        list(pool.map(deliver, workers))
    assert len(receiver.requests) == 40
    assert len({each.id for each in receiver.requests}) == 40
    assert {each.attempts for each in webhooks.deliveries(endpoint)} == {1}


@pytest.mark.services
def test_two_servers_that_take_at_once_share_without_waiting(postgres_url: str):
    from tests.databases import open_database

    # A transaction that has to wait for a lock fails at once.
    database = open_database(postgres_url, lock_seconds=0.001)
    webhooks = TenantWebhooks(database)
    endpoint, _ = webhooks.endpoint("https://hooks.example/")
    for _ in range(3):
        webhooks.announce()
    with database.writing() as session:
        first = select(WebhookDeliveryRow.id).order_by(
            WebhookDeliveryRow.next_attempt_at, WebhookDeliveryRow.id
        )
        held = session.scalars(first.limit(1).with_for_update()).one()
        with ThreadPoolExecutor() as pool:
            taken = pool.submit(_queue(webhooks).take, endpoint.id, 3).result(LONG)
        assert held not in {each.delivery_id for each in taken}
        assert len(taken) == 2
    assert [each.delivery_id for each in _queue(webhooks).take(endpoint.id, 3)] == [held]
    database.close()


@pytest.mark.services
def test_an_endpoint_that_is_being_deleted_stops_no_run_from_ending(postgres_url: str):
    from tests.databases import open_database
    from towline_server.webhooks.deliveries import announce

    database = open_database(postgres_url, lock_seconds=LONG)
    webhooks = TenantWebhooks(database)
    endpoint, _ = webhooks.endpoint("https://hooks.example/")
    other, _ = webhooks.endpoint("https://other.example/")

    def end_a_run() -> None:
        with database.writing() as session:
            announce(session, webhooks.event())

    with ThreadPoolExecutor() as pool:
        with database.writing() as session:
            webhooks.service(session).delete(endpoint.id)
            ending = pool.submit(end_a_run)
            await_waiters(database, 1)
        ending.result(LONG)
    assert webhooks.deliveries(endpoint) == []
    assert len(webhooks.deliveries(other)) == 1
    database.close()


# --- forgetting ---------------------------------------------------------------------------------


def test_what_ended_long_ago_is_forgotten_and_nothing_else(
    webhooks: TenantWebhooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("towline_server.webhooks.queue._FORGOTTEN", 2)
    sent, _ = webhooks.endpoint(receiver.url())
    waiting, _ = webhooks.endpoint(receiver.url("/waiting"))
    disabled, _ = webhooks.endpoint(receiver.url("/disabled"))
    receiver.answer(REFUSE, path="/waiting")
    for _ in range(5):
        webhooks.announce()
    webhooks.change(disabled, url=disabled.url, enabled=False)
    webhooks.deliver()
    webhooks.clock.move(days=29)
    webhooks.announce()
    webhooks.retry(webhooks.deliveries(sent)[-1])
    webhooks.deliver()
    webhooks.delivery_worker.forget_old()
    assert [len(webhooks.deliveries(each)) for each in (sent, waiting, disabled)] == [6, 6, 5]
    webhooks.clock.move(days=1, seconds=1)
    webhooks.delivery_worker.forget_old()
    # One was sent again since, one is new; what is still tried stays; what waits in vain does not.
    assert [len(webhooks.deliveries(each)) for each in (sent, waiting, disabled)] == [2, 6, 0]


def test_an_endpoint_goes_with_its_project_and_its_deliveries_with_it(
    webhooks: TenantWebhooks, receiver: Receiver
):
    from towline_server.projects.service import Projects

    bound, _ = webhooks.endpoint(receiver.url(), project_id=webhooks.project_id)
    webhooks.announce()
    with webhooks.database.writing() as session:
        Projects(session).delete(webhooks.project_id)
    with webhooks.database.reading() as session:
        assert webhooks.service(session).get(bound.id) is None
        assert session.scalars(select(WebhookSecretRow)).all() == []
    assert webhooks.deliveries(bound) == []
