"""The report of a pull, a function of its plan: a dry run's equals the real one's."""

from __future__ import annotations

from dataclasses import asdict, field
from enum import StrEnum

from towline.conflicts import Conflict, ConflictKind, Party
from towline.frozen import frozen
from towline.model import AssetPath, AssetState, Revision
from towline.plan import LISTED, BehindReason, Disposition, IgnoredReason, Item, Note, Plan


class Status(StrEnum):
    """How a pull ended."""

    UP_TO_DATE = "up-to-date"
    UPDATED = "updated"
    CONFLICTS = "conflicts"
    """Refused because of conflicts; nothing changed."""


@frozen(kw_only=True)
class Report:
    """What a pull did, or would do. An asset is in at most one list; each is sorted by path.

    ``base`` is the revision before, ``revision`` the one that was pulled. With the policy
    ``skip``, ``conflicts`` holds what was skipped, and those assets are in ``ignored`` too.
    ``behind`` holds every asset that is not as the revision has it, by this pull or an older one:
    skipped in conflict, left out by a selection, or no asset there any more. ``notes`` are about
    embedded ids of new contents that cannot be read, are placeholders or occur twice.
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
    """Its number in the store's log; None if nothing was applied."""

    @property
    def listed(self) -> tuple[Item, ...]:
        """The five lists as one."""
        return self.overwritten + self.updated + self.created + self.deleted + self.ignored


def report_of(plan: Plan, *, preview: bool = False) -> Report:
    """Return the report of applying this plan; of refusing it, where conflicts stay open.

    A refusal lists its conflicts alone; with ``preview`` also what the pull does once they are
    settled.
    """
    hidden = plan.refused and not preview
    listed = {name: () if hidden else plan.listed(name) for name in LISTED}
    behind = () if hidden else tuple(item for item in plan.items if _stays_behind(item))
    status = Status.UPDATED if any(listed.values()) else Status.UP_TO_DATE
    return Report(
        status=Status.CONFLICTS if plan.refused else status,
        base=plan.before.base,
        revision=plan.revision,
        overwritten=listed[Disposition.OVERWRITTEN],
        updated=listed[Disposition.UPDATED],
        created=listed[Disposition.CREATED],
        deleted=listed[Disposition.DELETED],
        ignored=listed[Disposition.IGNORED],
        behind=behind,
        conflicts=plan.conflicts,
        error_msgs=tuple(map(conflict_message, plan.conflicts)),
        notes=plan.notes,
        history_rewritten=plan.history_rewritten,
    )


def _stays_behind(item: Item) -> bool:
    return item.behind is not None and item.disposition is not Disposition.CONFLICT


def conflict_message(conflict: Conflict) -> str:
    """Return one sentence that names the conflict's kind, assets and what to do."""
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
        "notes": [asdict(note) for note in report.notes],
        "history_rewritten": report.history_rewritten,
    }


def item_json(item: Item) -> dict[str, object]:
    """Return one entry of a list in JSON form."""
    shown = {"asset_id": item.asset_id, "path": item.path, "name": item.name, **asdict(item)}
    del shown["disposition"]
    return shown


def conflict_json(conflict: Conflict) -> dict[str, object]:
    """Return a conflict in JSON form."""
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
        **asdict(party.states.map(state_json)),
    }


def state_json(state: AssetState | None) -> dict[str, object] | None:
    """Return a state in JSON form, or null."""
    return None if state is None else asdict(state)


def reason_message(reason: IgnoredReason | BehindReason, path: AssetPath) -> str:
    """Return why this path is ignored or behind, for a person."""
    hidden = any(name.startswith(".") for name in path.split("/"))
    if reason is IgnoredReason.NOT_AN_ASSET and hidden:
        return "not an asset: a dot file, which the kinds leave out (hidden = true includes them)"
    return _REASONS[reason]


_REASONS: dict[IgnoredReason | BehindReason, str] = {
    IgnoredReason.DECLINED: "our version was chosen",
    IgnoredReason.DELETION_DECLINED: "deleted in the repository, but our version was chosen",
    IgnoredReason.CONFLICT: "left in conflict",
    BehindReason.LEFT_OUT: "left as it was by an earlier pull",
    IgnoredReason.NOT_AN_ASSET: "not an asset: matches no kind",
    IgnoredReason.SYMLINK: "not an asset: a symbolic link",
    IgnoredReason.SUBMODULE: "not an asset: a submodule",
    IgnoredReason.LFS_POINTER: "not an asset: a Git LFS pointer",
    IgnoredReason.NAME_NOT_UTF8: "not an asset: its name is not UTF-8",
    IgnoredReason.NAME_TOO_LONG: "not an asset: its name is too long",
}
