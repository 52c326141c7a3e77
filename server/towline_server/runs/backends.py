"""What executes runs, as a port: `native` here, `external` anywhere else, others later."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from towline_server.errors import BackendNotConfigured

from .domain import BackendName


class Backend(Protocol):
    """Executes runs. What waits, and who executes what, is in the rows of the runs alone."""

    @property
    def name(self) -> BackendName:
        """The name that the rows of its runs have."""
        ...

    def submit(self, run_ids: Sequence[UUID]) -> None:
        """Look at runs that were just queued; a hint, as a backend finds them by itself."""
        ...

    def stop_run(self, run_id: UUID) -> None:
        """Tell a run that executes in this process to look whether it was cancelled; a hint."""
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
