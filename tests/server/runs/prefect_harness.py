"""Runs that a real Prefect has executed: its server, its worker, a process for each run."""

from __future__ import annotations

import os
import select
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from tests.server.descendants import descendants
from tests.server.prefect_server import PrefectProcess, PrefectServer
from tests.server.runs.backend_contract import Paused
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.serving import LONG, SERVER, STOPPABLE, environment, settings_file
from towline_server.orchestrator_settings import PrefectSettings
from towline_server.runs.delegation import OrchestratedBackend
from towline_server.runs.domain import BackendName, RemoteRun, Run
from towline_server.runs.prefect.orchestrator import PrefectOrchestrator
from towline_server.runs.service import Runs
from towline_server.runs.states import ReasonCode
from towline_server.runs.worker import Backends


class ExecutingProcess:
    """The process that the worker has started for a run; it waits at a boundary."""

    def __init__(self, runs: Runs, run_id: UUID, handle: int) -> None:
        self._runs = runs
        self._run_id = run_id
        self._handle = handle
        """A pidfd."""

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if not self._has_ended(0):
            signal.pidfd_send_signal(self._handle, number)

    def renew(self) -> None:
        """Wait for its next heartbeat."""
        before = self._runs.get(self._run_id).executor.lease_until
        while self._runs.get(self._run_id).executor.lease_until == before:
            assert not self._has_ended(100)

    def go(self) -> None:
        """Let it go on, and wait for its end."""
        self.send_signal(signal.SIGCONT)
        self.await_end()

    def await_end(self) -> None:
        """Wait until it is gone."""
        assert self._has_ended(LONG * 1000)

    def _has_ended(self, milliseconds: int) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(milliseconds))


@dataclass
class PrefectHarness:
    """A server of towline's that passes runs on when a test says, and a worker of Prefect's.

    The worker is idle between the runs that are passed on to its ``pool``.
    """

    tenant: GitTenant
    url: str
    """Of the tenant's database."""
    server: PrefectServer
    worker: PrefectProcess
    pool: str = "towline"
    lease_seconds: int = 60
    paused_now: ExecutingProcess | None = field(default=None, init=False)

    name = BackendName.PREFECT
    lost_reason = ReasonCode.HEARTBEAT_TIMEOUT

    def __post_init__(self) -> None:
        self.runner = Runner(self.tenant)
        self._backends: list[OrchestratedBackend] = []
        self.backend = self.passing_on(self.command())
        self.runs = Runs(self.tenant.database, Backends([self.backend]))

    def command(self, *, wait_at: str | None = None, name: str = "one") -> list[str]:
        """What executes runs, in a folder of this name; ``wait_at`` is where it waits."""
        module, variables = (SERVER, []) if wait_at is None else (STOPPABLE, [f"WAIT_AT={wait_at}"])
        changes = {"heartbeat_seconds": 1, "lease_seconds": self.lease_seconds}
        with settings_file(self.tenant, self.url, name=name, **changes).open("a") as file:
            print(f'[prefect]\napi_url = "{self.server.api_url}"', file=file)
        words = ["env", *variables, sys.executable, "-m", module, "work"]
        return [*words, "--settings", file.name]

    def passing_on(self, command: list[str], **changes: Any) -> OrchestratedBackend:
        """What passes runs on to Prefect, for a worker to execute with a command."""
        settings = PrefectSettings(
            api_url=self.server.api_url,
            command=shlex.join(command),
            # A deployment is of one work pool.
            work_pool=self.pool,
            deployment=self.pool,
            **changes,
        )
        orchestrator = PrefectOrchestrator(settings)
        made = OrchestratedBackend(orchestrator, self.tenant.database, self.runner.changes)
        self._backends.append(made)
        return made

    def close(self) -> None:
        """End every connection to Prefect."""
        for backend in self._backends:
            backend.stop()

    def ended(self, run_id: UUID) -> Run:
        """Return a run, once it has ended."""
        for run in self.runs.follow(run_id, LONG):
            if run.id != run_id:  # the attempt after it
                break
        run = self.runs.get(run_id)
        assert run.is_terminal, run
        return run

    def look(self) -> None:
        """A server looks at every run that Prefect has, be it due or not."""
        self.runner.make_due()
        self.backend.follow_due()

    def flow_run(self, run_id: UUID) -> dict[str, Any]:
        """Return a run's flow run, as Prefect has it."""
        found: dict[str, Any] = self.server.call("GET", f"/flow_runs/{self.remote(run_id).ref}")
        return found

    def await_state(self, run_id: UUID, state: str) -> None:
        """Wait until a run's flow run has a state."""
        while self.flow_run(run_id)["state_type"] != state:
            pass

    def propose(self, run_id: UUID, state: str) -> None:
        """Do what a button of Prefect's page does: cancel a flow run, or retry it."""
        path = f"/flow_runs/{self.remote(run_id).ref}/set_state"
        self.server.call("POST", path, {"state": {"type": state}})

    def remote(self, run_id: UUID) -> RemoteRun:
        """Return what Prefect last answered about a run that was passed on."""
        found = self.runs.get(run_id).executor.remote
        assert found is not None
        return found

    def pass_on(self, run_id: UUID, backend: OrchestratedBackend) -> None:
        """Pass a run on, once Prefect answers."""
        while self.runs.get(run_id).executor.remote is None:
            backend.follow_due()

    def execute(self, run_id: UUID) -> Run:
        self.pass_on(run_id, self.backend)
        return self.ended(run_id)

    @contextmanager
    def paused(self, run_id: UUID, at: str) -> Iterator[ExecutingProcess]:
        self.pass_on(run_id, self.passing_on(self.command(wait_at=at)))
        self.worker.hear(f'"message": "waiting", "run_id": "{run_id}"')
        below = descendants(self.worker.child.pid)
        [handle] = [each for each, command in below.items() if str(run_id) in command]
        self.paused_now = process = ExecutingProcess(self.runs, run_id, handle)
        try:
            yield process
        finally:
            process.go()
            for each in below:
                os.close(each)

    def lose(self) -> None:
        assert self.paused_now is not None
        self.paused_now.send_signal(signal.SIGSTOP)
        self.runner.lose()

    def resume(self, run_id: UUID, paused: Paused) -> Run:
        assert self.paused_now is not None
        self.paused_now.send_signal(signal.SIGKILL)
        self.paused_now.await_end()
        self._execute_here(run_id, self.command())
        return self.ended(run_id)

    def deliver_again(self, run_id: UUID) -> None:
        self._execute_here(run_id, self.command(name="two"))

    def _execute_here(self, run_id: UUID, command: list[str]) -> None:
        """Start the command as another worker on this machine does."""
        remote = self.runs.get(run_id).executor.remote
        flow_run = str(uuid4()) if remote is None else remote.ref
        variables = environment(PREFECT__FLOW_RUN_ID=flow_run)
        words = [*command, "--backend", "prefect", str(run_id)]
        subprocess.run(words, env=variables, check=True, timeout=LONG, capture_output=True)
