"""Two who use one folder at a time: what one learns while the other applies."""

import os
from collections.abc import Callable

import pytest

from towline.errors import StalePlan, StoreBusy
from towline.limits import Limits
from towline.model import AssetPath
from towline.ports import Watch
from towline.pull import plan_pull, pull
from towline.remotes.memory import MemoryRemote
from towline.stores.directory.disk import Disk
from towline.stores.directory.journal import COMMITTED
from towline.stores.directory.store import DirectoryStore
from towline.testing.faults import faulty
from towline.testing.plans import (
    KnownContents,
    apply_edits,
    change,
    create,
    now,
    plan_of,
    pull_files,
    record_at,
)


class Interrupting(Disk):
    """Lets someone else look while files are out of their places."""

    meanwhile: Callable[[], None] | None = None

    def step(self, operation: str, path: str) -> None:
        super().step(operation, path)
        if self.meanwhile is not None and (operation, path) == ("rename", COMMITTED):
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()


def test_no_reader_takes_files_for_missing_during_an_apply(tmp_path):
    def look_up():
        with DirectoryStore.open(tmp_path / "p") as other:
            assert now(other).state().base == base
            for lookup in (
                lambda: now(other).aligned_at(AssetPath("a")),
                lambda: list(now(other).records()),
            ):
                with pytest.raises(StoreBusy):
                    lookup()
            checked.append(True)

    checked: list[bool] = []
    with DirectoryStore.create(tmp_path / "p", project="p", disk=Interrupting) as store:
        pull_files(store, a=b"1")
        base = now(store).state().base
        plan = plan_of(store, change(store, "a", b"2"))
        assert isinstance(store.disk, Interrupting)
        store.disk.meanwhile = look_up
        store.apply(plan, KnownContents(b"2"), Watch())
    assert checked


def test_what_was_learnt_before_someone_applied_is_not_written_down(tmp_path):
    with DirectoryStore.create(tmp_path / "p", project="p") as store:
        pull_files(store, a=b"1")
        other = DirectoryStore.open(store.root)
        held = store.disk.lock(".towline/lock")
        (store.root / "a").rename(store.root / "b")
        assert not record_at(other, "b").local_only
        assert held is not None
        os.close(held)
        (store.root / "b").rename(store.root / "a")
        apply_edits(store, create(store, "c", b"3"), contents=[b"3"])
        (store.root / "b").write_bytes(b"1")
        other.close()
        assert not record_at(store, "a").local_only
        assert record_at(store, "b").local_only


def test_a_pull_beside_another_sees_the_project_before_it_or_is_refused(tmp_path):
    remote = MemoryRemote()
    seen: list[str] = []
    remote.commit({"a": b"1", "b": b"1"})
    with DirectoryStore.create(tmp_path / "p", project="p", disk=faulty()) as store:
        pull(store, remote)
        later = MemoryRemote(repository=remote.repository)
        later.fetch(None, Limits(), Watch())
        second = remote.commit({"a": b"2", "b": b"2", "new": b"2"})

    def plan_beside(*_: str) -> None:
        remote.commit({"a": b"3", "b": b"3", "new": b"3"}, parents=[second])
        with DirectoryStore.open(tmp_path / "p", disk=faulty()) as other:
            try:
                plan = plan_pull(other, later)
            except (StoreBusy, StalePlan) as error:
                seen.append(error.code)
            else:
                assert not plan.conflicts
                seen.append("planned")
        remote.set_ref("refs/heads/main", second)

    with DirectoryStore.open(tmp_path / "p", disk=faulty(plan_beside, *range(1, 200))) as store:
        assert pull(store, remote).updated
    assert {"planned", "store_busy"} <= set(seen)
