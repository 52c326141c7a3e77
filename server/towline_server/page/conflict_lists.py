"""The list of the assets in conflict, and its filter."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

from fastapi import Query, Request

from towline.conflicts import Conflict, Party
from towline.frozen import frozen
from towline.resolutions import SavedResolution
from towline_server.runs.conflicts import Conflicts

from .paging import PageNumber


@frozen(kw_only=True)
class ListedParty:
    """An asset in conflict; ``saved`` is the choice for it, ``is_settled`` whether it does."""

    conflict: Conflict
    party: Party
    saved: SavedResolution | None
    is_settled: bool

    @property
    def asset_id(self) -> str:
        """The id of the asset."""
        return self.party.asset_id

    @property
    def state(self) -> str:
        """A text that changes with the conflict and its choice: what one in the list is for."""
        return state_of([self])

    @property
    def gives_way(self) -> bool:
        """Whether a side can be chosen; not for what is here alone."""
        return not self.party.local_only


def listed_parties(found: Conflicts) -> list[ListedParty]:
    """Return every asset that is in conflict, by the path of its conflict."""
    saved = {each.asset_id: each for each in found.saved}
    settled = frozenset(found.resolved)
    return [
        ListedParty(
            conflict=conflict,
            party=party,
            saved=saved.get(party.asset_id),
            is_settled=party.asset_id in settled,
        )
        for conflict in found.conflicts
        for party in conflict.parties
    ]


def state_of(parties: Sequence[ListedParty]) -> str:
    """Return a text that changes with the sides of assets in conflict, and with what is saved."""
    spec = [(each.asset_id, each.party.states, each.saved, each.is_settled) for each in parties]
    return sha256(repr(spec).encode("utf-8", "backslashreplace")).hexdigest()[:32]


@frozen
class ConflictFilter:
    """Which assets in conflict are shown: those that fit every field that is set."""

    request: Request
    conflict: Annotated[str, Query(max_length=40)] = ""
    """A kind of conflict."""
    kind: Annotated[str, Query(max_length=255)] = ""
    """A kind of assets."""
    q: Annotated[str, Query(max_length=255)] = ""
    """A part of the path."""
    page: PageNumber = 1
    shown: Annotated[str, Query(max_length=64)] = ""
    """The state of the list that a page shows already."""

    def fits(self, each: ListedParty) -> bool:
        """Whether an asset is shown."""
        return (
            self.conflict in ("", each.conflict.kind)
            and self.kind in ("", each.party.kind)
            and self.q.casefold() in each.party.path.casefold()
        )
