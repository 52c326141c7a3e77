"""``/healthz``, ``/readyz`` and ``/metrics``: for supervisors, load balancers and Prometheus."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Literal

from fastapi import APIRouter, Request
from prometheus_client import Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool
from starlette.responses import Response

from towline.frozen import frozen
from towline_server import disk
from towline_server.db import is_current
from towline_server.db.clock import database_now
from towline_server.db.failures import FAILURES, is_full
from towline_server.errors import Unauthenticated, Unavailable
from towline_server.metrics import CHALLENGE, REGISTRY, collect_with_workers, may_read
from towline_server.runs.states import ACTIVE, RunState
from towline_server.runs.tables import RunRow
from towline_server.services import Services, services_of
from towline_server.settings import is_loopback

from .dialect import Gauges
from .limits import address_of
from .schemas import refusals

router = APIRouter(tags=["operations"], responses=refusals(400))


class Health(BaseModel):
    """The answer of both."""

    status: Literal["ok"] = "ok"


@router.get("/healthz")
async def healthz() -> Health:
    """Answer as long as the process can."""
    return Health()


@router.get("/readyz", responses=refusals(503))
def readyz(request: Request) -> Health:
    """Answer 200 if requests can be served now, else 503."""
    try:
        with services_of(request).database.reading() as session:
            current = is_current(session.connection())
    except FAILURES as error:
        full = "the database's disk is full" if is_full(error) else "the database cannot be reached"
        raise Unavailable(problem=full) from None
    if not current:
        # Another version has migrated it meanwhile: what this one would read or write is unknown.
        raise Unavailable(problem="the database's tables are those of another version")
    if disk.is_full(services_of(request).settings.data_dir):
        raise Unavailable(problem="the disk of data_dir is full")
    runtime = services_of(request).runtime
    if runtime is not None and (stalled := runtime.stalled()):
        raise Unavailable(problem=f"background loops are stalled: {', '.join(stalled)}")
    return Health()


_LOG = logging.getLogger("towline_server.monitoring")
_UNENDED = (RunState.QUEUED, *ACTIVE)


@router.get("/metrics", include_in_schema=False)
def metrics(request: Request) -> Response:
    """What Prometheus scrapes, in its text format."""
    services = services_of(request)
    _authorise(request, services)
    everything = Measured(services, request.app.state.gauges, collect_with_workers)
    return Response(generate_latest(everything), media_type=CONTENT_TYPE_PLAIN_0_0_4)


def _authorise(request: Request, services: Services) -> None:
    token = services.settings.metrics_token.get_secret_value()
    given = request.headers.get("authorization", "")
    if not may_read(given, token, is_local=is_loopback(address_of(request.scope))):
        raise Unauthenticated(
            problem="metrics require metrics_token, or a loopback address if none is set",
            challenges=(CHALLENGE,),
        )


@frozen
class Measured:
    """Counters, then gauges; that the database is gone is a gauge itself."""

    services: Services
    gauges: Sequence[Gauges]
    """What its dialects measure."""
    counters: Callable[[], Iterable[Metric]] = REGISTRY.collect

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield from self.counters()
        yield from process_gauges(self.services)
        up, found = 1, list[Metric]()
        try:
            with self.services.database.reading() as session:
                found = [
                    metric for gauges in (run_gauges, *self.gauges) for metric in gauges(session)
                ]
        except SQLAlchemyError:
            up = 0
            _LOG.exception("the database could not be measured")
        yield GaugeMetricFamily("towline_database_up", "Whether the database answers.", value=up)
        yield from found


def process_gauges(services: Services) -> Iterable[Metric]:
    """Measure this process: its loops, its connections to the database, and its disk."""
    loops = GaugeMetricFamily(
        "towline_loop_lag_seconds",
        "How much later than it should have a loop has yet to succeed, by loop.",
        labels=["loop"],
    )
    for ticker in () if services.runtime is None else services.runtime.loops:
        loops.add_metric([ticker.name], ticker.lag)
    yield loops
    pool = services.database.engine.pool
    if isinstance(pool, QueuePool):
        yield GaugeMetricFamily(
            "towline_database_connections",
            "How many connections to the database this process may have.",
            value=pool.size(),
        )
        yield GaugeMetricFamily(
            "towline_database_connections_used",
            "How many of them are in use.",
            value=pool.checkedout(),
        )
    yield GaugeMetricFamily(
        "towline_disk_free_bytes",
        "How much room the disk of data_dir has.",
        value=disk.free(services.settings.data_dir),
    )


def run_gauges(session: Session) -> Iterable[Metric]:
    """Measure the runs that have not ended, of all servers of this database."""
    counted = select(RunRow.state, func.count(), func.min(RunRow.created_at)).where(
        RunRow.state.in_(_UNENDED), ~RunRow.is_parent
    )
    found = {row[0]: row for row in session.execute(counted.group_by(RunRow.state))}
    active = GaugeMetricFamily(
        "towline_runs_active", "Runs in a phase, by state.", labels=["state"]
    )
    for state in ACTIVE:
        active.add_metric([state], found[state][1] if state in found else 0)
    yield active
    queued = found.get(RunState.QUEUED)
    depth, oldest = (0, timedelta()) if queued is None else (queued[1], _age(session, queued[2]))
    yield GaugeMetricFamily("towline_queue_depth", "Runs that wait.", value=depth)
    yield GaugeMetricFamily(
        "towline_queue_oldest_seconds",
        "How long the run that waits longest has waited.",
        value=oldest.total_seconds(),
    )


def _age(session: Session, since: object) -> timedelta:
    now = database_now(session)
    return now - since  # type: ignore[operator,no-any-return] # min() of a column of times
