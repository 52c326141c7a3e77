"""A store in a folder of files that any program may edit at any time (docs/architecture.md).

Its state is in ``.towline``. Lookups need no lock and write at most the cache of digests; applying
holds the lock, and opening the store recovers an interrupted apply.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from towline.errors import (
    InvalidValue,
    StalePlan,
    StoreBusy,
)
from towline.kinds import Kinds
from towline.ports import Applied, LoggedPull, Watch
from towline.stores.directory.database import DescribedProject, StateDatabase
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import reason_of
from towline.stores.directory.state_folder import (
    REPLACED,
    STAGED,
    STATE_FILE,
    STATE_FOLDER,
    Trusts,
    check_project,
    create_project,
    locked,
    preserves_executable,
    probe_executable,
    store_errors,
    trusts_current_user,
    upgrade_project,
)
from towline.stores.directory.working_copy import WorkingCopy

if TYPE_CHECKING:
    from towline.model import AssetId, AssetPath, Digest
    from towline.names import NamePolicy
    from towline.plan import Plan
    from towline.records import Contents
    from towline.resolutions import SavedResolution
    from towline.stores.directory.transaction import Transaction

Root = str | os.PathLike[str]


class DirectoryStore(DescribedProject):
    """A project in a folder, from `create` or `open`; close it, or use it in a ``with``.

    One thread at a time may use it; any number of stores, in this and other processes, may be open
    on the same folder. Every method may raise StoreError.
    """

    def __init__(
        self, disk: Disk, state: StateDatabase, root: Path, *, keeps_executable: bool
    ) -> None:
        self.disk = disk
        """The store's access to the file system, with its counters."""
        self.disk.fsync = state.fsync
        self.root = root
        """The project's folder."""
        self.recovered_edits: tuple[AssetPath, ...] = ()
        """Paths of edits made to files after a pull replaced them, saved when opening the store."""
        self.recovery_error: str | None = None
        """Why an interrupted apply can be neither completed nor undone; None if there is none.

        Lookups return the state from before that apply.
        """
        self._state = state
        self._working_copy = WorkingCopy(
            disk,
            state,
            keeps_executable=keeps_executable,
            recover_missing=self._recover_missing,
            save_cache=self._save_cache,
        )
        self._opened_transaction: Transaction | None = None

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
        trusts: Trusts = trusts_current_user,
    ) -> Self:
        """Make a folder a project, and open it. Files in it are local-only assets.

        The folder is created if it does not exist, its parents are not. By default ``project`` is
        a random name, and ``names`` that of the file system; ``keep`` is how many pulls can be
        undone.

        Raises:
            AlreadyAssociated: the folder is a project already.
        """
        with store_errors(str(root)):
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
        trusts: Trusts = trusts_current_user,
    ) -> Self:
        """Open a project's folder, and recover an interrupted apply.

        ``trusts`` decides which user ids may own ``.towline`` and the files in it; by default the
        current user and root.

        Raises:
            NotAssociated: the folder is not a project.
            LinkRefused: ``.towline``, or something in it, is a link.
            UnsafeOwner: one of them belongs to a user who is not trusted.
            StoreDamaged: its state cannot be read; it is not changed.
        """
        shown = str(root)
        with store_errors(shown), ExitStack() as on_error:
            opened = disk(root)
            on_error.callback(opened.close)
            found = check_project(opened, shown, trusts)
            state = StateDatabase(str(Path(root).absolute() / STATE_FILE), shown)
            on_error.callback(state.close)
            if state.outdated:
                upgrade_project(opened, state, shown)
                found = check_project(opened, shown, trusts)
            keeps_executable = state.filemode and preserves_executable(found)
            store = cls(opened, state, Path(root), keeps_executable=keeps_executable)
            store._recover()
            on_error.pop_all()
        return store

    def close(self) -> None:
        """Save the cache of digests, and close the folder; later calls do nothing."""
        if self._state.closed:
            return
        with store_errors(str(self.root)):
            self._save_cache()
            self._state.close()
            self.disk.close()

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
    def cache_path(self) -> Path:
        """The folder for a remote's object cache; the store does not use it."""
        return self.root / STATE_FOLDER / "cache.git"

    @property
    def keep(self) -> int:
        """How many pulls the log retains."""
        return self._state.keep

    @property
    def keeps_executable(self) -> bool:
        """Whether the executable bit is read from the files, not from the records."""
        return self._working_copy.keeps_executable

    def set_keeps_executable(self, keeps: bool | None) -> None:  # noqa: FBT001 - as the others
        """Set whether files have the executable bit; None: if the file system stores it.

        Raises:
            InvalidValue: the file system does not store it.
            StoreBusy: another process is applying.
        """
        with self._writing():
            found = keeps is not False and probe_executable(self.disk)
            if keeps and not found:
                problem = "the file system does not store the executable bit"
                raise InvalidValue(field="keeps_executable", problem=problem)
            self._state.set_filemode(found)
            self._working_copy.keeps_executable = found

    def set_kinds(self, kinds: Kinds) -> None:
        """Set which files are assets; the next pull compares in full.

        Raises:
            StoreBusy: another process is applying.
        """
        with self._writing():
            self._state.set_kinds(kinds)
        self._working_copy.refresh()

    def set_names(self, names: NamePolicy) -> None:
        """Set which paths are equal. Raises as `set_kinds`."""
        with self._writing():
            self._state.set_names(names)

    def set_keep(self, keep: int) -> None:
        """Set how many pulls the log retains, from the next pull on. Raises as `set_kinds`."""
        with self._writing():
            self._state.set_keep(keep)

    @property
    def fsync(self) -> bool:
        """Whether what a pull writes is flushed, so that it outlasts a loss of power."""
        return self._state.fsync

    def set_fsync(self, fsync: bool) -> None:  # noqa: FBT001 - as the others
        """Set whether pulls flush what they write. Raises as `set_kinds`.

        Without it, as with git's ``core.fsync=none``, a process that is killed still leaves the
        project as before or after a pull; after a loss of power it may have to be cloned again.
        """
        with self._writing():
            self._state.set_fsync(fsync)
        self.disk.fsync = fsync
        self.disk.flush()

    def get_setting(self, name: str) -> str | None:
        """Return a setting of the application; the store reads none but ``remember``."""
        with self._open_checked():
            return self._state.setting(name)

    def set_setting(self, name: str, value: str | None) -> None:
        """Store a setting; None removes it. Raises as `set_kinds`."""
        self.set_settings({name: value})

    def set_settings(self, values: Mapping[str, str | None]) -> None:
        """Store several settings at once, unless they are equal. Raises as `set_kinds`."""
        if all(self.get_setting(name) == value for name, value in values.items()):
            return
        with self._writing():
            for name, value in values.items():
                self._state.set_setting(name, value)

    # --- lookups ------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[WorkingCopy]:
        """See the port. Records are those of one moment, files are read as they are.

        Raises:
            StalePlan: when the block ends, if a plan was applied meanwhile.
        """
        with self._open_checked():
            self._working_copy.refresh()
        with self._state.reading():
            with self._open_checked():
                fence = self._state.fence()
            try:
                yield self._working_copy
            finally:
                self._working_copy.end_snapshot()
        with self._open_checked():
            if self._state.fence() != fence:
                raise StalePlan(reason="another pull has changed the project")

    def read(self, digest: Digest) -> bytes | None:
        """Return bytes of a file that was hashed, or of the undo contents; up to `READ_BYTES`."""
        return self._working_copy.read(digest)

    def log(self) -> Sequence[LoggedPull]:
        return self._working_copy.log()

    # --- writing ------------------------------------------------------------------------------

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        with self._open_checked():
            self._check_state(plan)
            if plan.is_noop:
                self._clear_used(plan)
                return Applied(number=None)
            with locked(self.disk, str(self.root)):
                self._transaction.recover()
                self.disk.redirects = {}
                recovered = self._transaction.replaced.remove()
                self._working_copy.refresh()
                try:
                    applied = self._transaction.apply(plan, contents, watch)
                finally:
                    self._state.forget()
                return replace(applied, saved=(*recovered, *applied.saved))

    def _clear_used(self, plan: Plan) -> None:
        """Clear the resolutions that lapsed, where a plan writes nothing else."""
        if plan.cleared:
            from towline.stores.resolutions import ResolutionTexts

            with self._writing():
                self._check_state(plan)
                ResolutionTexts(self._state.setting, self._state.set_setting).clear_used(plan)

    def save_resolutions(
        self, save: Iterable[SavedResolution] = (), clear: Iterable[AssetId] = ()
    ) -> None:
        from towline.stores.resolutions import ResolutionTexts

        with self._writing():
            ResolutionTexts(self._state.setting, self._state.set_setting).save(save, clear)

    @property
    def _transaction(self) -> Transaction:
        """What applies plans; a command that only looks does not load it."""
        if self._opened_transaction is None:
            from towline.stores.directory.transaction import Transaction

            self._opened_transaction = Transaction(self.disk, self._state, self._working_copy)
        return self._opened_transaction

    def _check_state(self, plan: Plan) -> None:
        from towline.stores.checks import check_state

        check_state(plan, self.project, self._state.summary())

    def _recover(self) -> None:
        if self.disk.stat(STAGED) is None and self.disk.stat(REPLACED) is None:
            return
        # While another process holds the lock, nothing is interrupted.
        with suppress(StoreBusy):
            self._try_to_recover(remove_replaced=True)

    def _recover_missing(self) -> None:
        """Recover an interrupted apply, which is why files may be missing.

        Raises:
            StoreBusy: another process is applying.
        """
        if self.disk.stat(STAGED) is not None:
            self._try_to_recover(remove_replaced=False)

    def _try_to_recover(self, *, remove_replaced: bool) -> None:
        """Recover; if that fails, read the files from where the apply left them."""
        self.disk.redirects = {}
        try:
            with locked(self.disk, str(self.root)):
                self._transaction.recover()
                if remove_replaced:
                    self.recovered_edits += tuple(self._transaction.replaced.remove())
        except (OSError, sqlite3.Error) as error:
            self.disk.redirects = self._transaction.backup_locations()
            self.recovery_error = reason_of(error)
        else:
            self.recovery_error = None

    def _save_cache(self) -> None:
        """Write new digests and renames to the state file, unless another process applies."""
        working_copy = self._working_copy
        if not working_copy.moved and not working_copy.digests.pending:
            return
        # They are found again next time.
        with suppress(StoreBusy, OSError, sqlite3.Error), locked(self.disk, str(self.root)):
            if self.disk.stat(STAGED) is None:
                working_copy.check_fence()
                with self._state.writing(flushed_by_caller=False):
                    self._state.set_places(working_copy.moved)
                    self._state.set_hashed(working_copy.digests.pending)
                working_copy.clear_pending()

    @contextmanager
    def _open_checked(self) -> Iterator[None]:
        self._state.check_open()
        with store_errors(str(self.root)):
            yield

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with (
            self._open_checked(),
            locked(self.disk, str(self.root)),
            self._state.writing(flushed_by_caller=False),
        ):
            yield
