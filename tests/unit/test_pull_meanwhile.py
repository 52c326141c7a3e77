"""What someone else does to the store while a pull is being planned."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from towline import MemoryRemote, MemoryStore, apply, plan_pull, pull
from towline.changes import RemoteEntry
from towline.errors import StalePlan
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, Revision
from towline.plan import Disposition
from towline.ports import Watch
from towline.remotes.memory import MemoryRepository
from towline.testing.plans import now


def test_a_pull_by_someone_else_meanwhile_makes_no_conflicts():
    repository = MemoryRepository()
    store = MemoryStore(project="p")

    class Slow(MemoryRemote):
        def listing(
            self, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
        ) -> Mapping[AssetPath, RemoteEntry]:
            found = super().listing(revision, kinds, limits, watch)
            pull(store, MemoryRemote(repository))
            return found

    repository.commit({"a": b"1"})
    plan = plan_pull(store, Slow(repository))
    assert [item.disposition for item in plan.items] == [Disposition.CREATED]
    with pytest.raises(StalePlan):
        apply(plan, store)
    assert now(store).at(AssetPath("a")) is not None
