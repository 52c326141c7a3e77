"""Where events go: addresses that are taken, and secrets that sign for a time."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import select, update

from tests.server.webhooks.post import Post
from tests.server.webhooks.receiver import Receiver
from towline.errors import InvalidValue
from towline_server.addresses import AddressPolicy
from towline_server.auth.sealing import Sealer
from towline_server.db import Database
from towline_server.webhooks.deliveries import Deliveries
from towline_server.webhooks.domain import DeliveryState, Result
from towline_server.webhooks.queue import DeliveryQueue
from towline_server.webhooks.sending import Sender
from towline_server.webhooks.tables import WebhookSecretRow
from towline_server.webhooks.worker import DeliveryWorker


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
    post.delivery_worker = post.another()
    post.ping(endpoint)
    post.deliver()
    assert receiver.came[0].is_signed_with(secret)


def test_a_secret_opens_in_its_own_row_alone(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    other, _ = post.endpoint(receiver.url())
    with post.database.writing() as session:
        sealed = select(WebhookSecretRow.sealed).where(WebhookSecretRow.endpoint_id == other.id)
        foreign = session.scalars(sealed).one()
        mine = update(WebhookSecretRow).where(WebhookSecretRow.endpoint_id == endpoint.id)
        session.execute(mine.values(sealed=foreign))
    post.ping(endpoint)
    post.deliver()
    assert receiver.came == []
    assert post.delivery(endpoint).last_result is Result.SECRET_UNREADABLE


# --- addresses ----------------------------------------------------------------------------------


def test_what_may_not_be_connected_to_is_told_and_not_connected_to(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    post.sender = Sender(policy=AddressPolicy())
    post.delivery_worker = post.another()
    post.announce()
    post.deliver()
    assert receiver.came == []
    delivery = post.delivery(endpoint)
    assert (delivery.last_result, delivery.last_status) == (Result.ADDRESS_REFUSED, None)
    assert delivery.state is DeliveryState.WAITING


def test_a_scheme_that_is_not_allowed_any_more_is_not_used(post: Post, receiver: Receiver):
    endpoint, _ = post.endpoint(receiver.url())
    queue = DeliveryQueue(post.database, now=post.clock)
    post.delivery_worker = DeliveryWorker(post.database, post.sealer, queue, post.sender)
    post.announce()
    post.deliver()
    assert receiver.came == []
    assert post.delivery(endpoint).last_result is Result.SCHEME_REFUSED
