"""A project whose one asset both sides changed since the last pull."""

from __future__ import annotations

from typing import Any

from towline import AssetPath, DirectoryStore, Kind, Kinds, MemoryRemote, MemoryStore, pull
from towline.content_rules import ContentRules
from towline.testing.plans import record_at


def both_changed(
    base: bytes | None,
    ours: bytes | None,
    theirs: bytes | None,
    name: str = "a.json",
    *,
    rules: ContentRules = ContentRules(),
    store: Any = None,
    other: bytes = b"1",
) -> tuple[Any, MemoryRemote]:
    """Return it, in memory unless a store is given; ``other`` is theirs of an asset beside it."""
    kinds = Kinds((Kind(name="file", globs=("**",), content=rules),))
    store, remote = store or MemoryStore("project", kinds=kinds), MemoryRemote()
    remote.commit({"other": b"1"} if base is None else {"other": b"1", name: base})
    pull(store, remote)
    write(store, name, ours)
    remote.commit({"other": other} if theirs is None else {"other": other, name: theirs})
    return store, remote


def write(store: Any, name: str, content: bytes | None) -> None:
    """Write an asset as its user, or delete it."""
    if isinstance(store, DirectoryStore):
        (store.root / name).write_bytes(content or b"")
    elif content is not None:
        store.put(AssetPath(name), content)
    else:
        store.delete(record_at(store, name).id)
