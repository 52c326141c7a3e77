"""One apply of the directory store, from staging to the last clean-up, and its recovery.

The order, and what each flush (at most five) is for:

1. new files and the draft of the journal are written;   flush: they last
2. the journal gets its name, the commit point;           flush: so does that
3. files leave their places                               (flush, if some are renamed: or else
                                                          the next step could last without it)
4. files get into place, the state file's log is written; flush: all of it lasts
5. leftovers are removed; the state file takes its log in; flush: the log may be emptied

What fails in 3 or 4 is undone, until the state file has taken the plan in. Where undoing fails too,
the next opening goes on with it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from towline.errors import StalePlan, StoreBusy, StoreError
from towline.model import AssetPath, AssetState, Digest
from towline.plan import Contents, Plan, PlanKind
from towline.ports import Applied, Phase, Watch
from towline.stores.checks import needed_contents, undo_needs
from towline.stores.directory.database import StateDatabase
from towline.stores.directory.digests import HashedFile
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileType
from towline.stores.directory.journal import (
    COMMITTED,
    DISPLACED,
    DONE,
    DRAFT,
    PLACING,
    REPLACED,
    REPLACED_JOURNAL,
    STAGED,
    UNDOING,
    Journal,
    Step,
    journal_bytes,
    new_journal,
    read_journal,
)
from towline.stores.directory.own_folder import STATE_FILE
from towline.stores.directory.placement import Placement, displace, emptied, permissions
from towline.stores.directory.preflight import check_places
from towline.stores.directory.revert import put_back, take_back
from towline.stores.directory.undo_contents import UndoContents
from towline.stores.directory.walk import OWN_FOLDER
from towline.stores.directory.working_copy import WorkingCopy

STATE_LOG = f"{OWN_FOLDER}/state.db-wal"
REPLACED_BYTES = 256 * 1024 * 1024
"""How much of what a pull replaced is kept until the next command."""


class Transaction:
    """Applies plans to a folder, or finishes what was begun. The caller holds the lock."""

    def __init__(self, disk: Disk, state: StateDatabase, standing: WorkingCopy, shown: str) -> None:
        self._disk = disk
        self._state = state
        self._standing = standing
        self._shown = shown
        self._undo_contents = UndoContents(disk, state)
        self._copied: dict[AssetPath, HashedFile] = {}
        self._dropped: list[Digest] = []

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        """Carry out a plan that was checked."""
        at = None if watch.now is None else watch.now.isoformat()
        journal = new_journal(plan, self._state.fence(), at)
        self._copied = {}
        try:
            self._stage(journal, contents, watch)
            watch.check()
            if self._state.fence() != journal.fence:
                # The lock was lost, as it can be on a network file system.
                raise StoreBusy(project=self._shown)
            self._disk.rename(DRAFT, COMMITTED)
            self._disk.flush_one(OWN_FOLDER)
        except BaseException:
            self._discard()
            raise
        try:
            kept = self._finish(journal, COMMITTED)
        except (OSError, sqlite3.Error) as error:
            problem = f"{reason_of(error)}; nothing was changed"
            try:
                self._revert(journal)
            except (OSError, sqlite3.Error) as second:
                problem = (
                    f"{reason_of(error)}, and it cannot be undone now ({reason_of(second)});"
                    " the next command undoes or completes it"
                )
            raise StoreError(project=self._shown, problem=problem) from error
        return Applied(number=journal.fence + 1, kept=tuple(kept))

    def recover(self) -> None:
        """Finish what was committed, or undo it where that fails; remove what was not."""
        if self._disk.look(STAGED) is None:
            return
        self._copied = {}
        found = self._interrupted()
        if found is None:
            self._discard()
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

    def drop_replaced(self) -> list[AssetPath]:
        """Remove the files that the last pull replaced; returns where late edits were put aside."""
        if self._disk.look(REPLACED) is None:
            return []
        placing = self._new_placing()
        if self._disk.look(REPLACED_JOURNAL) is not None:
            for step in read_journal(self._disk, REPLACED_JOURNAL, self._shown).steps:
                if step.replaces:
                    self._drop(step, step.replaced, placing)
        self._clear(REPLACED)
        return placing.kept

    def displaced_places(self) -> dict[str, str]:
        """While an apply is interrupted: where the files are that it moved out of their places."""
        found = self._interrupted()
        if found is None or found[1].fence != self._state.fence():
            return {}
        places: dict[str, str] = {}
        for step in found[1].steps:
            if step.before is None or not step.displaces:
                continue
            if self._disk.look(step.displaced) is not None:
                places[step.before.path] = step.displaced
            elif step.carries and step.after is not None and found[0] == PLACING:
                places[step.before.path] = step.after.path
        return places

    def _new_placing(self) -> Placement:
        return Placement(self._disk, sets_executable=self._standing.reads_executable)

    def _interrupted(self) -> tuple[str, Journal] | None:
        for phase in (DONE, UNDOING, PLACING, COMMITTED):
            if self._disk.look(phase) is not None:
                return phase, read_journal(self._disk, phase, self._shown)
        return None

    # --- before the commit point --------------------------------------------------------------

    def _stage(self, journal: Journal, contents: Contents, watch: Watch) -> None:
        self._disk.mkdir(STAGED)
        self._disk.mkdir(DISPLACED)
        check_places(
            self._disk,
            journal.steps,
            self._shown,
            sets_executable=self._standing.reads_executable,
        )
        self._stage_undo_contents(journal)
        waiting: dict[Digest, list[Step]] = {}
        for step in journal.steps:
            if step.brings and step.after is not None:
                waiting.setdefault(step.after.digest, []).append(step)
        total = len(waiting)
        watch.report(Phase.APPLYING, 0, total)
        had = self._stage_from_undo(journal, waiting)
        needed = needed_contents(journal.plan, contents, had=had)
        for done, (digest, content) in enumerate(needed, 1 + len(had)):
            for step in waiting[digest]:
                mode, exactly = self._mode(step)
                self._disk.write(step.staged, content, mode, exactly=exactly)
            watch.report(Phase.APPLYING, done, total)
        self._disk.write(DRAFT, journal_bytes(journal), 0o666)
        self._disk.flush()

    def _stage_undo_contents(self, journal: Journal) -> None:
        """Copy what undoing this plan will need, before the files are moved.

        Raises:
            StalePlan: a file was changed since it was checked.
        """
        needed = undo_needs(journal.plan.edits) if self._state.keep else set()
        for step in journal.steps:
            if step.before is None or not step.replaces or step.before.digest not in needed:
                continue
            needed.remove(step.before.digest)
            if self._undo_contents.has(step.before.digest):
                continue
            checked_ns = self._disk.now_ns()
            seen = self._undo_contents.stage(step.before.digest, step.before.path)
            if seen is None:
                raise StalePlan(
                    reason="assets changed since the plan was made",
                    asset_ids=(journal.plan.edits[step.number].asset_id,),
                    paths=(step.before.path,),
                )
            self._copied[step.before.path] = HashedFile(
                digest=step.before.digest, checked_ns=checked_ns, seen=seen
            )

    def _stage_from_undo(self, journal: Journal, waiting: dict[Digest, list[Step]]) -> set[Digest]:
        """Stage what an undo brings back from the files that are kept for it, of any size."""
        if journal.plan.kind is not PlanKind.UNDO:
            return set()
        return {digest for digest, steps in waiting.items() if self._copied_all(digest, steps)}

    def _copied_all(self, digest: Digest, steps: list[Step]) -> bool:
        done: list[Step] = []
        for step in steps:
            mode, exactly = self._mode(step)
            if not self._undo_contents.copy(digest, step.staged, mode, exactly=exactly):
                for each in done:
                    self._disk.unlink(each.staged)
                return False
            done.append(step)
        return True

    def _mode(self, step: Step) -> tuple[int, bool]:
        """The permissions of a new file, and whether the process's umask does not apply."""
        assert step.after is not None, "it brings content"
        executable = step.after.executable
        seen = self._disk.look(step.before.path) if step.before is not None else None
        if seen is None:
            return (0o777 if executable else 0o666), False
        kept = executable if self._standing.reads_executable else None
        return permissions(seen.mode, executable=kept), True

    def _discard(self) -> None:
        """Remove what was staged; files are in their places."""
        for journal in (COMMITTED, DRAFT, UNDOING):
            self._disk.unlink(journal)
        self._clear(DISPLACED)
        self._clear(STAGED)

    # --- after it -----------------------------------------------------------------------------

    def _finish(self, journal: Journal, phase: str) -> list[AssetPath]:
        """Put a committed plan in place; returns where edits were put aside.

        Raises:
            OSError, sqlite3.Error: it failed, and the state file is as it was.
        """
        placing = self._new_placing()
        try:
            if phase == COMMITTED:
                self._displace(journal)
            self._place(journal, placing)
        except (OSError, sqlite3.Error):
            if self._state.fence() == journal.fence:
                raise
            # The state file has taken the plan in; the next opening does the rest.
            return placing.kept
        # The plan is in place for good; what is left over now is removed by the next opening.
        with suppress(OSError, sqlite3.Error):
            self._end(journal)
        return placing.kept

    def _revert(self, journal: Journal) -> None:
        """Move everything back to where it was before the commit point.

        Raises:
            OSError, sqlite3.Error: it failed, and can be done again.
        """
        if self._state.fence() != journal.fence:
            return
        if self._disk.look(PLACING) is not None:
            take_back(self._disk, journal.steps, self._new_placing())
            self._disk.rename(PLACING, UNDOING)
        elif self._disk.look(COMMITTED) is not None:
            self._disk.rename(COMMITTED, UNDOING)
        put_back(self._disk, journal.steps, self._new_placing())
        self._disk.flush()
        self._discard()
        self._undo_contents.sweep()
        self._standing.refresh()

    def _displace(self, journal: Journal) -> None:
        # Recovery may find either folder missing if it was interrupted by the loss of power.
        self._disk.mkdir(DISPLACED)
        displace(self._disk, journal.steps)
        if any(step.carries for step in journal.steps):
            self._disk.flush()
        self._disk.rename(COMMITTED, PLACING)

    def _place(self, journal: Journal, placing: Placement) -> None:
        placing.place(journal.steps)
        with self._written():
            if self._state.fence() == journal.fence:
                replaced = self._settle(journal, placing)
                self._record(journal, placing, replaced)

    def _end(self, journal: Journal) -> None:
        self._standing.refresh()
        for folder in emptied(journal.steps):
            self._disk.rmdir(folder)
        self._disk.note_written(STATE_LOG)
        self._disk.flush()
        self._disk.rename(PLACING, DONE)
        self._clean_up(journal)
        self._take_log_in()

    @contextmanager
    def _written(self) -> Iterator[None]:
        """A transaction of the state file that the next flush makes last."""
        log = self._disk.look(STATE_LOG)
        # SQLite must order its own writes where it may begin a used log file anew.
        fresh = log is None or log.size == 0
        with self._state.writing(flushed_by_caller=fresh):
            yield
            self._disk.step("commit", STATE_FILE)
        self._disk.step("committed", STATE_FILE)

    def _settle(self, journal: Journal, placing: Placement) -> dict[str, HashedFile | None]:
        """Keep what undo needs, and put edits aside that were made since the plan was checked.

        Returns what is known of the files that were replaced, which wait for the next command.
        """
        needed = undo_needs(journal.plan.edits) if self._state.keep else set()
        replaced: dict[str, HashedFile | None] = {}
        for step in journal.steps:
            if step.before is None or not step.replaces:
                continue
            if step.before.digest in needed:
                self._undo_contents.keep(journal.fence + 1, step.before.digest, step.displaced)
            replaced[step.replaced] = self._check_displaced(step, step.before)
            if replaced[step.replaced] is None:
                placing.put_aside(step.displaced, step.before.path)
        return replaced

    def _check_displaced(self, step: Step, before: AssetState) -> HashedFile | None:
        """What is known of a displaced file; None where it is not what the plan was made from."""
        seen = self._disk.look(step.displaced)
        if seen is None:
            return None
        known = self._copied.get(before.path) or self._standing.digests.last(before.path)
        if known is None or not known.is_unwritten(seen):
            checked_ns = self._disk.now_ns()
            found = self._disk.digest(step.displaced)
            if found is None:
                return None
            known = HashedFile(digest=found[0], checked_ns=checked_ns, seen=found[1])
        if known.digest != before.digest:
            return None
        return HashedFile(digest=known.digest, checked_ns=known.checked_ns, seen=seen)

    def _record(
        self, journal: Journal, placing: Placement, replaced: dict[str, HashedFile | None]
    ) -> None:
        standing, state = self._standing, self._state
        state.set_places(standing.moved)
        state.set_checked(standing.digests.found)
        gone = {step.before.path for step in journal.steps if step.before is not None}
        known = {path: standing.digests.last(path) for path in gone}
        files: dict[str, HashedFile | None] = {}
        files |= dict.fromkeys(gone)
        for step in journal.steps:
            if step.after is not None:
                files[step.after.path] = self._checked(step, placing, known)
        state.set_checked(files | replaced)
        state.record_edits(journal.plan.edits)
        self._dropped = state.record_pull(journal.plan, journal.plan_text, journal.at)
        standing.written_down()

    def _checked(
        self, step: Step, placing: Placement, known: dict[AssetPath, HashedFile | None]
    ) -> HashedFile | None:
        """The digest of a file that was just placed, if nobody has written to it since."""
        assert step.after is not None, "it was placed"
        checked_ns = self._disk.now_ns()
        seen = self._disk.look(step.after.path)
        if seen is None or seen.type is not FileType.FILE:
            return None
        staged = placing.placed.get(step.number)
        if step.brings and staged is not None:
            now = HashedFile(digest=step.after.digest, checked_ns=checked_ns, seen=seen)
            return now if now.is_content_of(staged) else None
        before = known.get(step.before.path) if step.before is not None else None
        if before is None or not before.is_content_of(seen):
            return None
        return HashedFile(digest=before.digest, checked_ns=before.checked_ns, seen=seen)

    # --- clean-up -----------------------------------------------------------------------------

    def _clean_up(self, journal: Journal) -> None:
        self._undo_contents.drop(self._dropped)
        self._dropped = []
        self._drop_beyond_bound(journal)
        if not self._disk.rmdir(DISPLACED):
            self._disk.rename(DISPLACED, REPLACED)
        if self._disk.look(REPLACED) is None:
            self._disk.unlink(DONE)
        else:
            self._disk.rename(DONE, REPLACED_JOURNAL)
        if not self._disk.rmdir(STAGED):
            self._clear(STAGED)

    def _drop_beyond_bound(self, journal: Journal) -> None:
        placing, size = self._new_placing(), 0
        for step in journal.steps:
            seen = self._disk.look(step.displaced) if step.replaces else None
            size += seen.size if seen is not None else 0
            if seen is not None and size > REPLACED_BYTES:
                self._drop(step, step.displaced, placing)
                size -= seen.size

    def _drop(self, step: Step, path: str, placing: Placement) -> None:
        """Remove a file that was replaced, unless someone wrote to it since."""
        seen = self._disk.look(path)
        if seen is None or step.before is None:
            return
        known = self._standing.digests.last(step.replaced)
        if known is not None and known.holds_for(seen):
            digest: Digest | None = known.digest
        else:
            found = self._disk.digest(path)
            digest = None if found is None else found[0]
        if digest == step.before.digest:
            self._disk.unlink(path)
        else:
            placing.put_aside(path, step.before.path)
        self._standing.digests.put(step.replaced, None)

    def _clear(self, folder: str) -> None:
        for name, _ in self._disk.listing(folder):
            self._disk.unlink(f"{folder}/{name}")
        self._disk.rmdir(folder)

    def _take_log_in(self) -> None:
        self._state.checkpoint()
        self._disk.flush_one(STATE_FILE)
        self._state.empty_log_file()


def reason_of(error: OSError | sqlite3.Error) -> str:
    """What an error of the machine says, with the file that it names."""
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror or error}{where}"
    return str(error)
