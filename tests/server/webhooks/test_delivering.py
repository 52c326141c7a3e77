"""Messages on their way: who is told, when it is tried again, and when no more."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest

from tests.server.webhooks.post import Post
from tests.server.webhooks.receiver import Receiver, Reply
from towline_server.errors import WebhookDisabled
from towline_server.metrics import REGISTRY
from towline_server.webhooks.domain import RETRIES, DeliveryState, DisabledReason, EventType, Result

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
    from towline_server.webhooks.deliveries import announce

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
    for number, delay in enumerate(RETRIES.delays, start=1):
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
    for delay in RETRIES.delays:
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
    assert post.delivery(endpoint).next_attempt_at == post.clock.now + RETRIES.delays[1]
    post.clock.now += RETRIES.delays[1]
    post.deliver()
    assert post.delivery(endpoint).next_attempt_at == post.clock.now + RETRIES.delays[2]


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
    for delay in RETRIES.delays:
        post.clock.now += delay
        post.deliver()
    post.change(endpoint, url=endpoint.url)
    post.deliver()
    assert len(receiver.came) == 10, "what failed for good is not sent by itself"
    post.retry(post.delivery(endpoint))
    post.deliver()
    assert post.standing(endpoint).enabled
    post.clock.now += RETRIES.delays[1]
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
        post.clock.now += RETRIES.delays[1]
        post.deliver()
    assert counted("refused") == before + 2
    attempts = [each for each in caplog.records if each.message == "webhook attempted"]
    assert [vars(each)["status"] for each in attempts] == [500, 410]
    [disabled] = [each for each in caplog.records if each.message == "webhook disabled"]
    assert vars(disabled)["reason"] == "gone"
    said = " ".join(str(vars(each)) for each in caplog.records)
    assert secret not in said
    assert "hush" not in said
