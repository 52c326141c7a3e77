"""Local edits: what users do to assets between pulls, in one transaction."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from towline.asset_ids import planned_id
from towline.errors import InvalidPath, UnknownAssets
from towline.model import AssetId, AssetPath, AssetState, Digest
from towline.records import AssetRecord, LocalFile, absent_at
from towline.stores.transaction import StoreTransaction

if TYPE_CHECKING:
    from towline.stores.base import BaseStore

Expect: TypeAlias = Callable[[AssetPath, AssetState | None], None]
"""Called with the edited asset as it is before the edit; what it raises refuses the edit."""


class LocalEdits:
    """Edits in a transaction of `BaseStore.editing`. They see each other.

    An asset that was made here and never pulled has the id that `BaseStore.mint_id` returns. If
    that is None it has the planned one, which follows the path in a move, and is free again when
    the asset is deleted.
    """

    def __init__(self, transaction: StoreTransaction, store: BaseStore) -> None:
        self._transaction = transaction
        self._store = store
        self._ours = store.lookups(transaction)

    def put(
        self,
        path: AssetPath,
        content: bytes,
        *,
        executable: bool | None = None,
        expect: Expect | None = None,
    ) -> AssetRecord:
        """Write the asset at a path, or a new one. ``executable`` None: as it is, or not.

        Raises:
            InvalidPath: the path is outside the kinds, or is taken by something else.
        """
        before = self._ours.at(path)
        known = None if before is None else before.ours
        if expect is not None:
            expect(path, known)
        if executable is None:
            executable = known is not None and known.executable
        state = AssetState(path=path, digest=Digest.of(content), executable=executable)
        if before is not None:
            after = replace(before, ours=state)
        else:
            kind = self._kind_at(path)
            self._check_free(path, None)
            before = absent_at(self._ours, path)
            after = (
                AssetRecord(id=self._new_id(path), kind=kind, base=None, ours=state, recorded=None)
                if before is None
                else replace(before, kind=kind, ours=state)
            )
        self._transaction.put_blob(state.digest, content)
        self._replace(before, after)
        return after

    def move(
        self, asset_id: AssetId, path: AssetPath, *, expect: Expect | None = None
    ) -> AssetRecord:
        """Rename an asset. Its id is another one if it was only planned.

        Raises:
            UnknownAssets: there is no such asset here.
            InvalidPath: the path is outside the kinds, or is taken by something else.
        """
        before, ours = self._existing(asset_id, expect)
        kind = self._kind_at(path)
        self._check_free(path, asset_id)
        after = replace(before, kind=kind, ours=replace(ours, path=path))
        if asset_id == self._planned_id(ours.path):
            after = replace(after, id=self._new_id(path))
        self._replace(before, after)
        return after

    def delete(self, asset_id: AssetId, *, expect: Expect | None = None) -> None:
        """Delete an asset.

        Raises:
            UnknownAssets: there is no such asset here.
        """
        before, _ = self._existing(asset_id, expect)
        self._replace(before, replace(before, ours=None))

    def _existing(self, asset_id: AssetId, expect: Expect | None) -> tuple[AssetRecord, AssetState]:
        record = self._ours.with_id(asset_id)
        if record is None or record.ours is None:
            raise UnknownAssets(asset_ids=(asset_id,))
        if expect is not None:
            expect(record.ours.path, record.ours)
        return record, record.ours

    def _kind_at(self, path: AssetPath) -> str:
        kind = self._ours.kinds.of(path)
        if kind is None:
            raise InvalidPath(path=path, problem="matches no kind of this project")
        if problem := self._ours.names.problem(path):
            raise InvalidPath(path=path, problem=problem)
        return kind.name

    def _check_free(self, path: AssetPath, mover: AssetId | None) -> None:
        for occupant in self._ours.occupants(path):
            if isinstance(occupant, LocalFile) or occupant.id != mover:
                raise InvalidPath(path=path, problem="something else is in the way")

    def _new_id(self, path: AssetPath) -> AssetId:
        if (former := self._ours.former_id(path)) is not None:
            return former
        minted = self._store.mint_id(path)
        if minted is None:
            return self._planned_id(path)
        if self._ours.is_used(minted) or self._ours.with_id(minted) is not None:
            raise ValueError(f"mint_id returned {minted!r}, the id of another asset")
        return minted

    def _planned_id(self, path: AssetPath) -> AssetId:
        return planned_id(self._ours.project, path, self._ours.is_used)

    def _replace(self, before: AssetRecord | None, after: AssetRecord) -> None:
        if before is not None:
            self._transaction.remove(before.id)
        if not (after.local_only and after.ours is None):
            self._transaction.put(after)
        elif before is not None:
            self._release(before)
        if before is not None and before.ours is not None:
            self._store.sweep(self._transaction, {before.ours.digest})

    def _release(self, record: AssetRecord) -> None:
        """Record where an asset was last; an id that was only planned is free again."""
        path = record.last_path
        if path is not None and record.id != self._planned_id(path):
            self._store.use_ids(self._transaction, (), {path: record.id})
