"""Deliveries of messages: to which endpoints, when they are tried again, and when no more."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from tests.server.webhooks.receiver import Receiver, Reply
from tests.server.webhooks.tenant_webhooks import TenantWebhooks
from towline_server.errors import WebhookDisabled
from towline_server.metrics import REGISTRY
from towline_server.webhooks.domain import RETRIES, DeliveryState, DisabledReason, EventType, Result

REFUSE = Reply(500)


def test_a_message_is_signed(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, secret = webhooks.endpoint(receiver.url())
    webhooks.announce(EventType.RUN_SUCCEEDED, run_id="r1")
    webhooks.deliver()
    [received] = receiver.requests
    event = received.verify(secret)
    assert event == {
        "type": "run.succeeded",
        "timestamp": webhooks.clock.now.strftime("%Y-%m-%dT%H:%M:%S.000000Z"),
        "data": {
            "project_id": str(webhooks.project_id),
            "project_path": json.loads(received.body)["data"]["project_path"],
            "run_id": "r1",
        },
    }
    delivery = webhooks.delivery(endpoint)
    assert (delivery.message_id, delivery.payload.encode()) == (received.id, received.body)
    assert received.timestamp == int(webhooks.clock.now.timestamp())
    assert "." not in received.id
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 1)
    assert (delivery.last_result, delivery.last_status) == (Result.DELIVERED, 204)
    assert (delivery.next_attempt_at, delivery.ended_at) == (None, webhooks.clock.now)
    webhooks.clock.move(days=5)
    webhooks.deliver()
    assert len(receiver.requests) == 1


def test_each_endpoint_gets_the_events_of_its_filter_once(
    webhooks: TenantWebhooks, receiver: Receiver
):
    stranger = TenantWebhooks(webhooks.database, webhooks.clock)
    mine, other = webhooks.project_id, TenantWebhooks(webhooks.database).project_id
    filters: dict[str, dict[str, Any]] = {
        "/all": {},
        "/mine": {"project_id": mine},
        "/failed": {"event_types": (EventType.RUN_FAILED,)},
        "/succeeded": {"event_types": (EventType.RUN_SUCCEEDED, EventType.RUN_CANCELLED)},
        "/disabled": {"enabled": False},
        "/elsewhere": {"project_id": other},
    }
    for path, wanted in filters.items():
        webhooks.endpoint(receiver.url(path), **wanted)
    stranger.endpoint(receiver.url("/stranger"))
    webhooks.announce(EventType.RUN_FAILED)
    webhooks.deliver()
    assert sorted(each.path for each in receiver.requests) == ["/all", "/failed", "/mine"]
    assert len({each.id for each in receiver.requests}) == 1
    assert len({each.body for each in receiver.requests}) == 1


def test_what_is_rolled_back_is_not_sent(webhooks: TenantWebhooks, receiver: Receiver):
    from towline_server.webhooks.deliveries import announce

    endpoint, _ = webhooks.endpoint(receiver.url())

    def fail() -> None:
        with webhooks.database.writing() as session:
            announce(session, webhooks.event())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    webhooks.deliver()
    assert (receiver.requests, webhooks.deliveries(endpoint)) == ([], [])


# --- trying again -------------------------------------------------------------------------------


def test_a_message_is_tried_again_in_time_under_one_id(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, secret = webhooks.endpoint(receiver.url())
    receiver.answer(*[REFUSE] * 9, Reply(200))
    webhooks.announce()
    began = webhooks.clock.now
    for number, delay in enumerate(RETRIES.delays, start=1):
        if delay:
            webhooks.clock.now += delay - timedelta(seconds=1)
            webhooks.deliver()
            assert len(receiver.requests) == number - 1
            webhooks.clock.move(seconds=1)
        webhooks.deliver()
        assert len(receiver.requests) == number
        assert receiver.requests[-1].timestamp == int(webhooks.clock.now.timestamp())
    assert len({each.id for each in receiver.requests}) == 1
    assert all(each.is_signed_with(secret) for each in receiver.requests)
    assert webhooks.clock.now - began == timedelta(hours=75, minutes=35, seconds=5)
    delivery = webhooks.delivery(endpoint)
    assert (delivery.state, delivery.attempts) == (DeliveryState.DELIVERED, 10)
    assert webhooks.current(endpoint).enabled


def test_an_endpoint_is_disabled_when_a_message_has_failed_at_its_last_attempt(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    receiver.answer(REFUSE)
    webhooks.announce()
    for delay in RETRIES.delays:
        assert webhooks.current(endpoint).enabled
        webhooks.clock.now += delay
        webhooks.deliver()
    found, delivery = webhooks.current(endpoint), webhooks.delivery(endpoint)
    assert (found.enabled, found.disabled_reason) == (False, DisabledReason.FAILING)
    assert found.disabled_at == webhooks.clock.now
    assert (delivery.state, delivery.attempts) == (DeliveryState.FAILED, 10)
    assert (delivery.last_result, delivery.last_status) == (Result.REFUSED, 500)
    webhooks.announce()
    webhooks.clock.move(days=9)
    webhooks.deliver()
    assert len(receiver.requests) == 10


def test_an_endpoint_that_is_gone_gets_no_more(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, _ = webhooks.endpoint(receiver.url())
    receiver.answer(Reply(410))
    webhooks.announce()
    webhooks.deliver()
    found = webhooks.current(endpoint)
    assert (found.enabled, found.disabled_reason) == (False, DisabledReason.GONE)
    assert webhooks.delivery(endpoint).state is DeliveryState.FAILED
    with pytest.raises(WebhookDisabled):
        webhooks.ping(endpoint)
    with pytest.raises(WebhookDisabled):
        webhooks.retry(webhooks.delivery(endpoint))
    assert len(receiver.requests) == 1


def test_what_waited_for_a_disabled_endpoint_goes_on_when_it_is_enabled(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    webhooks.announce()
    webhooks.change(endpoint, url=endpoint.url, enabled=False)
    assert webhooks.current(endpoint).disabled_reason is DisabledReason.ASKED
    webhooks.deliver()
    assert receiver.requests == []
    back = webhooks.change(endpoint, url=receiver.url("/new"), enabled=True)
    assert (back.disabled_at, back.disabled_reason) == (None, None)
    webhooks.deliver()
    assert [each.path for each in receiver.requests] == ["/new"]


def test_retry_after_holds_for_the_whole_endpoint(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, _ = webhooks.endpoint(receiver.url())
    other, _ = webhooks.endpoint(receiver.url("/other"))
    receiver.answer(Reply(429, {"Retry-After": "3600"}), Reply(200))
    webhooks.announce()
    webhooks.deliver()
    assert webhooks.delivery(endpoint).next_attempt_at == webhooks.clock.now + timedelta(hours=1)
    webhooks.clock.move(seconds=3599)
    webhooks.announce()
    webhooks.deliver()
    paths = [each.path for each in receiver.requests]
    assert (paths.count("/hook"), paths.count("/other")) == (1, len(webhooks.deliveries(other)))
    webhooks.clock.move(seconds=1)
    webhooks.deliver()
    assert [each.path for each in receiver.requests].count("/hook") == 3


def test_retry_after_shortens_nothing_and_counts_for_busy_statuses_alone(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    receiver.answer(Reply(503, {"Retry-After": "1"}), Reply(500, {"Retry-After": "9999"}))
    webhooks.announce()
    webhooks.deliver()
    assert webhooks.delivery(endpoint).next_attempt_at == webhooks.clock.now + RETRIES.delays[1]
    webhooks.clock.now += RETRIES.delays[1]
    webhooks.deliver()
    assert webhooks.delivery(endpoint).next_attempt_at == webhooks.clock.now + RETRIES.delays[2]


def test_a_message_that_is_asked_for_again_is_the_same(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    receiver.answer(Reply(200), Reply(503, {"Retry-After": "999"}), Reply(200))
    webhooks.announce()
    webhooks.deliver()
    first = webhooks.delivery(endpoint)
    again = webhooks.retry(first)
    assert (again.state, again.ended_at) == (DeliveryState.WAITING, None)
    assert again.next_attempt_at == webhooks.clock.now
    webhooks.deliver()
    assert webhooks.delivery(endpoint).state is DeliveryState.WAITING
    # A retry on request does not wait for the time that the receiver asked for.
    webhooks.retry(first)
    webhooks.deliver()
    ended = webhooks.delivery(endpoint)
    assert (ended.state, ended.attempts) == (DeliveryState.DELIVERED, 3)
    assert len({(each.id, each.body) for each in receiver.requests}) == 1


def test_a_message_that_failed_for_good_is_tried_again_when_asked_for(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    receiver.answer(*[REFUSE] * 11, Reply(200))
    webhooks.announce()
    for delay in RETRIES.delays:
        webhooks.clock.now += delay
        webhooks.deliver()
    webhooks.change(endpoint, url=endpoint.url)
    webhooks.deliver()
    assert len(receiver.requests) == 10, "what failed for good is not sent by itself"
    webhooks.retry(webhooks.delivery(endpoint))
    webhooks.deliver()
    assert webhooks.current(endpoint).enabled
    webhooks.clock.now += RETRIES.delays[1]
    webhooks.deliver()
    assert webhooks.delivery(endpoint).state is DeliveryState.DELIVERED


def test_a_ping_is_tried_once_and_disables_nothing(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, secret = webhooks.endpoint(receiver.url(), event_types=(EventType.RUN_FAILED,))
    receiver.answer(REFUSE, Reply(200))
    ping = webhooks.ping(endpoint)
    webhooks.deliver()
    webhooks.clock.move(days=4)
    webhooks.deliver()
    [received] = receiver.requests
    assert json.loads(received.body)["type"] == "ping"
    assert json.loads(received.body)["data"] == {"webhook_id": str(endpoint.id)}
    assert received.is_signed_with(secret)
    assert webhooks.delivery(endpoint).state is DeliveryState.FAILED
    assert webhooks.current(endpoint).enabled
    webhooks.retry(ping)
    webhooks.deliver()
    assert webhooks.delivery(endpoint).state is DeliveryState.DELIVERED


# --- metrics and logs ---------------------------------------------------------------------------


def test_attempts_are_counted_and_logged_without_secrets(
    webhooks: TenantWebhooks, receiver: Receiver, caplog: pytest.LogCaptureFixture
):
    def counted(result: str) -> float:
        return REGISTRY.get_sample_value("towline_webhook_attempts_total", {"result": result}) or 0

    _, secret = webhooks.endpoint(receiver.url("/hook?token=hush"))
    receiver.answer(REFUSE, Reply(410), path="/hook?token=hush")
    before = counted("refused")
    with caplog.at_level(logging.DEBUG, "towline"):
        webhooks.announce()
        webhooks.deliver()
        webhooks.clock.now += RETRIES.delays[1]
        webhooks.deliver()
    assert counted("refused") == before + 2
    attempts = [each for each in caplog.records if each.message == "webhook attempted"]
    assert [vars(each)["status"] for each in attempts] == [500, 410]
    [disabled] = [each for each in caplog.records if each.message == "webhook disabled"]
    assert vars(disabled)["reason"] == "gone"
    logged = " ".join(str(vars(each)) for each in caplog.records)
    assert secret not in logged
    assert "hush" not in logged
