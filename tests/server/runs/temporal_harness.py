"""Runs that a real Temporal server has executed, by workers in threads of this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from pydantic import SecretStr
from temporalio.client import Client

from tests.server.runs.backend_contract import Paused
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Gate, Runner
from tests.server.serving import LONG
from towline.remotes.url import Scheme
from towline_server.orchestrator_settings import TemporalSettings
from towline_server.runs.bounds import AtOnce
from towline_server.runs.delegation import OrchestratedBackend
from towline_server.runs.domain import BackendName, Run
from towline_server.runs.execute import Boundary, pass_boundary
from towline_server.runs.orchestrated import OrchestratedWorker
from towline_server.runs.runtime import open_orchestrated_worker
from towline_server.runs.service import Runs
from towline_server.runs.states import ReasonCode
from towline_server.runs.steps import Progress, RunStep
from towline_server.runs.temporal.connection import connect
from towline_server.runs.temporal.names import WORKFLOW
from towline_server.runs.temporal.orchestrator import TemporalOrchestrator
from towline_server.runs.temporal.worker import TemporalWorker
from towline_server.runs.worker import Backends
from towline_server.settings import Settings


def await_until(condition: Callable[[], bool], what: str, *, seconds: int = LONG) -> None:
    """Look until something is so, that another thread or process does."""
    pause = threading.Event()
    for _ in range(seconds * 20):
        if condition():
            return
        pause.wait(0.05)
    raise AssertionError(f"in vain: {what}")


class RunGate(Gate):
    """Stops one run alone."""

    def __init__(self, run_id: UUID, name: str) -> None:
        super().__init__(name)
        self._run_id = run_id

    def __call__(self, run_id: UUID, name: str) -> None:
        if run_id == self._run_id:
            super().__call__(run_id, name)


@dataclass
class WorkerThreads:
    """A worker, and what it is made of."""

    orchestrated: OrchestratedWorker
    temporal: TemporalWorker


@dataclass
class PausedWorker:
    """A worker that has a run, and waits at a gate."""

    threads: WorkerThreads
    gate: Gate

    def renew(self) -> None:
        self.threads.orchestrated.worker.heartbeat.renew()

    def go(self) -> None:
        self.threads.orchestrated.worker.heartbeat.look()
        self.gate.open()
        await_until(lambda: self.threads.temporal.steps.is_idle, "the steps of a run end")


@dataclass
class TemporalHarness:
    """A backend of a task queue of its own."""

    runner: Runner
    url: str
    address: str
    name: BackendName = BackendName.TEMPORAL
    lost_reason: ReasonCode = ReasonCode.HEARTBEAT_TIMEOUT
    stack: ExitStack = field(default_factory=ExitStack)
    at_once: AtOnce = field(default_factory=lambda: AtOnce(total=2, tenant=2, host=2))
    """How many runs a worker has."""

    def __post_init__(self) -> None:
        self.settings = TemporalSettings(
            address=self.address, task_queue=f"tests-{uuid4()}", ui_url="https://temporal.example"
        )
        self.orchestrator = TemporalOrchestrator(self.settings)
        database, changes = self.runner.tenant.database, self.runner.changes
        self.backend = OrchestratedBackend(self.orchestrator, database, changes)
        self.runs = Runs(database, Backends([self.backend]), changes=changes)
        self._two: WorkerThreads | None = None

    def close(self) -> None:
        self.stack.close()
        self.backend.stop()

    def worker(self, folder: str, boundary: Boundary = pass_boundary) -> WorkerThreads:
        """A worker that polls, until it is stopped or the test ends; a folder is an executor."""
        tenant: GitTenant = self.runner.tenant
        settings = Settings(
            data_dir=tenant.folder / folder,
            database_url=self.url,
            secret_keys=(SecretStr("x" * 32),),
            remote_schemes=frozenset({Scheme.HTTP}),
            remote_networks=("127.0.0.0/8",),
        )
        made = open_orchestrated_worker(settings, tenant.database, tenant.sealer, boundary=boundary)
        temporal = TemporalWorker(made, self.settings, at_once=self.at_once, lease_seconds=60)
        temporal.start()
        self.stack.callback(temporal.stop, LONG)
        return WorkerThreads(made, temporal)

    def two(self) -> WorkerThreads:
        """A worker that waits nowhere."""
        if self._two is None:
            self._two = self.worker("two")
        return self._two

    def execute(self, run_id: UUID) -> Run:
        self.two()
        self.backend.follow_due()
        await_until(lambda: self.runs.get(run_id).is_terminal, "a run ends")
        return self.runs.get(run_id)

    @contextmanager
    def paused(self, run_id: UUID, at: str) -> Iterator[PausedWorker]:
        gate = RunGate(run_id, at)
        paused = PausedWorker(self.worker("one", gate), gate)
        try:
            self.backend.follow_due()
            gate.await_run()
            yield paused
        finally:
            paused.go()

    def lose(self) -> None:
        self.runner.lose()

    def resume(self, run_id: UUID, paused: Paused) -> Run:
        assert isinstance(paused, PausedWorker)
        # What the end of its process does.
        paused.threads.orchestrated.release()
        self.worker("one")
        await_until(lambda: self.runs.get(run_id).is_terminal, "a run ends")
        return self.runs.get(run_id)

    def deliver_again(self, run_id: UUID) -> None:
        wanted = Progress.ENDED if self.runs.get(run_id).is_terminal else Progress.WAITS
        assert self.two().temporal.steps.do(run_id, RunStep.FETCH) is wanted

    async def client(self) -> Client:
        """A client of the test's own."""
        return await connect(self.settings)

    async def workflow_again(self, run_id: UUID) -> str:
        """Have a second workflow execute a run, and return its result."""
        client = await self.client()
        queue, other = self.settings.task_queue, f"again-{uuid4()}"
        done = await client.execute_workflow(WORKFLOW, str(run_id), id=other, task_queue=queue)
        return str(done)
