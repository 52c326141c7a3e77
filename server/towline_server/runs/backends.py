"""What executes runs, as a port: `native` here, `external` anywhere else, others later."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from .domain import BackendName
from .errors import BackendNotConfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A run that is handed to its backend."""

    run_id: UUID
    project_id: UUID
    ref: str
    """What the backend calls it; another each time that a run is handed over."""


class Backend(Protocol):
    """Executes runs. It may be handed one twice, and one that has ended meanwhile."""

    @property
    def name(self) -> BackendName:
        """What runs call it."""
        ...

    def submit(self, dispatches: Sequence[Dispatch]) -> None:
        """Execute these as soon as may be, those of one project one after another."""
        ...

    def stop_run(self, run_id: UUID) -> None:
        """Tell a run that executes in this process to look whether it was cancelled; a hint."""
        ...

    def forget(self, ref: str) -> None:
        """Let go of a run that was ended over its executor's head."""
        ...

    def held_elsewhere(self, since: datetime) -> Sequence[str]:
        """What it calls the runs that other processes took before this moment, and still hold."""
        ...

    def still_has(self, refs: Sequence[str]) -> Collection[str]:
        """Those of these that wait there, or are held."""
        ...


class Backends:
    """The backends that are configured."""

    def __init__(self, backends: Iterable[Backend]) -> None:
        self._backends = {backend.name: backend for backend in backends}

    @property
    def configured(self) -> tuple[BackendName, ...]:
        """Their names, in alphabetical order."""
        return tuple(sorted(self._backends))

    def get(self, name: str) -> Backend:
        """The backend of this name.

        Raises:
            BackendNotConfigured: it cannot be used here.
        """
        backend = self._backends.get(BackendName(name)) if name in set(BackendName) else None
        if backend is None:
            raise BackendNotConfigured(backend=name, configured=self.configured)
        return backend
