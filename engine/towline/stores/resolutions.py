"""Saved resolutions as texts by name, in any store that has such: one text for each asset."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from towline.codec import decode, encode
from towline.model import AssetId, Digest, ThreeWay
from towline.stores import SAVED_RESOLUTIONS

if TYPE_CHECKING:
    from towline.plan import Plan
    from towline.resolutions import SavedResolution

REMEMBER = "remember"
"""The name of the text that is ``false`` where resolutions are not remembered (git's rerere)."""
_REMEMBERED = "remembered resolutions"

Get: TypeAlias = Callable[[str], str | None]
Set: TypeAlias = Callable[[str, str | None], None]


def saved_resolutions(get: Get) -> Sequence[SavedResolution]:
    """Return the saved resolutions, by asset id."""
    found = (get(resolution_name(asset_id)) for asset_id in _ids(get))
    return [resolution_of(text) for text in found if text is not None]


def resolution_name(asset_id: AssetId) -> str:
    """Return the name of the text that has an asset's resolution."""
    return f"resolution/{asset_id}"


def resolution_of(text: str) -> SavedResolution:
    """Return the resolution of a text. Raises InvalidValue."""
    from towline.resolutions import SavedResolution

    return decode(SavedResolution, json.loads(text), "resolution")


def remembered_resolutions(get: Get) -> Sequence[SavedResolution]:
    """Return the resolutions that applied plans cleared, the newest first; none if it is off."""
    from towline.resolutions import SavedResolution

    text = get(_REMEMBERED) if _is_on(get) else None
    return [] if text is None else [decode(SavedResolution, each) for each in json.loads(text)]


class ResolutionTexts(NamedTuple):
    """Reads and writes them in a transaction of the store's."""

    get: Get
    set: Set

    def save(self, save: Iterable[SavedResolution], clear: Iterable[AssetId]) -> None:
        """Clear resolutions, then save others; see `AssetStore.save_resolutions`."""
        ids = set(_ids(self.get))
        for asset_id in ids.intersection(clear):
            self.set(resolution_name(asset_id), None)
            ids.remove(asset_id)
        for resolution in save:
            ids.add(resolution.asset_id)
            text = json.dumps(encode(resolution), ensure_ascii=True)
            self.set(resolution_name(resolution.asset_id), text)
        self._write_ids(ids)

    def clear_used(self, plan: Plan) -> None:
        """Clear what an applied plan names, where it is still the same, and remember it."""
        gone: list[SavedResolution] = []
        for asset_id, identity in plan.cleared:
            text = self.get(resolution_name(asset_id))
            if text is not None and (found := resolution_of(text)).identity == identity:
                gone.append(found)
        if gone:
            self.save((), [each.asset_id for each in gone])
            if _is_on(self.get):
                self._remember(gone)

    def _remember(self, newest: Sequence[SavedResolution]) -> None:
        from towline.resolutions import MAX_REMEMBERED, MAX_REMEMBERED_BYTES

        retained: dict[ThreeWay[Digest | None], SavedResolution] = {}
        size = 0
        for each in [*newest, *remembered_resolutions(self.get)]:
            if each.digests in retained:
                continue
            size += len(each.content or b"")
            if len(retained) == MAX_REMEMBERED or size > MAX_REMEMBERED_BYTES:
                break
            retained[each.digests] = each
        self.set(_REMEMBERED, json.dumps([encode(each) for each in retained.values()]))

    def _write_ids(self, ids: Iterable[AssetId]) -> None:
        listed = sorted(ids)
        self.set(SAVED_RESOLUTIONS, json.dumps(listed) if listed else None)


def _is_on(get: Get) -> bool:
    return get(REMEMBER) != "false"


def _ids(get: Get) -> list[AssetId]:
    text = get(SAVED_RESOLUTIONS)
    return [] if text is None else [AssetId(each) for each in json.loads(text)]
