"""A store in memory: the port's plainest filling, for tests, dry runs and embedders' trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from towline.errors import InvalidPath, StoreBusy, UnknownAssets
from towline.kinds import Kinds
from towline.merge.index import AssetIndex
from towline.model import AssetId, AssetPath, AssetState, Digest, planned_id
from towline.names import NamePolicy
from towline.plan import Contents, Plan, StoreState
from towline.ports import Applied, LoggedPull, Phase, Watch
from towline.records import AssetRecord, LocalFile, Occupant, absent_at
from towline.stores.checks import (
    check_destinations,
    check_edits,
    check_state,
    check_undone,
    needed_contents,
    undo_needs,
    undone_by,
)


class MemoryStore:
    """A project in memory. Local edits are made with `put`, `move`, `delete` and `put_file`.

    An asset that was put here and never pulled has the id that is planned for its path, as in
    every store that does not write such ids down: it follows the path in a move, and is free
    again when the asset is deleted.
    """

    def __init__(
        self,
        project: str,
        *,
        kinds: Kinds | None = None,
        names: NamePolicy = NamePolicy.EXACT,
        keep: int = 50,
    ) -> None:
        self._project = project
        self._kinds = Kinds() if kinds is None else kinds
        self._names = names
        self._keep = keep
        self._state = StoreState()
        self._index = AssetIndex(names=names)
        self._used: set[AssetId] = set()
        self._files: dict[AssetPath, bytes] = {}
        self._log: list[LoggedPull] = []
        self._pulls = 0
        self._blobs: dict[Digest, bytes] = {}
        self._held: Counter[Digest] = Counter()
        self._applying = False

    @property
    def project(self) -> str:
        return self._project

    @property
    def kinds(self) -> Kinds:
        return self._kinds

    @property
    def names(self) -> NamePolicy:
        return self._names

    def set_kinds(self, kinds: Kinds) -> None:
        """Say anew what is an asset; the next pull compares in full."""
        self._kinds = kinds

    # --- lookups ------------------------------------------------------------------------------

    def state(self) -> StoreState:
        return self._state

    def at(self, path: AssetPath) -> AssetRecord | None:
        return self._index.at(path)

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        return self._index.aligned_at(path)

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        return self._index.with_id(asset_id)

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        return self._index.with_embedded_id(embedded_id)

    def lagging(self) -> Sequence[AssetRecord]:
        return self._index.lagging()

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        return self._index.occupants(path)

    def is_used(self, asset_id: AssetId) -> bool:
        return asset_id in self._used

    def records(self) -> Iterator[AssetRecord]:
        return self._index.records()

    def read(self, digest: Digest) -> bytes | None:
        return self._blobs.get(digest)

    def log(self) -> Sequence[LoggedPull]:
        return tuple(reversed(self._log))

    # --- local edits --------------------------------------------------------------------------

    def put(self, path: AssetPath, content: bytes, *, executable: bool = False) -> AssetId:
        """Write an asset as its user would: the one that stands at the path, else a new one.

        Raises:
            InvalidPath: the path is no asset's, or something stands in its way.
        """
        state = AssetState(path=path, digest=Digest.of(content), executable=executable)
        standing = self._index.at(path) or self._returning(path)
        record = self._new(state) if standing is None else replace(standing, ours=state)
        self._hold(content)
        self._replace(standing, record)
        return record.id

    def move(self, asset_id: AssetId, path: AssetPath) -> AssetId:
        """Rename an asset as its user would; returns its id, another if it was never pulled.

        Raises:
            UnknownAssets: no such asset stands here.
            InvalidPath: the path is no asset's, or something stands in its way.
        """
        record = self._standing(asset_id)
        assert record.ours is not None, "it stands here"
        state = replace(record.ours, path=path)
        kind = self._kind_at(path)
        self._check_free(path, asset_id)
        moved = replace(record, kind=kind, ours=state)
        if asset_id not in self._used:
            moved = replace(moved, id=self._planned(path))
            self._index.forget([asset_id])
        self._index.put([moved])
        return moved.id

    def delete(self, asset_id: AssetId) -> None:
        """Delete an asset as its user would.

        Raises:
            UnknownAssets: no such asset stands here.
        """
        record = self._standing(asset_id)
        self._replace(record, replace(record, ours=None))

    def put_file(self, path: AssetPath, content: bytes = b"") -> None:
        """Write a local file that is no asset.

        Raises:
            InvalidPath: something else stands in its way.
        """
        if path not in self._files:
            self._check_free(path, None)
            self._index.put_file(path)
        self._files[path] = content

    def delete_file(self, path: AssetPath) -> None:
        """Delete a local file that is no asset."""
        del self._files[path]
        self._index.forget_file(path)

    def _returning(self, path: AssetPath) -> AssetRecord | None:
        record = absent_at(self._index, path)
        if record is None:
            return None
        kind = self._kind_at(path)
        self._check_free(path, None)
        return replace(record, kind=kind)

    def _new(self, state: AssetState) -> AssetRecord:
        kind = self._kind_at(state.path)
        self._check_free(state.path, None)
        asset_id = self._planned(state.path)
        return AssetRecord(id=asset_id, kind=kind, base=None, ours=state, recorded=None)

    def _planned(self, path: AssetPath) -> AssetId:
        return planned_id(self._project, path, self.is_used)

    def _kind_at(self, path: AssetPath) -> str:
        kind = self._kinds.of(path)
        if kind is None:
            raise InvalidPath(path=path, problem="is outside the kinds of this project")
        return kind.name

    def _check_free(self, path: AssetPath, mover: AssetId | None) -> None:
        for occupant in self._index.occupants(path):
            if isinstance(occupant, LocalFile) or occupant.id != mover:
                raise InvalidPath(path=path, problem="something else stands in its way")

    def _standing(self, asset_id: AssetId) -> AssetRecord:
        record = self._index.with_id(asset_id)
        if record is None or record.ours is None:
            raise UnknownAssets(asset_ids=(asset_id,))
        return record

    # --- the transaction ----------------------------------------------------------------------

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        if self._applying:
            raise StoreBusy(project=self._project)
        self._applying = True
        try:
            return self._apply(plan, contents, watch)
        finally:
            self._applying = False

    def _apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        check_state(plan, self._project, self._state)
        if plan.is_noop:
            return Applied(number=None)
        check_undone(plan, self._logged(plan.undoes))
        check_edits(plan, lambda record: self._index.with_id(record.id), self)
        check_destinations(plan, self, self._names)
        total = len(plan.needed())
        brought = []
        watch.report(Phase.APPLYING, 0, total)
        for _, content in needed_contents(plan, contents):
            brought.append(content)
            watch.report(Phase.APPLYING, len(brought), total)
        watch.check()
        self._commit(plan, brought, watch)
        return Applied(number=self._pulls)

    def _commit(self, plan: Plan, brought: Iterable[bytes], watch: Watch) -> None:
        arriving = [self._hold(content) for content in brought]
        for digest in undo_needs(plan.edits):
            self._held[digest] += 1
        for edit in plan.edits:
            before, after = edit.ours
            if after is not None:
                self._held[after.digest] += 1
            if before is not None:
                self._release(before.digest)
        for digest in arriving:
            self._release(digest)
        self._used.update(edit.asset_id for edit in plan.edits)
        self._index.forget(edit.asset_id for edit in plan.edits if edit.after is None)
        self._index.put(edit.after for edit in plan.edits if edit.after is not None)
        self._state = plan.after
        self._remember(plan, watch)

    def _remember(self, plan: Plan, watch: Watch) -> None:
        self._pulls += 1
        marks = undone_by(plan, self._undoes)
        self._log = [
            replace(logged, undone=marks.get(logged.number, logged.undone)) for logged in self._log
        ]
        kept = replace(plan, source=None)
        self._log.append(LoggedPull(number=self._pulls, plan=kept, at=watch.now))
        while len(self._log) > self._keep:
            for digest in undo_needs(self._log.pop(0).plan.edits):
                self._release(digest)

    def _undoes(self, number: int) -> int | None:
        logged = self._logged(number)
        return logged.plan.undoes if logged is not None else None

    def _logged(self, number: int | None) -> LoggedPull | None:
        return next((logged for logged in self._log if logged.number == number), None)

    # --- bytes --------------------------------------------------------------------------------

    def _hold(self, content: bytes) -> Digest:
        digest = Digest.of(content)
        self._blobs[digest] = content
        self._held[digest] += 1
        return digest

    def _release(self, digest: Digest) -> None:
        self._held[digest] -= 1
        if not self._held[digest]:
            del self._held[digest], self._blobs[digest]

    def _replace(self, before: AssetRecord | None, after: AssetRecord) -> None:
        """Put what a local edit made of an asset in its place."""
        if before is not None and before.ours is not None:
            self._release(before.ours.digest)
        self._index.put([after])

    # --- for tests ----------------------------------------------------------------------------

    def snapshot(self) -> Mapping[AssetPath, tuple[bytes, bool]]:
        """Every file by path: its bytes, and whether it is executable."""
        files = {path: (content, False) for path, content in self._files.items()}
        for record in self._index.records():
            if (state := record.ours) is not None:
                files[state.path] = (self._blobs[state.digest], state.executable)
        return dict(sorted(files.items()))

    def state_hash(self) -> str:
        """A text that changes with anything that the store holds."""
        held = (
            self._state,
            list(self._index.records()),
            sorted(self._files.items()),
            sorted(self._used),
            self._log,
            sorted(self._blobs.items()),
            self._kinds.fingerprint,
        )
        return sha256(repr(held).encode("utf-8", "backslashreplace")).hexdigest()
