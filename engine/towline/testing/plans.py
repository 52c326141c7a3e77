"""Plans made by hand, and contents to apply them with, for the store contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from towline.asset_ids import planned_id
from towline.errors import ContentMissing
from towline.model import AssetId, AssetPath, AssetState, Digest, Revision
from towline.plan import Edit, Plan
from towline.ports import Applied, AssetStore, Snapshot, Watch
from towline.records import AssetRecord, StoreState


class KnownContents:
    """Contents that are known in advance. ``asked`` lists the digests that were asked for."""

    def __init__(self, *known: bytes, on_ask: Callable[[], None] | None = None) -> None:
        self._known = {Digest.of(content): content for content in known}
        self._on_ask = on_ask
        self.asked: list[Digest] = []

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        self.asked.extend(digests)
        if self._on_ask is not None:
            self._on_ask()
        if missing := [digest for digest in digests if digest not in self._known]:
            raise ContentMissing(digests=tuple(missing))
        # No order is promised.
        for digest in reversed(digests):
            yield digest, self._known[digest]


class _EachMoment:
    """The lookups of a store, each in a snapshot of its own."""

    def __init__(self, store: AssetStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        def look(*asked: Any) -> Any:
            with self._store.snapshot() as snapshot:
                found = getattr(snapshot, name)(*asked)
                return iter(list(found)) if name == "records" else found

        return look


def now(store: AssetStore) -> Snapshot:
    """Return lookups of which each answers for the moment at which it is called."""
    return cast(Snapshot, _EachMoment(store))


def state_of(path: str, content: bytes, *, executable: bool = False) -> AssetState:
    """Return an asset's state with this content."""
    return AssetState(path=AssetPath(path), digest=Digest.of(content), executable=executable)


def pulled(asset_id: AssetId, state: AssetState, size: int = 0) -> AssetRecord:
    """Return the record of an asset that is alike on all three sides."""
    return AssetRecord(id=asset_id, kind="file", base=state, ours=state, recorded=state, size=size)


def record_at(store: AssetStore, path: str) -> AssetRecord:
    """Return the record of the asset at a path, which must be there."""
    record = now(store).at(AssetPath(path))
    assert record is not None, f"nothing is at {path!r}"
    return record


def create(store: AssetStore, path: str, content: bytes, *, executable: bool = False) -> Edit:
    """Return the edit that creates an asset."""
    former = now(store).former_id(AssetPath(path))
    asset_id = former or planned_id(store.project, path, now(store).is_used)
    state = state_of(path, content, executable=executable)
    return Edit(before=None, after=pulled(asset_id, state, len(content)))


def change(
    store: AssetStore,
    path: str,
    content: bytes | None = None,
    *,
    to: str | None = None,
    executable: bool | None = None,
) -> Edit:
    """Return the edit that changes the content, path or executable bit of the asset at a path."""
    before = record_at(store, path)
    assert before.ours is not None, "an asset at a path has a state"
    state = replace(
        before.ours,
        path=AssetPath(path if to is None else to),
        digest=before.ours.digest if content is None else Digest.of(content),
        executable=before.ours.executable if executable is None else executable,
    )
    return Edit(before=before, after=pulled(before.id, state))


def delete(store: AssetStore, path: str) -> Edit:
    """Return the edit that deletes the asset at a path and its record."""
    return Edit(before=record_at(store, path), after=None)


def plan_of(store: AssetStore, *edits: Edit, revision: str = "1" * 40) -> Plan:
    """Return the plan of a pull that makes these edits."""
    return Plan(
        project=store.project,
        revision=Revision(revision),
        before=now(store).state(),
        after=StoreState(base=Revision(revision), tracked=len(edits)),
        edits=edits,
    )


def apply_edits(store: AssetStore, *edits: Edit, contents: Sequence[bytes] = ()) -> Applied:
    """Apply these edits as one pull."""
    return store.apply(plan_of(store, *edits), KnownContents(*contents), Watch())


def pull_files(store: AssetStore, **files: bytes) -> None:
    """Pull new assets by name; ``__`` in it is a slash."""
    edits = [create(store, name.replace("__", "/"), content) for name, content in files.items()]
    apply_edits(store, *edits, contents=list(files.values()))
