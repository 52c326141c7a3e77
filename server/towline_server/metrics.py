"""What this process counts for Prometheus.

A server and the workers that it starts show one sum, by prometheus_client's multiprocess mode; a
sum over servers is for Prometheus. No label names a tenant, a project or a caller, so that their
number is bounded, and they show no names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from secrets import compare_digest

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    ProcessCollector,
    multiprocess,
)

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder of the counters that processes share; read when prometheus_client is loaded."""

REGISTRY = CollectorRegistry()
_PROCESS = ProcessCollector(registry=REGISTRY)

_REQUESTS = Counter(
    "towline_requests",
    "Requests answered, by dialect, method and status.",
    ["dialect", "method", "status"],
    registry=REGISTRY,
)
_REQUEST_SECONDS = Histogram(
    "towline_request_duration_seconds",
    "How long requests took, by dialect; some wait for their run.",
    ["dialect"],
    buckets=(0.005, 0.02, 0.1, 0.5, 2, 10, 30, 120),
    registry=REGISTRY,
)
CONNECTIONS_CLOSED = Counter(
    "towline_connections_closed",
    "Connections closed before their request was whole, or refused, by reason.",
    ["reason"],
    registry=REGISTRY,
)
_RUNS = Counter(
    "towline_runs_ended",
    "Runs whose end this server wrote, by state and reason code.",
    ["state", "reason"],
    registry=REGISTRY,
)
_RUN_SECONDS = Histogram(
    "towline_run_duration_seconds",
    "How long runs took from their first phase to their end, by state.",
    ["state"],
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 600),
    registry=REGISTRY,
)
_RUN_WAIT = Histogram(
    "towline_run_wait_seconds",
    "How long runs waited before their first phase, from when they might begin.",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
LEASES_LAPSED = Counter(
    "towline_leases_lapsed",
    "Runs that this server ended since their executor was lost.",
    registry=REGISTRY,
)
FETCHES = Counter("towline_fetches", "Fetches begun.", registry=REGISTRY)
FETCHES_SHARED = Counter(
    "towline_fetches_shared",
    "Runs served by a fetch that had begun for another one.",
    registry=REGISTRY,
)
FETCH_SECONDS = Histogram(
    "towline_fetch_duration_seconds",
    "How long fetches took, without their wait for a slot; by result: ok, or the error's code.",
    ["result"],
    buckets=(0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300),
    registry=REGISTRY,
)
SLOTS = Gauge(
    "towline_slots",
    "How much is done side by side, by what.",
    ["what"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
SLOTS_USED = Gauge(
    "towline_slots_used",
    "How many of them are in use, by what.",
    ["what"],
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
STATEMENT_SECONDS = Histogram(
    "towline_statement_duration_seconds",
    "How long statements to the database took.",
    buckets=(0.0005, 0.001, 0.005, 0.02, 0.1, 0.5, 2, 10),
    registry=REGISTRY,
)
HOSTS_PAUSED = Gauge(
    "towline_hosts_paused",
    "Hosts of repositories that did not answer, and are left alone for a while.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
WEBHOOK_ATTEMPTS = Counter(
    "towline_webhook_attempts",
    "Attempts to deliver a message to a webhook, by result.",
    ["result"],
    registry=REGISTRY,
)
DELETED = Counter(
    "towline_deleted",
    "What was deleted since it was older than the settings retain: runs, plans, pulls, events,"
    " deliveries, caches.",
    ["what"],
    registry=REGISTRY,
)
LOOP_FAILURES = Counter(
    "towline_loop_failures",
    "Failures of the server's own loops, each of one item or of a whole pass, by loop.",
    ["loop"],
    registry=REGISTRY,
)


def collect_with_workers() -> Iterator[Metric]:
    """Yield the metrics of this process, with those of its workers added where it has any."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder is None:
        yield from REGISTRY.collect()
    else:
        yield from _PROCESS.collect()
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared, folder)  # type: ignore[no-untyped-call] # theirs
        yield from shared.collect()


def worker_ended(pid: int) -> None:
    """Leave the gauges of a worker out of the sum; its counters stay in it."""
    if FOLDER_VARIABLE in os.environ:
        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call] # theirs


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


CHALLENGE = 'Bearer realm="towline metrics"'
"""The WWW-Authenticate of a refusal to show them."""


def may_read(authorization: str, token: str, *, is_local: bool) -> bool:
    """Whether a caller is shown the metrics: who has the ``token``; without one, who is local."""
    if not token:
        return is_local
    return compare_digest(authorization.encode(), f"Bearer {token}".encode())


def request_answered(dialect: str, method: str, status: int, seconds: float) -> None:
    """Count a request."""
    # A caller may invent methods: each would be a series that never goes away.
    _REQUESTS.labels(dialect, method if method in _METHODS else "other", str(status)).inc()
    _REQUEST_SECONDS.labels(dialect).observe(seconds)


def run_ended(
    state: str, reason: str | None, waited: timedelta | None, took: timedelta | None
) -> None:
    """Count a run's end; ``waited`` and ``took`` are None for one that never began."""
    _RUNS.labels(state, reason or "").inc()
    if waited is not None:
        _RUN_WAIT.observe(max(0.0, waited.total_seconds()))
    if took is not None:
        _RUN_SECONDS.labels(state).observe(took.total_seconds())
