"""Assembles what executes runs and sends webhooks, starts it and stops it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, assert_never

from towline.frozen import frozen
from towline_server.addresses import AddressPolicy
from towline_server.auth.sealing import Sealer
from towline_server.db.jobs import RetryPolicy, growing_delays
from towline_server.db.session import Database
from towline_server.loops import ChangeSignal, Ticker
from towline_server.settings import Settings
from towline_server.webhooks.queue import DeliveryQueue
from towline_server.webhooks.sending import Sender
from towline_server.webhooks.worker import DeliveryWorker

from .attempts import LONGEST_RETRY_SECONDS
from .bounds import AtOnce
from .delegation import OrchestratedBackend
from .due import Due, DueWork
from .event_followers import EventFollowers
from .execute import Boundary, Tools, pass_boundary
from .external import ExternalBackend, ExternalWork
from .fetch_process import FetchProcess
from .fetching import Repositories, SharedFetches
from .firing import Schedules
from .followers import Followers
from .heartbeat import Heartbeat
from .orchestrated import OrchestratedWorker
from .orchestrator import Orchestrator
from .plans import Plans
from .queue import Leases
from .reaper import Reaper
from .retention import Retained, Retention
from .service import Runs
from .worker import Backends, ExecutorLock, NativeBackend, RunBackend, Worker
from .worker_processes import WorkerProcesses

_LOOK_SECONDS = 1.0
"""How often is looked for what is due, of this server and of others."""
_UNWOKEN_SECONDS = 30.0
"""How often a loop looks that nothing has woken."""
_PRUNE_SECONDS = 600.0


class ProcessRole(StrEnum):
    """What a process does with runs."""

    ALL = "all"
    ANSWERING = "answering"
    """Everything but executing them: it starts the processes that do."""
    EXECUTING = "executing"
    """Nothing else."""


class LocalBackend(RunBackend, Protocol):
    """The native backend: it executes runs here, or in other processes."""

    @property
    def ticker(self) -> Ticker:
        """Its loop."""
        ...

    def stop(self, seconds: float) -> None:
        """Hand back the runs that are executed, and stop; wait no longer than ``seconds``."""
        ...


@frozen(kw_only=True)
class Runtime:
    """The services of runs in one server; `open_runtime` makes it."""

    runs: Runs
    external: ExternalWork
    plans: Plans
    followers: Followers
    event_followers: EventFollowers
    heartbeat: Heartbeat
    native: LocalBackend
    orchestrated: tuple[OrchestratedBackend, ...]
    delivery_worker: DeliveryWorker
    tickers: tuple[Ticker, ...]
    executor_lock: ExecutorLock | None
    changes: ChangeSignal
    shutdown_seconds: float

    def start(self) -> None:
        """Begin to execute, first the runs that this executor held when it was killed."""
        for ticker in self.loops:
            ticker.start()

    @property
    def loops(self) -> tuple[Ticker, ...]:
        """Every loop of the server."""
        return self.heartbeat.ticker, self.native.ticker, *self.tickers

    def stalled(self) -> list[str]:
        """Return the names of the loops that make no progress."""
        return [ticker.name for ticker in self.loops if ticker.is_stalled]

    def end_streams(self) -> None:
        """End every stream of events, since the process stops."""
        self.followers.close()
        self.event_followers.close()

    def stop(self) -> None:
        """Hand back the runs that are executed here, and stop."""
        for ticker in self.tickers:
            ticker.stop()
        # It begins no more; what is being sent ends while runs are handed back.
        self.delivery_worker.stop(0)
        for backend in self.orchestrated:
            backend.stop()
        self.native.stop(self.shutdown_seconds)
        self.delivery_worker.stop(self.shutdown_seconds)
        self.changes.close()
        self.heartbeat.ticker.stop()
        if self.executor_lock is not None:
            self.executor_lock.close()


def open_runtime(
    settings: Settings,
    database: Database,
    sealer: Sealer,
    *,
    role: ProcessRole = ProcessRole.ALL,
    worker_command: Sequence[str] = (),
    boundary: Boundary = pass_boundary,
) -> Runtime:
    """Assemble the services of a process; nothing is executed before `Runtime.start`.

    ``worker_command`` is what starts a process that executes runs, for one that does not.
    """
    changes = ChangeSignal()
    tools = _tools(settings, database, sealer, changes, boundary)
    leases, retries = tools.leases, tools.retries
    heartbeat = Heartbeat(leases, renew_seconds=settings.heartbeat_seconds)
    executor_lock: ExecutorLock | None = None
    native: LocalBackend
    if role is ProcessRole.ANSWERING:
        native = WorkerProcesses(worker_command, settings.workers, changes)
    else:
        executor_lock = ExecutorLock(settings.data_dir)
        worker = Worker(tools, heartbeat, executor_lock.id)
        native = NativeBackend(worker, at_once=runs_at_once(settings))
    # Who only executes passes nothing on.
    orchestrated = (
        () if role is ProcessRole.EXECUTING else _orchestrated(settings, database, changes)
    )
    backends = Backends([native, ExternalBackend(), *orchestrated])
    runs = Runs(database, backends, changes=changes, most_waiting=settings.tenant_queue)
    schedules = Schedules(database, runs)
    reaper = Reaper(
        database,
        leases,
        backends,
        changes,
        retries=retries,
        claim_seconds=settings.claim_seconds,
    )
    delivery_worker = _delivery_worker(settings, database, sealer)
    loops = {
        Due.RUNS: native.ticker,
        Due.LEASES: Ticker("towline-reaper", _UNWOKEN_SECONDS, reaper.sweep),
        Due.SCHEDULES: Ticker("towline-schedules", _UNWOKEN_SECONDS, schedules.fire),
        Due.DELIVERIES: Ticker("towline-webhooks", _UNWOKEN_SECONDS, delivery_worker.deliver_due),
        **{Due(backend.name): backend.ticker for backend in orchestrated},
    }
    due = _due_in(role, loops)
    # Each machine has caches of its own; what is in the database is for the servers.
    pruned: list[Callable[[], None]] = [tools.repositories.prune]
    if role is not ProcessRole.EXECUTING:
        pruned += [delivery_worker.forget_old, Retention(database, _retained(settings)).prune]
    return Runtime(
        runs=runs,
        external=ExternalWork(database, leases, tools.repositories, changes, retries=retries),
        plans=Plans(database, tools.repositories, tools.fetches),
        followers=Followers(database, changes),
        event_followers=EventFollowers(database, changes),
        heartbeat=heartbeat,
        native=native,
        orchestrated=orchestrated,
        delivery_worker=delivery_worker,
        tickers=(
            Ticker("towline-due", _LOOK_SECONDS, DueWork(database, due).wake),
            *(ticker for what, ticker in due.items() if what is not Due.RUNS),
            Ticker("towline-pruner", _PRUNE_SECONDS, *pruned),
        ),
        executor_lock=executor_lock,
        changes=changes,
        shutdown_seconds=settings.shutdown_seconds,
    )


def open_orchestrated_worker(
    settings: Settings, database: Database, sealer: Sealer, *, boundary: Boundary = pass_boundary
) -> OrchestratedWorker:
    """Assemble what executes the runs that an orchestrator names."""
    changes = ChangeSignal()
    tools = _tools(settings, database, sealer, changes, boundary)
    heartbeat = Heartbeat(tools.leases, renew_seconds=settings.heartbeat_seconds)
    lock = ExecutorLock(settings.data_dir)
    pruner = Ticker("towline-pruner", _PRUNE_SECONDS, tools.repositories.prune)
    return OrchestratedWorker(
        Worker(tools, heartbeat, lock.id),
        Runs(database, Backends([]), changes=changes),
        tickers=(heartbeat.ticker, pruner),
        executor_lock=lock,
    )


def _tools(
    settings: Settings,
    database: Database,
    sealer: Sealer,
    changes: ChangeSignal,
    boundary: Boundary,
) -> Tools:
    return Tools(
        database=database,
        leases=Leases(database, seconds=settings.lease_seconds),
        repositories=Repositories(
            database,
            sealer,
            settings.cache_dir,
            schemes=settings.remote_schemes,
            limits=settings.engine_limits,
            retained=timedelta(days=settings.cache_days),
        ),
        fetches=SharedFetches(
            _fetch_process(settings),
            now=database.now,
            at_once=AtOnce.of(
                settings.fetches_at_once,
                tenant=settings.tenant_fetches_at_once,
                host=settings.host_fetches_at_once,
            ),
        ),
        changes=changes,
        retries=_retries(settings),
        boundary=boundary,
    )


def _orchestrated(
    settings: Settings, database: Database, changes: ChangeSignal
) -> tuple[OrchestratedBackend, ...]:
    """Return the orchestrators that are configured.

    Raises:
        InvalidSettings: one needs what is not installed.
    """
    found: list[tuple[Orchestrator, int]] = []
    if settings.temporal.address:
        from .temporal.orchestrator import TemporalOrchestrator

        temporal = settings.temporal
        found.append((TemporalOrchestrator(temporal), temporal.waiting_at_once))
    if settings.prefect.api_url:
        from .prefect.orchestrator import PrefectOrchestrator

        prefect = settings.prefect
        found.append((PrefectOrchestrator(prefect), prefect.waiting_at_once))
    return tuple(
        OrchestratedBackend(
            orchestrator,
            database,
            changes,
            waiting_at_once=waiting_at_once,
            look_seconds=settings.heartbeat_seconds,
            retries=_retries(settings),
        )
        for orchestrator, waiting_at_once in found
    )


def _retries(settings: Settings) -> RetryPolicy:
    return growing_delays(
        settings.max_auto_resume_attempts, settings.retry_seconds, LONGEST_RETRY_SECONDS
    )


def _retained(settings: Settings) -> Retained:
    return Retained(
        runs=timedelta(days=settings.run_days),
        plans=timedelta(days=settings.plan_days),
        pulls=timedelta(days=settings.pull_days),
        events=timedelta(days=settings.event_days),
        audit=timedelta(days=settings.audit_days),
    )


def runs_at_once(settings: Settings) -> AtOnce:
    """Return how many runs a process executes."""
    return AtOnce.of(
        settings.runs_at_once,
        tenant=settings.tenant_runs_at_once,
        host=settings.host_runs_at_once,
    )


def _due_in(role: ProcessRole, loops: Mapping[Due, Ticker]) -> Mapping[Due, Ticker]:
    """Return the loops that a process has."""
    match role:
        case ProcessRole.ALL:
            return loops
        case ProcessRole.ANSWERING:
            return {due: ticker for due, ticker in loops.items() if due is not Due.RUNS}
        case ProcessRole.EXECUTING:
            return {Due.RUNS: loops[Due.RUNS]}
        case _:
            assert_never(role)


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
