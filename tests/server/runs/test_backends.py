"""The contract of backends, for those that need no orchestrator."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import pytest

from tests.server.runs.backend_contract import BackendContract, BackendHarness, Paused
from tests.server.runs.external_executor import planned
from tests.server.runs.inline import SteppedWorker
from tests.server.runs.runner import Gate, Runner
from towline.errors import Cancelled, RemoteUnavailable
from towline.planfile import dump_plan
from towline_server.errors import LeaseLost
from towline_server.runs.domain import BackendName, Run
from towline_server.runs.external import Claim, ExternalWork
from towline_server.runs.states import ACTIVE, ReasonCode, RunState


class PausedThread:
    """A thread of this process that executes a run, and waits at a gate."""

    def __init__(self, worker: SteppedWorker, gate: Gate, thread: threading.Thread) -> None:
        self.worker = worker
        self._gate = gate
        self._thread = thread

    def renew(self) -> None:
        self.worker.heartbeat.renew()

    def go(self) -> None:
        self.worker.heartbeat.look()
        self._gate.open()
        self._thread.join()


class NativeHarness:
    """Workers of this process."""

    name = BackendName.NATIVE
    lost_reason = ReasonCode.HEARTBEAT_TIMEOUT

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.runs = runner.runs

    def execute(self, run_id: UUID) -> Run:
        assert self._runner.worker("two").execute(run_id) is None
        return self.runs.get(run_id)

    @contextmanager
    def paused(self, run_id: UUID, at: str) -> Iterator[PausedThread]:
        gate = Gate(at)
        worker = self._runner.worker("one", gate)
        thread = threading.Thread(target=worker.execute, args=(run_id,))
        thread.start()
        paused = PausedThread(worker, gate, thread)
        try:
            gate.await_run()
            yield paused
        finally:
            paused.go()

    def lose(self) -> None:
        self._runner.lose()

    def resume(self, run_id: UUID, paused: Paused) -> Run:
        assert self._runner.worker("one").execute(run_id) is None
        return self.runs.get(run_id)

    def deliver_again(self, run_id: UUID) -> None:
        assert self._runner.worker("three").execute(run_id) is not None


class PausedClaim:
    """An executor that has claimed a run, and reports one phase after the other."""

    def __init__(self, external: ExternalWork, claim: Claim) -> None:
        self.claim = claim
        self._external = external

    def renew(self) -> None:
        self._external.heartbeat(self.claim.run.id, self.claim.token)

    def enter(self, phase: RunState) -> None:
        reply = self._external.heartbeat(self.claim.run.id, self.claim.token, phase=phase)
        if reply.cancel:
            raise Cancelled

    def go(self) -> None:
        run_id, token = self.claim.run.id, self.claim.token
        only = self.claim.run.request.selection
        try:
            self.enter(RunState.COMPARING)
            plan, contents = planned(self._external.work(run_id, token), only)
            self._external.complete(run_id, token, dump_plan(plan), contents)
        except RemoteUnavailable as error:
            self._external.fail(run_id, token, ReasonCode.REMOTE_UNREACHABLE, error.message)
        except Cancelled:
            self._external.fail(run_id, token, ReasonCode.INTERNAL_ERROR, "it is cancelled")
        except LeaseLost:
            pass


class ExternalHarness:
    """Executors that claim runs."""

    name = BackendName.EXTERNAL
    lost_reason = ReasonCode.LEASE_LOST

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self.runs = runner.runs

    def _claim(self, executor: str) -> Claim | None:
        return self._runner.external.claim(executor, tenant_id=self._runner.tenant.tenant_id)

    def _claimed(self, executor: str, run_id: UUID) -> PausedClaim:
        claim = self._claim(executor)
        assert claim is not None
        assert claim.run.id == run_id
        return PausedClaim(self._runner.external, claim)

    def execute(self, run_id: UUID) -> Run:
        self._claimed("two", run_id).go()
        return self.runs.get(run_id)

    @contextmanager
    def paused(self, run_id: UUID, at: str) -> Iterator[PausedClaim]:
        claimed = self._claimed("one", run_id)
        for phase in ACTIVE[1 : ACTIVE.index(RunState(at)) + 1]:
            claimed.enter(phase)
        yield claimed
        claimed.go()

    def lose(self) -> None:
        self._runner.lose()

    def resume(self, run_id: UUID, paused: Paused) -> Run:
        paused.go()
        return self.runs.get(run_id)

    def deliver_again(self, run_id: UUID) -> None:
        assert self._claim("three") is None


class TestNative(BackendContract):
    """Threads of a server."""

    @pytest.fixture
    def harness(self, runner: Runner) -> BackendHarness:
        return NativeHarness(runner)


class TestExternal(BackendContract):
    """Executors over HTTP, by the calls that their requests make."""

    @pytest.fixture
    def harness(self, runner: Runner) -> BackendHarness:
        return ExternalHarness(runner)
