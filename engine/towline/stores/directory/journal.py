"""The journal of an apply: what recovery needs to finish it, and how far it has come.

Renaming the journal to ``journal`` is the commit point. After it the journal's name is the phase;
each phase can be repeated from its start, however far it came:

``journal``          old files are moved into the folder ``displaced``
``journal.placing``  new files are moved into place, and the state file is written
``journal.done``     leftovers are removed
``journal.undoing``  after a failure, files are moved back to where they were

The folder ``staged`` is the first thing an apply makes and the last it removes: without it there
is nothing to recover.

Files that an apply replaced stay in the folder ``replaced``, with the journal, until the next
command: a program may still write to one that it opened before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from towline.codec import decode, encode
from towline.errors import StoreDamaged, TowlineError
from towline.frozen import frozen
from towline.model import AssetState, first_path
from towline.plan import Edit, Plan
from towline.stores.directory.disk import Disk
from towline.stores.directory.state_folder import REPLACED, STAGED, STATE_FOLDER

BACKUPS = f"{STATE_FOLDER}/displaced"
DRAFT = f"{STATE_FOLDER}/journal.new"
COMMITTED = f"{STATE_FOLDER}/journal"
PLACING = f"{STATE_FOLDER}/journal.placing"
DONE = f"{STATE_FOLDER}/journal.done"
UNDOING = f"{STATE_FOLDER}/journal.undoing"
REPLACED_JOURNAL = f"{REPLACED}/journal"


@frozen(kw_only=True)
class Step:
    """One asset whose content, path or permissions the plan changes."""

    number: int
    before: AssetState | None
    after: AssetState | None

    @property
    def writes_content(self) -> bool:
        """Whether new content is staged for it."""
        return self.after is not None and (
            self.before is None or self.before.digest != self.after.digest
        )

    @property
    def moves_old_file(self) -> bool:
        """Whether the current file is moved away."""
        return self.before is not None and (
            self.after is None or self.writes_content or self.before.path != self.after.path
        )

    @property
    def is_rename(self) -> bool:
        """Whether the file that is moved away becomes the one at the new path."""
        return self.moves_old_file and self.after is not None and not self.writes_content

    @property
    def removes_old_file(self) -> bool:
        """Whether the file that is moved away is no longer needed."""
        return self.moves_old_file and not self.is_rename

    @property
    def staged(self) -> str:
        """The path of the new content before it is placed."""
        return f"{STAGED}/{self.number}"

    @property
    def backup(self) -> str:
        """The path of the old file while the plan is applied."""
        return f"{BACKUPS}/{self.number}"

    @property
    def replaced(self) -> str:
        """The path of the old file until the next command."""
        return f"{REPLACED}/{self.number}"


@frozen(kw_only=True)
class Journal:
    """A plan that is being applied. ``fence`` is the state file's at the start.

    ``steps`` are the changes to the folder, by path, so that files of one folder follow each other.
    """

    fence: int
    plan: Plan
    plan_text: str
    at: str | None
    steps: tuple[Step, ...]


def new_journal(plan: Plan, fence: int, at: str | None) -> Journal:
    """Return the journal of applying a plan to the state with this fence."""
    text = json.dumps(encode(plan), ensure_ascii=True)
    return Journal(fence=fence, plan=plan, plan_text=text, at=at, steps=_steps(plan.edits))


def _steps(edits: tuple[Edit, ...]) -> tuple[Step, ...]:
    return tuple(sorted(_numbered(edits), key=lambda step: first_path(step.after, step.before)))


def _numbered(edits: tuple[Edit, ...]) -> Iterator[Step]:
    for number, edit in enumerate(edits):
        before, after = edit.ours
        if before != after:
            yield Step(number=number, before=before, after=after)


def journal_bytes(journal: Journal) -> bytes:
    """Encode a journal for its file."""
    values = {"fence": journal.fence, "at": journal.at, "plan": journal.plan_text}
    return json.dumps(values).encode()


def read_journal(disk: Disk, path: str, project: str) -> Journal:
    """Read a journal from its file.

    Raises:
        StoreDamaged: it cannot be decoded. It was flushed before it was renamed, so it was altered.
    """
    found = disk.read(path)
    try:
        values = json.loads(found[0] if found is not None else b"")
        fence, at, text = values["fence"], values["at"], values["plan"]
        plan = decode(Plan, json.loads(text))
        return Journal(fence=fence, plan=plan, plan_text=text, at=at, steps=_steps(plan.edits))
    except (ValueError, KeyError, TypeError, RecursionError, TowlineError) as error:
        problem = f"the journal cannot be read: {error}"
        raise StoreDamaged(project=project, problem=problem) from error


def read_interrupted(disk: Disk, project: str) -> tuple[str, Journal] | None:
    """Return the phase and the journal of a committed apply that did not end, if there is one.

    Raises:
        StoreDamaged: as `read_journal`.
    """
    for phase in (DONE, UNDOING, PLACING, COMMITTED):
        if disk.stat(phase) is not None:
            return phase, read_journal(disk, phase, project)
    return None


def backup_locations(disk: Disk, phase: str, journal: Journal) -> dict[str, str]:
    """Return where an apply in this phase has the files that it moved, by their old paths."""
    locations: dict[str, str] = {}
    for step in journal.steps:
        if step.before is None or not step.moves_old_file:
            continue
        if disk.stat(step.backup) is not None:
            locations[step.before.path] = step.backup
        elif step.is_rename and step.after is not None and phase == PLACING:
            locations[step.before.path] = step.after.path
    return locations
