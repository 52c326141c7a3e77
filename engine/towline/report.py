"""The report of a pull, a function of its plan: a dry run's equals the real one's."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from towline.conflicts import Conflict, ConflictKind, Party
from towline.model import AssetPath, AssetState, Revision
from towline.plan import LISTED, BehindReason, Disposition, IgnoredReason, Item, Note, Plan


class Status(StrEnum):
    """How a pull ended."""

    UP_TO_DATE = "up-to-date"
    UPDATED = "updated"
    CONFLICTS = "conflicts"
    """Refused because of conflicts; nothing changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a pull did. An asset is in at most one list; each is sorted by path.

    ``base`` is the revision before, ``revision`` the one that was pulled. With the policy
    ``skip``, ``conflicts`` holds what was skipped, and those assets are in ``ignored`` too.
    ``behind`` holds every asset that is not as the revision has it, whichever pull left it so:
    skipped in conflict, left out by a selection, or no asset there any more. ``notes`` are about
    new contents from which no embedded id can be read.
    """

    status: Status
    base: Revision | None
    revision: Revision | None
    overwritten: tuple[Item, ...] = ()
    updated: tuple[Item, ...] = ()
    created: tuple[Item, ...] = ()
    deleted: tuple[Item, ...] = ()
    ignored: tuple[Item, ...] = ()
    behind: tuple[Item, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    error_msgs: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    history_rewritten: bool | None = False
    pull: int | None = field(default=None, compare=False)
    """The number under which the store's log keeps it; None if nothing was applied."""

    @property
    def listed(self) -> tuple[Item, ...]:
        """The five lists as one."""
        return self.overwritten + self.updated + self.created + self.deleted + self.ignored


def report_of(plan: Plan) -> Report:
    """The report that applying this plan gives; with open conflicts, the report of refusing it."""
    messages = tuple(conflict_message(conflict) for conflict in plan.conflicts)
    if plan.refused:
        return Report(
            status=Status.CONFLICTS,
            base=plan.before.base,
            revision=plan.revision,
            conflicts=plan.conflicts,
            error_msgs=messages,
            notes=plan.notes,
            history_rewritten=plan.history_rewritten,
        )
    listed = {name: plan.listed(name) for name in LISTED}
    return Report(
        status=Status.UPDATED if any(listed.values()) else Status.UP_TO_DATE,
        base=plan.before.base,
        revision=plan.revision,
        conflicts=plan.conflicts,
        error_msgs=messages,
        notes=plan.notes,
        history_rewritten=plan.history_rewritten,
        overwritten=listed[Disposition.OVERWRITTEN],
        updated=listed[Disposition.UPDATED],
        created=listed[Disposition.CREATED],
        deleted=listed[Disposition.DELETED],
        ignored=listed[Disposition.IGNORED],
        behind=tuple(item for item in plan.items if item.behind is not None),
    )


def conflict_message(conflict: Conflict) -> str:
    """One sentence that names the conflict's kind, assets and what to do."""
    parties = ", ".join(f"{party.path!s} ({party.asset_id})" for party in conflict.parties)
    text = f"{conflict.kind} conflict: {parties}"
    if conflict.blockers:
        return f"{text}; move {', '.join(conflict.blockers)} out of the way first"
    if conflict.kind is ConflictKind.PATH_COLLISION:
        return f"{text}; choose use_theirs or use_ours for each, so that one keeps the path"
    return f"{text}; choose use_theirs or use_ours"


def report_json(report: Report) -> dict[str, object]:
    """The report in JSON form, as the command prints it (the shape is part of the interface)."""
    return {
        "status": str(report.status),
        "base": report.base,
        "revision": report.revision,
        **{str(name): [item_json(item) for item in getattr(report, name)] for name in LISTED},
        "behind": [item_json(item) for item in report.behind],
        "conflicts": [conflict_json(conflict) for conflict in report.conflicts],
        "error_msgs": list(report.error_msgs),
        "notes": [
            {"asset_id": note.asset_id, "path": note.path, "text": note.text}
            for note in report.notes
        ],
        "history_rewritten": report.history_rewritten,
    }


def item_json(item: Item) -> dict[str, object]:
    """One entry of a list in JSON form."""
    return {
        "asset_id": item.asset_id,
        "path": item.path,
        "name": item.name,
        "kind": item.kind,
        "rule": item.rule,
        "before": state_json(item.before),
        "after": state_json(item.after),
        "renamed_from": item.renamed_from,
        "merged": item.merged,
        "merged_by": None if item.merged_by is None else str(item.merged_by),
        "discarded": item.discarded,
        "reason": None if item.reason is None else str(item.reason),
        "behind": None if item.behind is None else str(item.behind),
    }


def conflict_json(conflict: Conflict) -> dict[str, object]:
    """A conflict in JSON form."""
    return {
        "kind": str(conflict.kind),
        "path": conflict.path,
        "parties": [_party_json(party) for party in conflict.parties],
        "blockers": list(conflict.blockers),
    }


def _party_json(party: Party) -> dict[str, object]:
    return {
        "asset_id": party.asset_id,
        "path": party.path,
        "name": party.path.name,
        "kind": party.kind,
        "base": state_json(party.states.base),
        "ours": state_json(party.states.ours),
        "theirs": state_json(party.states.theirs),
    }


def state_json(state: AssetState | None) -> dict[str, object] | None:
    """A state in JSON form, or null."""
    if state is None:
        return None
    return {"path": state.path, "digest": state.digest, "executable": state.executable}


def reason_message(reason: IgnoredReason | BehindReason, path: AssetPath) -> str:
    """Return why this path is ignored or behind, for a person."""
    hidden = any(name.startswith(".") for name in path.split("/"))
    if reason is IgnoredReason.NOT_AN_ASSET and hidden:
        return "not an asset: a dot file that the kinds leave out (hidden = true takes them)"
    return _REASONS[reason]


_REASONS: dict[IgnoredReason | BehindReason, str] = {
    IgnoredReason.DECLINED: "our version stays",
    IgnoredReason.DELETION_DECLINED: "stays although deleted in the repository",
    IgnoredReason.CONFLICT: "left in conflict",
    BehindReason.LEFT_OUT: "left out of a pull",
    IgnoredReason.NOT_AN_ASSET: "not an asset: outside the kinds",
    IgnoredReason.SYMLINK: "not an asset: a symbolic link",
    IgnoredReason.SUBMODULE: "not an asset: a submodule",
    IgnoredReason.LFS_POINTER: "not an asset: a Git LFS pointer",
    IgnoredReason.NAME_NOT_UTF8: "not an asset: its name is not UTF-8",
    IgnoredReason.NAME_TOO_LONG: "not an asset: its name is too long",
}
