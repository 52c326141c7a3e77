"""A project in a database and a remote in memory, for the tests of the SQL store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.databases import add_project
from towline import Limits, Plan, PullOptions, Report, Watch, plan_pull, pull
from towline.kinds import Kinds
from towline.model import AssetPath
from towline.names import NamePolicy
from towline.records import AssetRecord
from towline.remotes.memory import MemoryRemote
from towline.testing.plans import now
from towline_server.db import Database
from towline_server.projects.store import SqlStore

POLICY = PullOptions(limits=Limits(assets=100_000, tree_entries=200_000))


@dataclass(slots=True)
class PulledProject:
    """One project, its remote, and ways to pull."""

    database: Database
    project_id: UUID
    remote: MemoryRemote = field(default_factory=MemoryRemote)

    @property
    def store(self) -> SqlStore:
        """A store as a request would make it."""
        return self.open()

    def open(self, **options: Any) -> SqlStore:
        """A store with a fence, or with writes of the caller's own."""
        return SqlStore(self.database, self.project_id, **options)

    def elsewhere(self) -> PulledProject:
        """The same, as another process has it."""
        return PulledProject(Database(self.database.engine), self.project_id, self.remote)

    def pull(self, **files: bytes) -> Report:
        """Commit a tree, if one is given, and pull."""
        if files:
            self.remote.commit(files)
        return pull(self.store, self.remote, options=POLICY)

    def plan(self, **files: bytes) -> Plan:
        """Commit a tree, if one is given, and plan to pull it."""
        if files:
            self.remote.commit(files)
        return plan_pull(self.store, self.remote, options=POLICY)

    def record(self, path: AssetPath) -> AssetRecord:
        """The asset that is at a path."""
        found = now(self.store).at(path)
        assert found is not None, path
        return found

    def contents(self) -> dict[str, bytes]:
        """The content of each asset, by path."""
        store = self.store
        states = [record.ours for record in now(store).records() if record.ours is not None]
        found = {str(state.path): store.read(state.digest) for state in states}
        return {path: content for path, content in found.items() if content is not None}


def make_project(
    database: Database,
    *,
    kinds: Kinds | None = None,
    names: NamePolicy = NamePolicy.EXACT,
    keep: int = 50,
) -> PulledProject:
    """A new project and an empty remote."""
    return PulledProject(database, add_project(database, kinds=kinds, names=names, keep=keep))


A, B, C = AssetPath("a"), AssetPath("b"), AssetPath("c")
WATCH = Watch()
