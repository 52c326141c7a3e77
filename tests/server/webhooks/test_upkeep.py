"""What a server does for webhooks by itself, beside its runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.server.runs.runtimes import opened
from tests.server.runs.world import World
from tests.server.webhooks.post import Clock, Post
from tests.server.webhooks.receiver import Receiver


@pytest.mark.parametrize(("days", "left"), [(29, 1), (31, 0)])
def test_a_server_forgets_what_was_sent_long_ago(
    world: World, database_url: str, receiver: Receiver, days: int, left: int
):
    post = Post(world.database, Clock(datetime.now(UTC) - timedelta(days=days)))
    endpoint, _ = post.endpoint(receiver.url())
    post.announce()
    post.deliver()
    runtime = opened(world, database_url)
    # It looks as soon as it starts, and ends no look half done.
    runtime.start()
    runtime.stop()
    assert len(post.deliveries(endpoint)) == left
