"""An orchestrator in memory: it starts nothing by itself, and answers what a test has it answer."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from towline_server.errors import OrchestratorUnavailable
from towline_server.runs.domain import BackendName, RemoteRun, RemoteState
from towline_server.runs.states import RunState


class SteppedOrchestrator:
    """Remembers the runs that it was given; ``away``: it does not answer."""

    def __init__(self, name: BackendName = BackendName.TEMPORAL) -> None:
        self.name = name
        self.given: dict[str, RemoteRun] = {}
        self.starts: list[UUID] = []
        self.settled: list[tuple[str, RunState]] = []
        self.looks = 0
        self.away = False

    def start(self, run_id: UUID) -> RemoteRun:
        self._answer()
        self.starts.append(run_id)
        url = f"https://orchestrator.example/{run_id}"
        made = RemoteRun(ref=f"w-{run_id}", url=url, state=RemoteState.RUNNING)
        return self.given.setdefault(made.ref, made)

    def find(self, ref: str) -> RemoteRun | None:
        self._answer()
        self.looks += 1
        return self.given.get(ref)

    def cancel(self, ref: str) -> None:
        self._answer()
        self.end(ref, RemoteState.CANCELLED)

    def settle(self, ref: str, state: RunState) -> None:
        self._answer()
        self.settled.append((ref, state))

    def close(self) -> None:
        pass

    def end(self, ref: str, state: RemoteState) -> None:
        """End a run there."""
        self.given[ref] = replace(self.given[ref], state=state)

    def _answer(self) -> None:
        if self.away:
            raise OrchestratorUnavailable(orchestrator="it", problem="it is away")
