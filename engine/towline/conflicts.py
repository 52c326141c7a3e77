"""Conflicts are values: a kind, the assets that are parties to it, and their three states."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from towline.errors import UnresolvedConflicts
from towline.frozen import frozen
from towline.model import AssetId, AssetPath, AssetState, ThreeWay, first_path


class ConflictKind(StrEnum):
    """The kinds of conflict; docs/semantics.md has the rule of each."""

    CONTENT = "content"
    """Rule 8: the content changed on both sides, differently."""
    RENAME_RENAME = "rename/rename"
    """Rule 8: renamed on both sides, differently (the content may clash too)."""
    ADD_ADD = "add/add"
    """Rule 10."""
    MODIFY_DELETE = "modify/delete"
    """Rule 11: changed here, deleted there."""
    DELETE_MODIFY = "delete/modify"
    """Rule 12: deleted here, changed there."""
    PATH_COLLISION = "path collision"
    """Rule 13: outcomes that cannot exist together."""


@frozen(kw_only=True)
class Party:
    """One asset of a conflict, with its state on the three sides (None: absent there)."""

    asset_id: AssetId
    kind: str
    states: ThreeWay[AssetState | None]

    @property
    def path(self) -> AssetPath:
        """Its path in ours, else in theirs, else in base."""
        return first_path(self.states.ours, self.states.theirs, self.states.base)

    @property
    def local_only(self) -> bool:
        """Whether it is here alone: it gives way to nothing, and has no side to choose."""
        return self.states.base is None and self.states.theirs is None

    @property
    def paths(self) -> frozenset[AssetPath]:
        """Its paths on the three sides."""
        return frozenset(state.path for state in self.states if state is not None)


@frozen(kw_only=True)
class Conflict:
    """Assets that this pull cannot settle by itself.

    ``parties`` are sorted by path; all kinds but a path collision have one. ``blockers`` are the
    paths of what never gives way (rule 13): local-only assets, which are parties too, and local
    files that are no asset. They must be moved before the others can be settled in theirs' favour.
    """

    kind: ConflictKind
    parties: tuple[Party, ...]
    blockers: tuple[AssetPath, ...] = ()

    @property
    def path(self) -> AssetPath:
        """The path of its first party."""
        return self.parties[0].path


def unresolved(conflicts: Iterable[Conflict]) -> UnresolvedConflicts:
    """Return the error that names every party of these conflicts."""
    parties = {party.asset_id: party.path for each in conflicts for party in each.parties}
    return UnresolvedConflicts(
        asset_ids=tuple(sorted(parties)), paths=tuple(sorted(parties.values()))
    )
