"""One apply of the directory store, from staging to clean-up, and its recovery.

The order, and what each flush (at most five) is for:

1. new files and the draft of the journal are written;   flush: they are durable
2. the journal is renamed, the commit point;              flush: so is the rename
3. old files are moved to backups                         (flush, if some are renames: or else
                                                          step 4 could be durable without step 3)
4. files are moved into place, the state is written to    flush: all of it is durable
   SQLite's write-ahead log
5. leftovers are removed; the log is checkpointed;        flush: the log can be truncated

A failure in 3 or 4 is reverted, until the state file contains the plan. If reverting fails too, the
next opening continues it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from towline.errors import StoreBusy, StoreError
from towline.model import AssetPath, AssetState, Digest
from towline.plan import Plan
from towline.ports import Applied, Phase, Watch
from towline.records import AssetRecord, Contents, PlanKind
from towline.stores.checks import (
    check_destinations,
    check_edits,
    check_state,
    check_undone,
    needed_contents,
    undo_needs,
)
from towline.stores.directory.database import StateDatabase
from towline.stores.directory.digests import HashedFile
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileStat, FileType, permissions, reason_of
from towline.stores.directory.journal import (
    BACKUPS,
    COMMITTED,
    DONE,
    DRAFT,
    PLACING,
    REPLACED_JOURNAL,
    UNDOING,
    Journal,
    Step,
    backup_locations,
    journal_bytes,
    new_journal,
    read_interrupted,
)
from towline.stores.directory.placement import Placement, check_moves, emptied_folders
from towline.stores.directory.replaced import ReplacedFiles
from towline.stores.directory.state_folder import (
    REPLACED,
    STAGED,
    STATE_FILE,
    STATE_FOLDER,
    remove_files,
)
from towline.stores.directory.undo_contents import UndoContents
from towline.stores.directory.working_copy import WorkingCopy
from towline.stores.resolutions import ResolutionTexts

STATE_WAL = f"{STATE_FILE}-wal"


class Transaction:
    """Applies plans to a folder, and recovers interrupted ones. The caller holds the lock."""

    def __init__(self, disk: Disk, state: StateDatabase, working_copy: WorkingCopy) -> None:
        self._disk = disk
        self._state = state
        self._working_copy = working_copy
        self.replaced = ReplacedFiles(disk, working_copy.digests, state.shown)
        self._undo_contents = UndoContents(disk, state)
        self._copied: dict[AssetPath, HashedFile] = {}
        self._unreferenced: list[Digest] = []
        self._written: dict[int, FileStat] = {}

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        """Apply a plan, if it fits the project as it is. Raises as `AssetStore.apply`."""
        self._check(plan)
        at = None if watch.now is None else watch.now.isoformat()
        journal = new_journal(plan, self._state.fence(), at)
        self._written = {}
        try:
            self._stage(journal, contents, watch)
            watch.check()
            if self._state.fence() != journal.fence:
                # The lock was lost, as it can be on a network file system.
                raise StoreBusy(project=self._state.shown)
            self._disk.rename(DRAFT, COMMITTED)
            self._disk.flush_one(STATE_FOLDER)
        except BaseException:
            self._discard_staged()
            raise
        try:
            saved = self._finish(journal, COMMITTED)
        except (OSError, sqlite3.Error) as error:
            problem = f"{reason_of(error)}; nothing was changed"
            try:
                self._revert(journal)
            except (OSError, sqlite3.Error) as second:
                problem = (
                    f"{reason_of(error)}, and it cannot be undone now ({reason_of(second)});"
                    " the next command undoes or completes it"
                )
            raise StoreError(project=self._state.shown, problem=problem) from error
        return Applied(number=journal.fence + 1, saved=tuple(saved))

    def _check(self, plan: Plan) -> None:
        check_state(plan, self._state.project, self._state.summary())
        records = [record for edit in plan.edits for record in (edit.before, edit.after) if record]
        states = [state for record in records for state in (record.ours, record.recorded) if state]
        self._state.read_ahead(
            {state.path for state in states}, {edit.asset_id for edit in plan.edits}
        )
        undone = None if plan.undoes is None else self._state.pulls.entry(plan.undoes)
        check_undone(plan, undone)
        check_edits(plan, self._current, self._working_copy)
        check_destinations(plan, self._working_copy, self._state.names)

    def _current(self, record: AssetRecord) -> AssetRecord | None:
        """Return the current record of an asset that had this record."""
        working_copy, row = self._working_copy, self._state.asset(record.id)
        if row is not None:
            return working_copy.record(row)
        found = working_copy.at(record.ours.path) if record.ours is not None else None
        if working_copy.keeps_executable or not (found and found.ours and record.ours):
            return found
        # The bit is neither in the file nor recorded, so the plan's is as good as any.
        return replace(found, ours=replace(found.ours, executable=record.ours.executable))

    def recover(self) -> None:
        """Complete an interrupted apply that was committed, or revert it; else discard it."""
        if self._disk.stat(STAGED) is None:
            return
        self._copied, self._written = {}, {}
        found = read_interrupted(self._disk, self._state.shown)
        if found is None:
            self._discard_staged()
            return
        phase, journal = found
        if phase == DONE:
            self._clean_up(journal)
        elif phase == UNDOING:
            self._revert(journal)
        else:
            try:
                self._finish(journal, phase)
            except (OSError, sqlite3.Error):
                self._revert(journal)
        self._undo_contents.sweep()

    def backup_locations(self) -> dict[str, str]:
        """Return where an interrupted apply left the files that it moved, by their old paths."""
        found = read_interrupted(self._disk, self._state.shown)
        if found is None or found[1].fence != self._state.fence():
            return {}
        return backup_locations(self._disk, *found)

    def _new_placement(self) -> Placement:
        return Placement(
            self._disk,
            sets_executable=self._working_copy.keeps_executable,
            written=self._written,
        )

    # --- before the commit point --------------------------------------------------------------

    def _stage(self, journal: Journal, contents: Contents, watch: Watch) -> None:
        self._disk.mkdir(STAGED)
        self._disk.mkdir(BACKUPS)
        sets_executable = self._working_copy.keeps_executable
        check_moves(self._disk, journal.steps, self._state.shown, sets_executable=sets_executable)
        self._copied = self._undo_contents.stage(journal) if self._state.keep else {}
        steps: dict[Digest, list[Step]] = {}
        for step in journal.steps:
            if step.writes_content and step.after is not None:
                steps.setdefault(step.after.digest, []).append(step)
        watch.report(Phase.APPLYING, 0, len(steps))
        copied: set[Digest] = set()
        if journal.plan.kind is PlanKind.UNDO:
            copied = {digest for digest in steps if self._copy_all(digest, steps[digest])}
        needed = needed_contents(journal.plan, contents, had=copied)
        for done, (digest, content) in enumerate(needed, 1 + len(copied)):
            for step in steps[digest]:
                mode, exactly = self._mode(step)
                written = self._disk.write(step.staged, content, mode, exactly=exactly)
                self._written[step.number] = written
            watch.report(Phase.APPLYING, done, len(steps))
        self._disk.write(DRAFT, journal_bytes(journal), 0o666)
        self._disk.flush()

    def _copy_all(self, digest: Digest, steps: list[Step]) -> bool:
        """Stage a content from the undo contents, for each step; False where it is missing."""
        for step in steps:
            mode, exactly = self._mode(step)
            if not self._undo_contents.copy(digest, step.staged, mode, exactly=exactly):
                for each in steps:
                    self._disk.unlink(each.staged)
                return False
        return True

    def _mode(self, step: Step) -> tuple[int, bool]:
        """Return a new file's permissions, and whether they are exempt from the umask."""
        assert step.after is not None, "it has new content"
        executable = step.after.executable
        stat = self._disk.stat(step.before.path) if step.before is not None else None
        if stat is None:
            return (0o777 if executable else 0o666), False
        set_to = executable if self._working_copy.keeps_executable else None
        return permissions(stat.mode, executable=set_to), True

    def _discard_staged(self) -> None:
        for journal in (COMMITTED, DRAFT, UNDOING):
            self._disk.unlink(journal)
        remove_files(self._disk, BACKUPS)
        remove_files(self._disk, STAGED)

    # --- after it -----------------------------------------------------------------------------

    def _finish(self, journal: Journal, phase: str) -> list[AssetPath]:
        """Complete a committed plan; return the saved edits.

        Raises:
            OSError, sqlite3.Error: it failed, and the state file is as it was.
        """
        placement = self._new_placement()
        try:
            if phase == COMMITTED:
                self._back_up(journal, placement)
            placement.place(journal.steps)
            with self._state_transaction():
                if self._state.fence() == journal.fence:
                    hashed = self._check_backups(journal, placement)
                    self._record(journal, placement, hashed)
        except (OSError, sqlite3.Error):
            if self._state.fence() == journal.fence:
                raise
            # The state file contains the plan; the next opening does the rest.
            return placement.saved
        # Whatever is left over after a failure here is removed by the next opening.
        with suppress(OSError, sqlite3.Error):
            self._complete(journal)
        return placement.saved

    def _revert(self, journal: Journal) -> None:
        """Move everything back to where it was before the commit point.

        Raises:
            OSError, sqlite3.Error: it failed, and can be repeated.
        """
        if self._state.fence() != journal.fence:
            return
        if self._disk.stat(PLACING) is not None:
            self._new_placement().revert_placed(journal.steps)
            self._disk.rename(PLACING, UNDOING)
        elif self._disk.stat(COMMITTED) is not None:
            self._disk.rename(COMMITTED, UNDOING)
        self._new_placement().restore_backups(journal.steps)
        self._disk.flush()
        self._discard_staged()
        self._undo_contents.sweep()
        self._working_copy.refresh()

    def _back_up(self, journal: Journal, placement: Placement) -> None:
        # Recovery may find either folder missing after a loss of power.
        self._disk.mkdir(BACKUPS)
        placement.back_up(journal.steps)
        if any(step.is_rename for step in journal.steps):
            self._disk.flush()
        self._disk.rename(COMMITTED, PLACING)

    def _complete(self, journal: Journal) -> None:
        self._working_copy.refresh()
        for folder in emptied_folders(journal.steps):
            self._disk.rmdir(folder)
        self._disk.mark_unflushed(STATE_WAL)
        self._disk.flush()
        self._disk.rename(PLACING, DONE)
        self._clean_up(journal)
        self._state.checkpoint()
        self._disk.flush_one(STATE_FILE)
        self._state.truncate_wal()

    @contextmanager
    def _state_transaction(self) -> Iterator[None]:
        """Begin a transaction of the state file that the next flush makes durable."""
        wal = self._disk.stat(STATE_WAL)
        # SQLite must order its own writes where it may start over in a used log file.
        fresh = wal is None or wal.size == 0
        with self._state.writing(flushed_by_caller=fresh):
            yield
            self._disk.step("commit", STATE_FILE)
        self._disk.step("committed", STATE_FILE)

    def _check_backups(
        self, journal: Journal, placement: Placement
    ) -> dict[str, HashedFile | None]:
        """Store the undo contents, and save edits made since the plan was checked.

        Returns the digests of the replaced files, by their paths until the next command.
        """
        needed = undo_needs(journal.plan.edits) if self._state.keep else set()
        old = [
            (step, step.before)
            for step in journal.steps
            if step.before is not None and step.removes_old_file
        ]
        backups = {before.digest: step.backup for step, before in old if before.digest in needed}
        self._undo_contents.add(journal.fence + 1, backups)
        hashed: dict[str, HashedFile | None] = {}
        for step, before in old:
            hashed[step.replaced] = self._hash_backup(step, before)
            if hashed[step.replaced] is None:
                placement.save_edit(step.backup, before.path)
        return hashed

    def _hash_backup(self, step: Step, before: AssetState) -> HashedFile | None:
        """Return a backup's digest; None if it is not what the plan was made from."""
        stat = self._disk.stat(step.backup)
        if stat is None:
            return None
        known = self._copied.get(before.path) or self._working_copy.digests.last(before.path)
        if known is None or not known.is_unmodified(stat):
            checked_ns = self._disk.now_ns()
            found = self._disk.digest(step.backup)
            if found is None:
                return None
            known = HashedFile(digest=found[0], checked_ns=checked_ns, stat=found[1])
        if known.digest != before.digest:
            return None
        return HashedFile(digest=known.digest, checked_ns=known.checked_ns, stat=stat)

    def _record(
        self, journal: Journal, placement: Placement, replaced: dict[str, HashedFile | None]
    ) -> None:
        working_copy, state = self._working_copy, self._state
        old_paths = {step.before.path for step in journal.steps if step.before is not None}
        known = {path: working_copy.digests.last(path) for path in old_paths}
        state.set_places(working_copy.moved)
        state.set_hashed(working_copy.digests.pending)
        files: dict[str, HashedFile | None] = {}
        files |= dict.fromkeys(old_paths)
        for step in journal.steps:
            if step.after is not None:
                files[step.after.path] = self._hash_placed(step, step.after, placement, known)
        state.set_hashed(files | replaced)
        state.record_edits(journal.plan.edits)
        ResolutionTexts(state.setting, state.set_setting).clear_used(journal.plan)
        self._unreferenced = state.record_pull(journal.plan, journal.plan_text, journal.at)
        working_copy.clear_pending()

    def _hash_placed(
        self,
        step: Step,
        after: AssetState,
        placement: Placement,
        known: dict[AssetPath, HashedFile | None],
    ) -> HashedFile | None:
        """Return the digest of a file that was just placed; None if it was modified since."""
        checked_ns = self._disk.now_ns()
        stat = self._disk.stat(after.path)
        if stat is None or stat.type is not FileType.FILE:
            return None
        placed = placement.placed.get(step.number)
        if step.writes_content and placed is not None:
            hashed = HashedFile(digest=after.digest, checked_ns=checked_ns, stat=stat)
            return hashed if hashed.has_content_of(placed) else None
        before = known.get(step.before.path) if step.before is not None else None
        if before is None or not before.has_content_of(stat):
            return None
        return HashedFile(digest=before.digest, checked_ns=before.checked_ns, stat=stat)

    # --- clean-up -----------------------------------------------------------------------------

    def _clean_up(self, journal: Journal) -> None:
        self._undo_contents.remove(self._unreferenced)
        self._unreferenced = []
        self.replaced.remove_beyond_bound(journal.steps)
        if not self._disk.rmdir(BACKUPS):
            self._disk.rename(BACKUPS, REPLACED)
        if self._disk.stat(REPLACED) is None:
            self._disk.unlink(DONE)
        else:
            self._disk.rename(DONE, REPLACED_JOURNAL)
        remove_files(self._disk, STAGED)
