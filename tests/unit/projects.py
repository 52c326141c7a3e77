"""Projects in a line: ``a=1 b/c=2x`` is two assets, the second executable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from towline.asset_ids import planned_id
from towline.changes import RemoteAsset, RemoteEntry
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy
from towline.records import AssetRecord
from towline.testing.sides import KINDS, ThreeSides


def state(text: str) -> AssetState:
    """``path=content``, and an ``x`` behind it if it is executable."""
    path, _, content = text.partition("=")
    return AssetState(
        path=AssetPath(path),
        digest=Digest.of(content.removesuffix("x").encode()),
        executable=content.endswith("x"),
    )


def states(text: str) -> list[AssetState]:
    return [state(word) for word in text.split()]


def tree(text: str) -> dict[AssetPath, RemoteEntry]:
    """As `states`; ``path=@`` is a symbolic link, and ``path=1#id`` embeds an id."""
    found: dict[AssetPath, RemoteEntry] = {}
    for word in text.split():
        plain, _, embedded = word.partition("#")
        path = AssetPath(plain.partition("=")[0])
        if plain.endswith("=@"):
            found[path] = NonAsset(path=path, reason=NonAssetReason.SYMLINK)
        else:
            found[path] = RemoteAsset(state=state(plain), size=1, embedded_id=embedded or None)
    return found


def id_of(path: str) -> AssetId:
    """The id that the asset which began at this path has."""
    return planned_id("project", path, lambda _: False)


def project(
    base: str = "",
    ours: str = "",
    theirs: str = "",
    *,
    moved: Mapping[str, str] | None = None,
    files: Iterable[str] = (),
    names: NamePolicy = NamePolicy.EXACT,
) -> ThreeSides:
    """A project whose ours has the ids that base gave, save where ``moved`` (old: new) says."""
    recorded = tree(base)
    here = {found.path: found for found in states(ours)}
    origins = {AssetPath(new): AssetPath(old) for old, new in (moved or {}).items()}
    ids = {path: id_of(origins.get(path, path)) for path in here}
    began = {id_of(path): path for path, entry in recorded.items() if _is_asset(entry)}
    records = []
    for asset_id in sorted({*ids.values(), *began}):
        entry = recorded.get(began.get(asset_id, AssetPath("")))
        based = entry.state if isinstance(entry, RemoteAsset) else None
        present = next((here[path] for path, found in ids.items() if found == asset_id), None)
        kind = KINDS.of((present or based).path)  # type: ignore[union-attr]
        assert kind is not None
        records.append(
            AssetRecord(
                id=asset_id,
                kind=kind.name,
                base=based,
                ours=present,
                recorded=based,
                size=1 if based is not None else 0,
                embedded_id=entry.embedded_id if isinstance(entry, RemoteAsset) else None,
            )
        )
    return ThreeSides(
        records=tuple(records),
        base=recorded,
        theirs=tree(theirs),
        files=tuple(AssetPath(path) for path in files),
        names=names,
    )


def _is_asset(entry: RemoteEntry) -> bool:
    return isinstance(entry, RemoteAsset)
