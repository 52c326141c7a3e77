"""Runs that have ended when `Runs.request` returns, fetched in this process."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

from towline.limits import Limits
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.git import GitRemote
from towline.remotes.url import ALL_SCHEMES
from towline_server.auth.sealing import Sealer
from towline_server.db import Database
from towline_server.loops import ChangeSignal
from towline_server.runs.domain import BackendName
from towline_server.runs.execute import Tools
from towline_server.runs.fetching import FetchTarget, Repositories, SharedFetches
from towline_server.runs.heartbeat import Heartbeat
from towline_server.runs.queue import Leases, NotTaken
from towline_server.runs.service import Runs
from towline_server.runs.worker import Backends, Worker


class SteppedWorker(Worker):
    """A worker that executes the runs that a test names."""

    def execute(self, run_id: UUID) -> NotTaken | None:
        """Execute a run to its end, or return why it cannot be taken."""
        lease = self.take(run_id)
        if isinstance(lease, NotTaken):
            return lease
        self.execute_leased(lease)
        return None


class InlineBackend:
    """Executes each run before `submit` returns; several threads take turns."""

    name = BackendName.NATIVE

    def __init__(self, tools: Tools) -> None:
        self._worker = SteppedWorker(tools, Heartbeat(tools.leases), "inline")
        self._turn = threading.Lock()

    def submit(self, run_ids: Sequence[UUID]) -> None:
        for run_id in run_ids:
            with self._turn:
                self._worker.execute(run_id)

    def stop_run(self, run_id: UUID) -> None:
        self._worker.heartbeat.stop_run(run_id)


def fetch_here(wanted: FetchTarget, watch: Watch) -> Revision:
    """Fetch without the child process and its bounds."""
    repository = wanted.repository
    with GitRemote(
        repository.url,
        ref=repository.ref,
        cache=repository.cache,
        credentials=lambda _url: repository.credential,
    ) as remote:
        return remote.fetch(wanted.revision, wanted.limits, watch)


def open_inline(
    database: Database,
    sealer: Sealer,
    cache_dir: Path,
    *,
    limits: Limits = Limits(total_seconds=60),
) -> Runs:
    """Return the runs of a database; they are fetched from any address."""
    tools = Tools(
        database=database,
        leases=Leases(database),
        repositories=Repositories(database, sealer, cache_dir, schemes=ALL_SCHEMES, limits=limits),
        fetches=SharedFetches(fetch_here, now=database.now),
        changes=ChangeSignal(),
    )
    return Runs(database, Backends([InlineBackend(tools)]), changes=tools.changes)
