"""Local edits: what users do to assets beside any pull.

An asset that was put here and never pulled has the id that is planned for its path, as in every
store: it follows the path in a move, and is free again when the asset is deleted. So what is new on
both sides has one id, wherever it is written first.
"""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from towline.errors import InvalidPath, UnknownAssets
from towline.model import AssetId, AssetPath, AssetState, Digest, planned_id
from towline.records import AssetRecord, LocalFile, absent_at
from towline_server.db.statements import insert_all

from .asset_tables import Asset
from .contents import Contents
from .heads import Head
from .lookups import SqlSnapshot
from .preconditions import Expected
from .rows import row_of


class LocalEdits:
    """Edits of one project in a session that holds its row's lock (`locking.lock_for_edit`)."""

    def __init__(self, session: Session, project_id: UUID, head: Head) -> None:
        self._session = session
        self._project_id = project_id
        self._head = head
        self._ours = SqlSnapshot(session, project_id, head, caches=False)
        self._contents = Contents(session, project_id)

    def put(
        self,
        path: AssetPath,
        content: bytes,
        *,
        executable: bool | None = None,
        expected: Expected | None = None,
    ) -> AssetRecord:
        """Write the asset that stands at the path, or a new one. ``executable`` None: as it is.

        Raises:
            InvalidPath: the path is no asset's, or something stands in its way.
            AssetChanged: something else than expected stands there.
        """
        standing = self._ours.at(path)
        if standing is None and (standing := absent_at(self._ours, path)) is not None:
            standing = replace(standing, kind=self._kind_at(path))
            self._check_free(path, None)
        before = None if standing is None else standing.ours
        if expected is not None:
            expected.check(path, before)
        if executable is None:
            executable = before is not None and before.executable
        state = AssetState(path=path, digest=Digest.of(content), executable=executable)
        after = self._new(state) if standing is None else replace(standing, ours=state)
        self._contents.hold({state.digest: content})
        self._replace(standing, after)
        return after

    def move(
        self, asset_id: AssetId, path: AssetPath, *, expected: Expected | None = None
    ) -> AssetRecord:
        """Rename an asset; it stays the same one, and keeps its id if it was ever pulled.

        Raises:
            UnknownAssets: no such asset stands here.
            InvalidPath: the path is no asset's, or something stands in its way.
            AssetChanged: the asset's content is not what was expected.
        """
        record, state = self._standing(asset_id, expected)
        kind = self._kind_at(path)
        self._check_free(path, asset_id)
        after = replace(record, kind=kind, ours=replace(state, path=path))
        if not self._ours.is_used(asset_id):
            after = replace(after, id=self._planned(path))
        self._replace(record, after)
        return after

    def delete(self, asset_id: AssetId, *, expected: Expected | None = None) -> None:
        """Delete an asset.

        Raises:
            UnknownAssets: no such asset stands here.
            AssetChanged: the asset's content is not what was expected.
        """
        record, _ = self._standing(asset_id, expected)
        self._replace(record, replace(record, ours=None))

    def _new(self, state: AssetState) -> AssetRecord:
        kind = self._kind_at(state.path)
        self._check_free(state.path, None)
        asset_id = self._planned(state.path)
        return AssetRecord(id=asset_id, kind=kind, base=None, ours=state, recorded=None)

    def _planned(self, path: AssetPath) -> AssetId:
        return planned_id(self._head.project, path, self._ours.is_used)

    def _kind_at(self, path: AssetPath) -> str:
        kind = self._head.kinds.of(path)
        if kind is None:
            raise InvalidPath(path=path, problem="is outside the kinds of this project")
        if problem := self._head.names.problem(path):
            raise InvalidPath(path=path, problem=problem)
        return kind.name

    def _check_free(self, path: AssetPath, mover: AssetId | None) -> None:
        for occupant in self._ours.occupants(path):
            if isinstance(occupant, LocalFile) or occupant.id != mover:
                raise InvalidPath(path=path, problem="something else is in the way")

    def _standing(
        self, asset_id: AssetId, expected: Expected | None
    ) -> tuple[AssetRecord, AssetState]:
        record = self._ours.with_id(asset_id)
        if record is None or record.ours is None:
            raise UnknownAssets(asset_ids=(asset_id,))
        if expected is not None:
            expected.check(record.ours.path, record.ours)
        return record, record.ours

    def _replace(self, before: AssetRecord | None, after: AssetRecord) -> None:
        if before is not None:
            mine = (Asset.project_id == self._project_id, Asset.id == before.id)
            self._session.execute(delete(Asset).where(*mine))
        if not (after.local_only and after.ours is None):
            insert_all(self._session, Asset, [row_of(self._project_id, after, self._head.names)])
        if before is not None and before.ours is not None:
            self._contents.sweep([before.ours.digest])
