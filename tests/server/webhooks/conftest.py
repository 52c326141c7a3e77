"""A receiver, and a tenant whose events go there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.webhooks.receiver import Receiver, receiving
from tests.server.webhooks.tenant_webhooks import TenantWebhooks
from towline_server.db import Database


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks on loopback."""
    with receiving() as made:
        yield made


@pytest.fixture
def webhooks(database: Database) -> Iterator[TenantWebhooks]:
    """A tenant with a project; nothing is sent unless a test calls for it."""
    made = TenantWebhooks(database)
    yield made
    assert made.delivery_worker.stop(60)
