"""The port of orchestrators: systems of their own that start executors for runs.

An orchestrator decides when and where a run is executed. Whether and by which executor is for the
lease in the run's row alone, so what an orchestrator does twice, late or not at all does no harm.
"""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from .domain import BackendName, RemoteRun
from .states import RunState


class Orchestrator(Protocol):
    """A client of an orchestrator. Several threads call it; no call takes long.

    Each method raises `towline_server.errors.OrchestratorUnavailable` where the orchestrator does
    not answer, or refuses this server: every run then waits until it does.
    """

    @property
    def name(self) -> BackendName:
        """The backend that it is."""
        ...

    def start(self, run_id: UUID) -> RemoteRun:
        """Have an executor started for a run; one that was given before is returned as it is."""
        ...

    def find(self, ref: str) -> RemoteRun | None:
        """Return a run by `RemoteRun.ref`; None: the orchestrator does not have it (any more)."""
        ...

    def cancel(self, ref: str) -> None:
        """Ask for a run to be cancelled there; one that has ended is left as it is."""
        ...

    def settle(self, ref: str, state: RunState) -> None:
        """Have a run that has ended end there, too: its executor may be lost, or unable to."""
        ...

    def close(self) -> None:
        """End its connections."""
        ...
