"""What a server does for webhooks by itself, beside its runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.databases import DatabaseClock
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runtimes import opened
from tests.server.webhooks.receiver import Receiver
from tests.server.webhooks.tenant_webhooks import TenantWebhooks


@pytest.mark.parametrize(("days", "left"), [(29, 1), (31, 0)])
def test_a_server_forgets_what_was_sent_long_ago(
    tenant: GitTenant, database_url: str, receiver: Receiver, days: int, left: int
):
    webhooks = TenantWebhooks(
        tenant.database, DatabaseClock(datetime.now(UTC) - timedelta(days=days))
    )
    endpoint, _ = webhooks.endpoint(receiver.url())
    webhooks.announce()
    webhooks.deliver()
    runtime = opened(tenant, database_url)
    # It looks as soon as it starts, and ends no look half done.
    runtime.start()
    runtime.stop()
    assert len(webhooks.deliveries(endpoint)) == left
