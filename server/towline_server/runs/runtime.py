"""Puts the parts of this floor together, starts them and stops them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from towline.limits import Limits
from towline.remotes.url import ALL_SCHEMES
from towline_server.addresses import AddressPolicy
from towline_server.auth.sealing import Sealer
from towline_server.db.clock import database_now
from towline_server.db.session import Database
from towline_server.loops import Ticker
from towline_server.settings import Settings
from towline_server.webhooks.queue import DeliveryQueue
from towline_server.webhooks.sending import Sender
from towline_server.webhooks.worker import DeliveryWorker

from .attempts import Retries
from .backends import Backends
from .execute import Boundary, Tools, pass_boundary
from .external import ExternalBackend, ExternalWork
from .fetching import Fetcher, FetchProcess, SharedFetches, fetch_here
from .heartbeat import Heartbeat
from .leases import Leases
from .native import InlineBackend, NativeBackend
from .plans import Plans
from .reaper import Reaper
from .repositories import Repositories
from .schedules import Schedules
from .service import Runs
from .signals import ProcessSignals
from .worker import ExecutorLock, Worker

_TICK_SECONDS = 1.0
"""How often lapsed leases and due schedules are looked for."""
_PRUNE_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """Everything about runs that a server has; made by `open_runtime`."""

    runs: Runs
    schedules: Schedules
    external: ExternalWork
    plans: Plans
    fetches: SharedFetches
    heartbeat: Heartbeat
    reaper: Reaper
    native: NativeBackend
    delivery_worker: DeliveryWorker
    tickers: tuple[Ticker, ...]
    executor_lock: ExecutorLock
    signals: ProcessSignals
    shutdown_seconds: float

    def start(self) -> None:
        """Take up what was left behind, and begin to execute."""
        self.heartbeat.start()
        self.native.start()
        for ticker in self.tickers:
            ticker.start()

    def stalled(self) -> list[str]:
        """Return the names of the loops that stand still."""
        loops = (self.heartbeat.ticker, self.native.ticker, *self.tickers)
        return [ticker.name for ticker in loops if ticker.is_stalled]

    def stop(self) -> None:
        """Hand back what is executed here, and stop."""
        for ticker in self.tickers:
            ticker.stop()
        # It begins no more; what is being sent ends while runs are handed back.
        self.delivery_worker.stop(0)
        self.native.stop(self.shutdown_seconds)
        self.delivery_worker.stop(self.shutdown_seconds)
        self.signals.close()
        self.heartbeat.stop()
        self.executor_lock.close()


def open_runtime(
    settings: Settings,
    database: Database,
    sealer: Sealer,
    *,
    boundary: Boundary = pass_boundary,
    fetcher: Fetcher | None = None,
) -> Runtime:
    """The runs of a server; nothing is executed before `Runtime.start`."""
    leases = Leases(database, seconds=settings.lease_seconds)
    signals = ProcessSignals()
    retries = Retries(most=settings.max_auto_resume_attempts, first_seconds=settings.retry_seconds)
    tools = Tools(
        database=database,
        leases=leases,
        repositories=Repositories(
            database,
            sealer,
            settings.cache_dir,
            schemes=settings.remote_schemes,
            limits=settings.engine_limits,
        ),
        fetches=SharedFetches(
            fetcher or _fetch_process(settings),
            now=time_of(database),
            at_once=settings.fetches_at_once,
        ),
        signals=signals,
        retries=retries,
        boundary=boundary,
    )
    heartbeat = Heartbeat(leases, renew_seconds=settings.heartbeat_seconds)
    executor_lock = ExecutorLock(settings.data_dir)
    worker = Worker(tools, heartbeat, executor_lock.id)
    native = NativeBackend(worker, at_once=settings.runs_at_once)
    backends = Backends([native, ExternalBackend()])
    runs = Runs(database, backends, signals=tools.signals)
    schedules = Schedules(database, runs)
    reaper = Reaper(
        database,
        backends,
        tools.signals,
        retries=retries,
        claim_seconds=settings.claim_seconds,
    )
    delivery_worker = _delivery_worker(settings, database, sealer)
    return Runtime(
        runs=runs,
        schedules=schedules,
        external=ExternalWork(database, leases, tools.repositories, tools.signals, retries=retries),
        plans=Plans(database, tools.repositories, tools.fetches),
        fetches=tools.fetches,
        heartbeat=heartbeat,
        reaper=reaper,
        native=native,
        delivery_worker=delivery_worker,
        tickers=(
            Ticker("towline-webhooks", _TICK_SECONDS, delivery_worker.deliver_due),
            Ticker(
                "towline-pruner",
                _PRUNE_SECONDS,
                tools.repositories.prune,
                delivery_worker.forget_old,
            ),
            Ticker("towline-schedules", _TICK_SECONDS, schedules.fire),
            Ticker("towline-reaper", _TICK_SECONDS, reaper.sweep),
        ),
        executor_lock=executor_lock,
        signals=signals,
        shutdown_seconds=settings.shutdown_seconds,
    )


def _fetch_process(settings: Settings) -> FetchProcess:
    networks = settings.remote_networks
    AddressPolicy.parse(networks)
    file = settings.remote_ca_file
    authorities = {} if file is None else {"SSL_CERT_FILE": str(file.absolute())}
    return FetchProcess(networks=networks, environment=authorities)


def _delivery_worker(settings: Settings, database: Database, sealer: Sealer) -> DeliveryWorker:
    return DeliveryWorker(
        database,
        sealer,
        DeliveryQueue(database),
        Sender(policy=AddressPolicy.parse(settings.webhook_networks)),
        schemes=settings.webhook_schemes,
        keep=timedelta(days=settings.webhook_days),
    )


def time_of(database: Database) -> Callable[[], datetime]:
    """The database's clock, without a session."""

    def now() -> datetime:
        with database.reading() as session:
            return database_now(session)

    return now


def open_inline(
    database: Database,
    sealer: Sealer,
    cache_dir: Path,
    *,
    fetcher: Fetcher = fetch_here,
    limits: Limits = Limits(total_seconds=60),
    boundary: Boundary = pass_boundary,
) -> Runs:
    """Runs that `Runs.request` itself executes, from any address: for tests and tools."""
    leases = Leases(database)
    tools = Tools(
        database=database,
        leases=leases,
        repositories=Repositories(database, sealer, cache_dir, schemes=ALL_SCHEMES, limits=limits),
        fetches=SharedFetches(fetcher, now=time_of(database)),
        signals=ProcessSignals(),
        boundary=boundary,
    )
    worker = Worker(tools, Heartbeat(leases), "inline")
    return Runs(database, Backends([InlineBackend(worker)]), signals=tools.signals)
