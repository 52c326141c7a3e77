"""One apply of the directory store, from staging to the last clean-up, and its recovery.

The order, and what each flush (at most five) is for:

1. new files and the draft of the journal are written;   flush: they last
2. the journal gets its name, the commit point;           flush: so does that
3. files leave their places                               (flush, if some are renamed: or else
                                                          the next step could last without it)
4. files get into place, the state file's log is written; flush: all of it lasts
5. leftovers are removed; the state file takes its log in; flush: the log may be emptied
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from towline.errors import StoreBusy, StoreError
from towline.model import AssetPath, Digest
from towline.names import path_problem
from towline.plan import Contents, Plan
from towline.ports import Applied, Phase, Watch

from .checking import needed_contents, undo_needs
from .disk import Disk
from .journal import (
    COMMITTED,
    DISPLACED,
    DONE,
    DRAFT,
    PLACING,
    STAGED,
    Journal,
    Step,
    journal_bytes,
    new_journal,
    read_journal,
)
from .kept import NAME_BYTES
from .own_folder import STATE_FILE
from .placing import Placing, displace, emptied, permissions
from .seen import Type
from .standing import Standing
from .statcache import Checked
from .state import State
from .walking import OWN_FOLDER

STATE_LOG = f"{OWN_FOLDER}/state.db-wal"


class Transaction:
    """Applies plans to a folder, or finishes what was begun. The caller holds the lock."""

    def __init__(self, disk: Disk, state: State, standing: Standing, shown: str) -> None:
        self._disk = disk
        self._state = state
        self._standing = standing
        self._shown = shown

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        """Carry out a plan that was checked."""
        at = None if watch.now is None else watch.now.isoformat()
        journal = new_journal(plan, self._state.fence(), at)
        self._check_places(journal.steps)
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
            problem = f"{error}; the plan is committed, and opening the project again finishes it"
            raise StoreError(project=self._shown, problem=problem) from error
        return Applied(number=journal.fence + 1, kept=tuple(kept))

    def recover(self) -> None:
        """Finish what was committed, and remove what was not."""
        if self._disk.look(STAGED) is None:
            return
        for phase in (DONE, PLACING, COMMITTED):
            if self._disk.look(phase) is not None:
                self._finish(read_journal(self._disk, phase, self._shown), phase)
                return
        self._discard()

    # --- before the commit point --------------------------------------------------------------

    def _check_places(self, steps: Iterable[Step]) -> None:
        """Refuse now what no file could be moved to, or away from, later."""
        states = (state for step in steps for state in (step.before, step.after))
        paths = sorted({state.path for state in states if state is not None})
        for path in paths:
            problem = path_problem(path)
            if any(len(name.encode()) > NAME_BYTES for name in path.split("/")):
                problem = "has a name that is too long for a file"
            if problem is not None:
                raise StoreError(project=self._shown, problem=f"{path!r} {problem}")
        for folder in sorted({folder for path in paths for folder in path.folders}):
            if not self._disk.can_move_to(folder, OWN_FOLDER):
                problem = f"{folder!r} is mounted from elsewhere; its files cannot be moved"
                raise StoreError(project=self._shown, problem=problem)

    def _stage(self, journal: Journal, contents: Contents, watch: Watch) -> None:
        self._disk.mkdir(STAGED)
        self._disk.mkdir(DISPLACED)
        waiting: dict[Digest, list[Step]] = {}
        for step in journal.steps:
            if step.brings and step.after is not None:
                waiting.setdefault(step.after.digest, []).append(step)
        total = len(waiting)
        watch.report(Phase.APPLYING, 0, total)
        for done, (digest, content) in enumerate(needed_contents(journal.plan, contents), 1):
            for step in waiting[digest]:
                self._write_staged(step, content)
            watch.report(Phase.APPLYING, done, total)
        self._disk.write(DRAFT, journal_bytes(journal), 0o666)
        self._disk.flush()

    def _write_staged(self, step: Step, content: bytes) -> None:
        assert step.after is not None, "it brings content"
        executable = step.after.executable
        stands = self._disk.look(step.before.path) if step.before is not None else None
        if stands is None:
            self._disk.write(step.staged, content, 0o777 if executable else 0o666)
        else:
            kept = executable if self._standing.reads_executable else None
            mode = permissions(stands.mode, executable=kept)
            self._disk.write(step.staged, content, mode, exactly=True)

    def _discard(self) -> None:
        """Remove what was staged; files have not been touched."""
        self._disk.unlink(COMMITTED)
        self._disk.unlink(DRAFT)
        self._clear(DISPLACED)
        self._clear(STAGED)

    # --- after it -----------------------------------------------------------------------------

    def _finish(self, journal: Journal, phase: str) -> list[AssetPath]:
        kept: list[AssetPath] = []
        if phase == COMMITTED:
            self._displace(journal)
        if phase in (COMMITTED, PLACING):
            kept = self._place(journal)
        # The plan is in place for good; what is left over now is removed by the next opening.
        with suppress(OSError, sqlite3.Error):
            self._clean_up(journal)
            self._take_log_in()
        return kept

    def _displace(self, journal: Journal) -> None:
        # Recovery may find either folder missing if it was interrupted by the loss of power.
        self._disk.mkdir(DISPLACED)
        displace(self._disk, journal.steps)
        if any(step.carries for step in journal.steps):
            self._disk.flush()
        self._disk.rename(COMMITTED, PLACING)

    def _place(self, journal: Journal) -> list[AssetPath]:
        steps = journal.steps
        placing = Placing(self._disk, sets_executable=self._standing.reads_executable)
        placing.place(steps)
        with self._written():
            if self._state.fence() == journal.fence:
                self._settle(journal, placing)
                self._record(journal, placing)
        self._standing.refresh()
        for folder in emptied(steps):
            self._disk.rmdir(folder)
        self._disk.note_written(STATE_LOG)
        self._disk.flush()
        self._disk.rename(PLACING, DONE)
        return placing.kept

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

    def _settle(self, journal: Journal, placing: Placing) -> None:
        """Keep what was displaced: for undo if it is what was checked, else beside its place."""
        needed = undo_needs(journal.plan.edits) if self._state.keep else set()
        for step in journal.steps:
            if not step.displaces or step.carries or step.before is None:
                continue
            found = self._disk.read(step.displaced)
            if found is None or Digest.of(found[0]) != step.before.digest:
                placing.put_aside(step.displaced, step.before.path)
            elif step.before.digest in needed:
                self._state.keep_blob(journal.fence + 1, step.before.digest, found[0])

    def _record(self, journal: Journal, placing: Placing) -> None:
        standing, state = self._standing, self._state
        state.set_places(standing.moved)
        state.set_checked(standing.digests.found)
        gone = {step.before.path for step in journal.steps if step.before is not None}
        known = {path: standing.digests.last(path) for path in gone}
        files: dict[str, Checked | None] = dict.fromkeys(gone)
        for step in journal.steps:
            if step.after is not None:
                files[step.after.path] = self._checked(step, placing, known)
        state.set_checked(files)
        state.record_edits(journal.plan.edits)
        state.record_pull(journal.plan, journal.plan_text, journal.at)
        standing.written_down()

    def _checked(
        self, step: Step, placing: Placing, known: dict[AssetPath, Checked | None]
    ) -> Checked | None:
        """The digest of a file that was just placed, if nobody has written to it since."""
        assert step.after is not None, "it was placed"
        checked_ns = self._disk.now_ns()
        seen = self._disk.look(step.after.path)
        if seen is None or seen.type is not Type.FILE:
            return None
        staged = placing.placed.get(step.number)
        if step.brings and staged is not None:
            now = Checked(digest=step.after.digest, checked_ns=checked_ns, seen=seen)
            return now if now.is_content_of(staged) else None
        before = known.get(step.before.path) if step.before is not None else None
        if before is None or not before.is_content_of(seen):
            return None
        return Checked(digest=before.digest, checked_ns=before.checked_ns, seen=seen)

    # --- clean-up -----------------------------------------------------------------------------

    def _clean_up(self, journal: Journal) -> None:
        for step in journal.steps:
            if step.displaces and not step.carries:
                self._disk.unlink(step.displaced)
        if not self._disk.rmdir(DISPLACED):
            self._clear(DISPLACED)
        self._disk.unlink(DONE)
        if not self._disk.rmdir(STAGED):
            self._clear(STAGED)

    def _clear(self, folder: str) -> None:
        for name, _ in self._disk.listing(folder):
            self._disk.unlink(f"{folder}/{name}")
        self._disk.rmdir(folder)

    def _take_log_in(self) -> None:
        self._state.checkpoint()
        self._disk.flush_one(STATE_FILE)
        self._state.empty_log_file()
