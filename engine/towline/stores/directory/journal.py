"""The journal of an apply: what recovery needs to finish it, and how far it has come.

Putting the journal in place is the commit point. From then on its name tells the phase; each
phase can be done again from its start, however far it came:

``journal``          files are moved out of their places into the folder ``displaced``
``journal.placing``  new files are moved into place, and the state file is written
``journal.done``     what is left over is removed
``journal.undoing``  after a failure, files return to the places they had before

The folder ``staged`` is the first thing an apply makes and the last it removes: where there is
none, there is nothing to recover.

Files that an apply replaced wait in the folder ``replaced``, with the journal, until the next
command: a program may still write to one that it opened before.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from towline.codec import decode, encode
from towline.errors import StoreDamaged, TowlineError
from towline.model import AssetState
from towline.plan import Edit, Plan
from towline.stores.directory.disk import Disk
from towline.stores.directory.walk import OWN_FOLDER

STAGED = f"{OWN_FOLDER}/staged"
DISPLACED = f"{OWN_FOLDER}/displaced"
DRAFT = f"{OWN_FOLDER}/journal.new"
COMMITTED = f"{OWN_FOLDER}/journal"
PLACING = f"{OWN_FOLDER}/journal.placing"
DONE = f"{OWN_FOLDER}/journal.done"
UNDOING = f"{OWN_FOLDER}/journal.undoing"
REPLACED = f"{OWN_FOLDER}/replaced"
REPLACED_JOURNAL = f"{REPLACED}/journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One asset whose content, path or permissions the plan changes."""

    number: int
    before: AssetState | None
    after: AssetState | None

    @property
    def brings(self) -> bool:
        """Whether its content is new, and staged."""
        return self.after is not None and (
            self.before is None or self.before.digest != self.after.digest
        )

    @property
    def displaces(self) -> bool:
        """Whether the file that stands now leaves its place."""
        return self.before is not None and (
            self.after is None or self.brings or self.before.path != self.after.path
        )

    @property
    def carries(self) -> bool:
        """Whether the file that leaves its place is what arrives at the new one."""
        return self.displaces and self.after is not None and not self.brings

    @property
    def replaces(self) -> bool:
        """Whether the file that leaves its place is of no more use."""
        return self.displaces and not self.carries

    @property
    def staged(self) -> str:
        """Where its new content waits."""
        return f"{STAGED}/{self.number}"

    @property
    def displaced(self) -> str:
        """Where its old content waits."""
        return f"{DISPLACED}/{self.number}"

    @property
    def replaced(self) -> str:
        """Where its old content is until the next command."""
        return f"{REPLACED}/{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """A plan that is being applied. ``fence`` is the state file's when it began."""

    fence: int
    plan: Plan
    plan_text: str
    at: str | None

    @property
    def steps(self) -> tuple[Step, ...]:
        """What the plan changes in the folder, each under its number."""
        return tuple(_steps(self.plan.edits))


def new_journal(plan: Plan, fence: int, at: str | None) -> Journal:
    """The journal of applying this plan to the state with this fence."""
    text = json.dumps(encode(plan), ensure_ascii=True)
    return Journal(fence=fence, plan=plan, plan_text=text, at=at)


def _steps(edits: tuple[Edit, ...]) -> Iterator[Step]:
    for number, edit in enumerate(edits):
        before, after = edit.ours
        if before != after:
            yield Step(number=number, before=before, after=after)


def journal_bytes(journal: Journal) -> bytes:
    """The journal as its file holds it."""
    values = {"fence": journal.fence, "at": journal.at, "plan": journal.plan_text}
    return json.dumps(values).encode()


def read_journal(disk: Disk, path: str, project: str) -> Journal:
    """The journal that a file holds.

    Raises:
        StoreDamaged: it is none. It was flushed before it got its name, so it was altered since.
    """
    found = disk.read(path)
    try:
        values = json.loads(found[0] if found is not None else b"")
        fence, at, text = values["fence"], values["at"], values["plan"]
        return Journal(fence=fence, plan=decode(Plan, json.loads(text)), plan_text=text, at=at)
    except (ValueError, KeyError, TypeError, RecursionError, TowlineError) as error:
        problem = f"its journal cannot be read: {error}"
        raise StoreDamaged(project=project, problem=problem) from error
