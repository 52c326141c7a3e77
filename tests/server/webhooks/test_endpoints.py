"""Where events go: addresses that are taken, and secrets that sign for a time."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import select, update

from tests.server.webhooks.receiver import Receiver
from tests.server.webhooks.tenant_webhooks import TenantWebhooks
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


def test_a_url_that_is_no_webhooks_is_refused(webhooks: TenantWebhooks):
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
            webhooks.endpoint(url)
        assert not url or url not in caught.value.message
    for url in ("https://hooks.example", "https://1.2.3.4:65535/a@b?c=d?e", "http://h?x"):
        assert webhooks.endpoint(url)[0].url == url


def test_deliveries_of_others_are_not_there(
    webhooks: TenantWebhooks, receiver: Receiver, database: Database
):
    from towline_server.errors import NotFound

    mine, _ = webhooks.endpoint(receiver.url())
    theirs, _ = webhooks.endpoint(receiver.url())
    ping = webhooks.ping(theirs)
    for endpoint_id, delivery_id in ((mine.id, ping.id), (theirs.id, uuid4()), (uuid4(), ping.id)):
        with pytest.raises(NotFound), database.writing() as session:
            Deliveries(session, endpoint_id).retry(delivery_id)


# --- secrets ------------------------------------------------------------------------------------


def test_old_secrets_sign_too_for_a_day(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, first = webhooks.endpoint(receiver.url())
    second = webhooks.rotate(endpoint)
    third = webhooks.rotate(endpoint)
    assert len({first, second, third}) == 3

    def signed() -> list[bool]:
        webhooks.ping(endpoint)
        webhooks.deliver()
        return [receiver.requests[-1].is_signed_with(each) for each in (first, second, third)]

    # A rotation whose answer got lost, and that is asked for again, locks no one out.
    assert signed() == [True, True, True]
    assert receiver.requests[-1].verify(first) == receiver.requests[-1].verify(third)
    webhooks.clock.move(hours=23, minutes=59)
    assert signed() == [True, True, True]
    webhooks.clock.move(minutes=1)
    assert signed() == [False, False, True]
    fourth = webhooks.rotate(endpoint)
    webhooks.clock.move(hours=1)
    assert signed() == [False, False, True]
    assert receiver.requests[-1].is_signed_with(fourth)


def test_the_header_stays_bounded_however_often_secrets_are_rotated(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, first = webhooks.endpoint(receiver.url())
    last = first
    for _ in range(30):
        webhooks.clock.move(seconds=1)
        last = webhooks.rotate(endpoint)
    webhooks.ping(endpoint)
    webhooks.deliver()
    [received] = receiver.requests
    assert len(received.headers["webhook-signature"].split(" ")) == 10
    assert received.is_signed_with(last)
    assert not received.is_signed_with(first)


def test_no_secret_is_in_the_database_in_clear(webhooks: TenantWebhooks, receiver: Receiver):
    from tests.databases import everything

    endpoint, first = webhooks.endpoint(receiver.url())
    second = webhooks.rotate(endpoint)
    webhooks.ping(endpoint)
    webhooks.deliver()
    there = repr(everything(webhooks.database))
    for secret in (first, second):
        assert secret not in there
        assert secret.removeprefix("whsec_") not in there


def test_secrets_are_resealed(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, secret = webhooks.endpoint(receiver.url())
    old, new = "a secret key of the tests, and of no one else", "another secret key, of 32 or more"
    webhooks.sealer = Sealer([new, old])
    with webhooks.database.writing() as session:
        assert webhooks.service(session).reseal() == 1
        assert webhooks.service(session).reseal() == 0
    webhooks.sealer = Sealer([new])
    webhooks.delivery_worker = webhooks.another()
    webhooks.ping(endpoint)
    webhooks.deliver()
    assert receiver.requests[0].is_signed_with(secret)


def test_a_secret_opens_in_its_own_row_alone(webhooks: TenantWebhooks, receiver: Receiver):
    endpoint, _ = webhooks.endpoint(receiver.url())
    other, _ = webhooks.endpoint(receiver.url())
    with webhooks.database.writing() as session:
        sealed = select(WebhookSecretRow.sealed).where(WebhookSecretRow.endpoint_id == other.id)
        foreign = session.scalars(sealed).one()
        mine = update(WebhookSecretRow).where(WebhookSecretRow.endpoint_id == endpoint.id)
        session.execute(mine.values(sealed=foreign))
    webhooks.ping(endpoint)
    webhooks.deliver()
    assert receiver.requests == []
    assert webhooks.delivery(endpoint).last_result is Result.SECRET_UNREADABLE


# --- addresses ----------------------------------------------------------------------------------


def test_a_forbidden_address_is_reported_and_not_connected_to(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    webhooks.sender = Sender(policy=AddressPolicy())
    webhooks.delivery_worker = webhooks.another()
    webhooks.announce()
    webhooks.deliver()
    assert receiver.requests == []
    delivery = webhooks.delivery(endpoint)
    assert (delivery.last_result, delivery.last_status) == (Result.ADDRESS_REFUSED, None)
    assert delivery.state is DeliveryState.WAITING


def test_a_scheme_that_is_not_allowed_any_more_is_not_used(
    webhooks: TenantWebhooks, receiver: Receiver
):
    endpoint, _ = webhooks.endpoint(receiver.url())
    queue = DeliveryQueue(webhooks.database, now=webhooks.clock)
    webhooks.delivery_worker = DeliveryWorker(
        webhooks.database, webhooks.sealer, queue, webhooks.sender
    )
    webhooks.announce()
    webhooks.deliver()
    assert receiver.requests == []
    assert webhooks.delivery(endpoint).last_result is Result.SCHEME_REFUSED
