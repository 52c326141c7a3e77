"""A store in a folder of files that any program may edit at any time (docs/architecture.md).

What the store knows beside them lies in ``.towline``. Looking needs no lock and writes at most
what it learnt of the files; applying holds the lock, and opening the store finishes or removes
what an interrupted apply left.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from towline.errors import InvalidValue, StoreBusy, StoreDamaged, StoreError, TowlineError
from towline.kinds import Kinds
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.plan import Contents, Plan, StoreState
from towline.ports import Applied, LoggedPull, Watch
from towline.records import AssetRecord, Occupant
from towline.stores.checks import check_destinations, check_edits, check_state, check_undone
from towline.stores.directory.database import StateDatabase
from towline.stores.directory.disk import Disk
from towline.stores.directory.journal import REPLACED, STAGED
from towline.stores.directory.own_folder import (
    STATE_FILE,
    Trusts,
    check_project,
    shows_executable,
    trusts_ours,
)
from towline.stores.directory.transaction import Transaction, reason_of
from towline.stores.directory.undo_contents import UndoContents
from towline.stores.directory.walk import OWN_FOLDER
from towline.stores.directory.working_copy import WorkingCopy

LOCK = f"{OWN_FOLDER}/lock"
Root = str | os.PathLike[str]


class DirectoryStore:
    """The project in a folder. Made by `create` or `open`; close it, or use it in a ``with``.

    One thread at a time may use it; any number of others, and other processes, may open the same
    folder. All may raise StoreError.
    """

    def __init__(
        self, disk: Disk, state: StateDatabase, root: Path, *, reads_executable: bool = True
    ) -> None:
        self._disk = disk
        self._state = state
        self._root = root
        self._closed = False
        self._late_edits: list[AssetPath] = []
        self._unfinished: str | None = None
        self._standing = WorkingCopy(
            disk,
            state,
            reads_executable=reads_executable,
            await_rest=self._await_rest,
            write_down=self._write_down,
        )
        self._transaction = Transaction(disk, state, self._standing, str(root))

    @classmethod
    def create(
        cls,
        root: Root,
        *,
        project: str | None = None,
        kinds: Kinds | None = None,
        names: NamePolicy | None = None,
        keep: int = 50,
        disk: Callable[[Root], Disk] = Disk,
        trusts: Trusts = trusts_ours,
    ) -> Self:
        """Make the folder a project, and open it. Files that it holds are local-only assets.

        The folder is made if need be, its parents are not.
        ``project`` is a random name unless given, ``names`` what the file system holds equal;
        ``keep`` is how many pulls can be undone.

        Raises:
            AlreadyAssociated: it is one already.
        """
        from towline.stores.directory.create import create_project

        with _translated(str(root)):
            Path(root).mkdir(exist_ok=True)
            opened = disk(root)
            try:
                absolute = Path(root).absolute()
                create_project(opened, absolute, project, kinds or Kinds(), names, keep, trusts)
            finally:
                opened.close()
        return cls.open(root, disk=disk, trusts=trusts)

    @classmethod
    def open(
        cls,
        root: Root,
        *,
        disk: Callable[[Root], Disk] = Disk,
        trusts: Trusts = trusts_ours,
    ) -> Self:
        """Open a project's folder, and finish or remove what an interrupted apply left.

        ``trusts`` tells of a user id whether ``.towline`` and its files may belong to that user:
        the running user and root, unless given.

        Raises:
            NotAssociated: the folder is no project.
            LinkRefused: ``.towline`` or something in it is a link.
            UnsafeOwner: one of them belongs to a user who is not trusted.
            StoreDamaged: its state cannot be read; it is left as it is.
        """
        shown = str(root)
        with _translated(shown):
            opened = disk(root)
            try:
                found = check_project(opened, shown, trusts)
                state = StateDatabase(str(Path(root).absolute() / STATE_FILE), shown)
            except BaseException:
                opened.close()
                raise
            try:
                if state.outdated:
                    from towline.stores.directory.create import upgrade_project

                    upgrade_project(opened, state, shown)
                    found = check_project(opened, shown, trusts)
            except BaseException:
                state.close()
                opened.close()
                raise
        reads_executable = state.filemode and shows_executable(found)
        store = cls(opened, state, Path(root), reads_executable=reads_executable)
        try:
            store._recover()
        except BaseException:
            store._let_go()
            raise
        return store

    def close(self) -> None:
        """Write down what was learnt of the files, and let go of the folder; once is enough."""
        if self._closed:
            return
        self._closed = True
        with _translated(str(self._root)):
            self._write_down()
            self._let_go()

    def _let_go(self) -> None:
        self._state.close()
        self._disk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- what it is ---------------------------------------------------------------------------

    @property
    def root(self) -> Path:
        """The project's folder."""
        return self._root

    @property
    def cache_path(self) -> Path:
        """Where a remote may keep its objects; the store itself never looks there."""
        return self._root / OWN_FOLDER / "cache.git"

    @property
    def disk(self) -> Disk:
        """The seam to the file system, with its counters."""
        return self._disk

    @property
    def project(self) -> str:
        return self._state.project

    @property
    def kinds(self) -> Kinds:
        return self._state.kinds

    @property
    def names(self) -> NamePolicy:
        return self._state.names

    @property
    def keep(self) -> int:
        """How many pulls the log keeps."""
        return self._state.keep

    @property
    def late_edits(self) -> tuple[AssetPath, ...]:
        """Where opening the store put what was written to files after a pull replaced them."""
        return tuple(self._late_edits)

    @property
    def unfinished(self) -> str | None:
        """Why an interrupted apply can neither be completed nor undone now; None: there is none.

        Lookups answer as before that apply.
        """
        return self._unfinished

    @property
    def keeps_executable(self) -> bool:
        """Whether the executable bit is read from the files; else the recorded one counts."""
        return self._standing.reads_executable

    def set_keeps_executable(self, keeps: bool | None) -> None:  # noqa: FBT001 - as the others
        """Set whether the executable bit is read; None: if the file system keeps it, by trying.

        Raises:
            InvalidValue: it is to be read, and the file system does not keep it.
            StoreBusy: someone is applying.
        """
        from towline.stores.directory.create import probe_executable

        with self._writing():
            found = keeps is not False and probe_executable(self._disk)
            if keeps and not found:
                problem = "the file system does not keep the executable bit"
                raise InvalidValue(field="keeps_executable", problem=problem)
            self._state.set_filemode(found)
            self._standing.reads_executable = found

    def set_kinds(self, kinds: Kinds) -> None:
        """Say anew what is an asset; the next pull compares in full.

        Raises:
            StoreBusy: someone is applying.
        """
        with self._writing():
            self._state.set_kinds(kinds)
        self._standing.refresh()

    def set_names(self, names: NamePolicy) -> None:
        """Say anew which paths are held equal. Raises as `set_kinds`."""
        with self._writing():
            self._state.set_names(names)

    def set_keep(self, keep: int) -> None:
        """Say anew how many pulls the log keeps, from the next one on. Raises as `set_kinds`."""
        with self._writing():
            self._state.set_keep(keep)

    def get_setting(self, name: str) -> str | None:
        """What was put down under this name, for the store's user alone."""
        with self._guarded():
            return self._state.setting(name)

    def set_setting(self, name: str, value: str | None) -> None:
        """Put down a value, or drop it. Raises as `set_kinds`."""
        self.set_settings({name: value})

    def set_settings(self, values: Mapping[str, str | None]) -> None:
        """Put down several values at once, if they are new. Raises as `set_kinds`."""
        if all(self.get_setting(name) == value for name, value in values.items()):
            return
        with self._writing():
            for name, value in values.items():
                self._state.set_setting(name, value)

    # --- lookups ------------------------------------------------------------------------------

    def state(self) -> StoreState:
        with self._guarded():
            self._standing.refresh()
            return self._state.summary()

    def at(self, path: AssetPath) -> AssetRecord | None:
        with self._guarded():
            return self._standing.at(path)

    def aligned_at(self, path: AssetPath) -> AssetRecord | None:
        with self._guarded():
            return self._standing.aligned_at(path)

    def with_id(self, asset_id: AssetId) -> AssetRecord | None:
        with self._guarded():
            return self._standing.with_id(asset_id)

    def with_embedded_id(self, embedded_id: str) -> Sequence[AssetRecord]:
        with self._guarded():
            return self._standing.with_embedded_id(embedded_id)

    def lagging(self) -> Sequence[AssetRecord]:
        with self._guarded():
            return self._standing.lagging()

    def occupants(self, path: AssetPath) -> Sequence[Occupant]:
        with self._guarded():
            return self._standing.occupants(path)

    def is_used(self, asset_id: AssetId) -> bool:
        with self._guarded():
            return self._standing.is_used(asset_id)

    def records(self) -> Iterator[AssetRecord]:
        with self._guarded():
            return self._standing.records()

    def read(self, digest: Digest) -> bytes | None:
        """See the port. Of ours it finds what was looked at, here or before."""
        with self._guarded():
            for path in self._standing.paths_of(digest):
                found = self._disk.read(path)
                if found is not None and Digest.of(found[0]) == digest:
                    return found[0]
            return UndoContents(self._disk, self._state).read(digest)

    def log(self) -> Sequence[LoggedPull]:
        with self._guarded():
            return self._state.log()

    # --- writing ------------------------------------------------------------------------------

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        with self._guarded():
            check_state(plan, self.project, self.state())
            if plan.is_noop:
                return Applied(number=None)
            with self._locked():
                self._transaction.recover()
                self._disk.moved = {}
                late = self._transaction.drop_replaced()
                self._standing.refresh()
                self._check(plan)
                applied = self._transaction.apply(plan, contents, watch)
                return replace(applied, kept=(*late, *applied.kept))

    def _check(self, plan: Plan) -> None:
        check_state(plan, self.project, self._state.summary())
        undone = None if plan.undoes is None else self._state.logged(plan.undoes)
        check_undone(plan, undone)
        check_edits(plan, self._standing.current, self._standing)
        check_destinations(plan, self._standing, self.names)

    def _recover(self) -> None:
        with _translated(str(self._root)):
            if self._disk.look(STAGED) is None and self._disk.look(REPLACED) is None:
                return
            # Where the lock is held someone is applying right now, and nothing was interrupted.
            with suppress(StoreBusy):
                self._try_to_recover(drop=True)

    def _await_rest(self) -> None:
        """Files are missing from their places while someone applies; who died, is made up for.

        Raises:
            StoreBusy: someone is applying.
        """
        if self._disk.look(STAGED) is not None:
            self._try_to_recover(drop=False)

    def _try_to_recover(self, *, drop: bool) -> None:
        """Recover; where the machine does not let us, look at the files where they are now."""
        self._disk.moved = {}
        try:
            with self._locked():
                self._transaction.recover()
                if drop:
                    self._late_edits += self._transaction.drop_replaced()
        except (OSError, sqlite3.Error) as error:
            self._disk.moved = self._transaction.displaced_places()
            self._unfinished = reason_of(error)
        else:
            self._unfinished = None

    def _write_down(self) -> None:
        """Put down what was learnt of the files, unless someone is applying."""
        standing = self._standing
        if not standing.moved and not standing.digests.found:
            return
        # It is all found again where it cannot be written.
        with suppress(StoreBusy, OSError, sqlite3.Error), self._locked():
            if self._disk.look(STAGED) is None:
                standing.keep_up()
                with self._state.writing(flushed_by_caller=False):
                    self._state.set_places(standing.moved)
                    self._state.set_checked(standing.digests.found)
                standing.written_down()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self._closed:
            # Its descriptor may be another folder's by now.
            raise StoreError(project=str(self._root), problem="it is closed; open it again")
        with _translated(str(self._root)):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with (
            self._guarded(),
            self._locked(),
            self._state.writing(flushed_by_caller=False),
        ):
            yield

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = self._disk.lock(LOCK)
        if descriptor is None:
            raise StoreBusy(project=str(self._root))
        try:
            yield
        finally:
            os.close(descriptor)


@contextmanager
def _translated(shown: str) -> Iterator[None]:
    """No exception of the machine's crosses the port."""
    try:
        yield
    except TowlineError:
        raise
    except sqlite3.OperationalError as error:
        raise StoreError(project=shown, problem=f"{STATE_FILE}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreDamaged(project=shown, problem=f"{STATE_FILE}: {error}") from error
    except OSError as error:
        raise StoreError(project=shown, problem=reason_of(error)) from error
