"""A receiver, and a tenant whose events go there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.webhooks.post import Post
from tests.server.webhooks.receiver import Receiver, receiving
from towline_server.db import Database


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of webhooks on loopback."""
    with receiving() as made:
        yield made


@pytest.fixture
def post(database: Database) -> Iterator[Post]:
    """A tenant with a project; nothing is attempted unless a test says so."""
    made = Post(database)
    yield made
    assert made.delivery_worker.stop(60)
