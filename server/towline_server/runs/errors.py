"""What can go wrong with a run as such, beside what can go wrong with a pull."""

from __future__ import annotations

from dataclasses import dataclass

from towline.errors import CallerError, MovedError, TowlineError


@dataclass(eq=False, kw_only=True)
class UnknownKind(CallerError):
    """A run is limited to a kind that its project does not have."""

    code = "unknown_kind"
    kind: str

    @property
    def message(self) -> str:
        """What is not there."""
        return f"the project has no kind {self.kind!r}"


@dataclass(eq=False, kw_only=True)
class BoundElsewhere(CallerError):
    """A run is for what its project was bound to, and that has changed since."""

    code = "bound_elsewhere"
    project: str

    @property
    def message(self) -> str:
        """What is not as it was."""
        return f"{self.project} is bound to another repository, ref or folder than this run is for"


@dataclass(eq=False, kw_only=True)
class BackendNotConfigured(CallerError):
    """Runs cannot be executed by this backend here."""

    code = "backend_not_configured"
    backend: str
    configured: tuple[str, ...]

    @property
    def message(self) -> str:
        """What can be chosen instead."""
        return f"{self.backend} is not configured here; use {' or '.join(self.configured)}"


@dataclass(eq=False, kw_only=True)
class RunNotEnded(MovedError):
    """What was asked for needs a run that has ended."""

    code = "run_not_ended"
    run_id: str

    @property
    def message(self) -> str:
        """What to do."""
        return f"run {self.run_id} has not ended; wait for it, or cancel it"


@dataclass(eq=False, kw_only=True)
class KindInProgress(MovedError):
    """A second run of one kind was asked for by who wants no two at once."""

    code = "kind_in_progress"
    kind: str
    run_id: str

    @property
    def message(self) -> str:
        """Which run it is."""
        return f"run {self.run_id} of kind {self.kind!r} is still in progress"


@dataclass(eq=False, kw_only=True)
class LeaseLost(MovedError):
    """Whoever executes a run does not hold it any more; nothing it did counts."""

    code = "lease_lost"
    run_id: str

    @property
    def message(self) -> str:
        """What happened."""
        return f"run {self.run_id} was taken away from its executor"


@dataclass(eq=False)
class HeartbeatMissed(MovedError):
    """A run's executor did not tell that it is alive for as long as a lease lasts."""

    code = "heartbeat_timeout"

    @property
    def message(self) -> str:
        """What happened."""
        return "the executor stopped answering"


@dataclass(eq=False)
class RunUnclaimed(HeartbeatMissed):
    """No external executor claimed a run for as long as the settings allow."""

    code = "run_unclaimed"

    @property
    def message(self) -> str:
        """What happened, and what to look at."""
        return "no external executor claimed the run; check that one is running"


@dataclass(eq=False)
class WorkerShutdown(MovedError):
    """A run's executor was shut down before the commit point."""

    code = "worker_shutdown"

    @property
    def message(self) -> str:
        """What happened."""
        return "the executor was shut down; nothing was changed"


@dataclass(eq=False)
class ExecutorFailed(TowlineError):
    """An executor failed for a reason that is no one's to mend but its operator's."""

    code = "internal_error"

    @property
    def message(self) -> str:
        """No more than that: what failed stands in the server's log."""
        return "internal error"


@dataclass(eq=False)
class HookReplayed(MovedError):
    """A webhook came that had come before."""

    code = "webhook_replayed"

    @property
    def message(self) -> str:
        """What became of it."""
        return "this webhook came before; its runs were started then"
