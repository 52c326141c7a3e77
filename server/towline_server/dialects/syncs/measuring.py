"""What the metrics tell of syncs."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from sqlalchemy.orm import Session

from towline_server.db.clock import database_now

from . import rows, tables


def sync_gauges(session: Session) -> Iterable[Metric]:
    """The syncs whose last success is longer ago than their freshness allows."""
    wanted = rows.select_syncs().where(tables.Sync.freshness_sla_seconds.is_not(None))
    syncs = rows.syncs_of(session, session.execute(wanted).all(), database_now(session))
    yield GaugeMetricFamily(
        "towline_syncs_late",
        "Syncs whose last success is longer ago than they allow.",
        value=sum(sync.is_late for sync in syncs),
    )
