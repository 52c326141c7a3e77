"""Ids inside an asset, at the JSON pointer (RFC 6901) of its kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from towline.changes import Changes, IdProblem, RemoteAsset
from towline.model import AssetPath, AssetState
from towline.records import AssetLookup


def with_embedded_id(asset: RemoteAsset, content: bytes, pointer: str) -> RemoteAsset:
    """Return the asset with the id that its content has at the pointer, or with why it has none.

    YAML and TOML are known by the name, anything else is read as JSON. An id is a text or a whole
    number of at most 255 printable characters (as asset ids are bounded): no store need hold
    another. One that is empty or all zeros is a placeholder, which is no id.
    """
    at = pointer or "its root"
    try:
        value = _parse(asset.path, content)
    except (ValueError, RecursionError):
        text = f"no id can be read at {at}: {_unreadable(asset.path, content)}"
        return replace(asset, id_problem=IdProblem(text=text))
    for token in pointer.split("/")[1:]:
        value = _step(value, token.replace("~1", "/").replace("~0", "~"))
    found = _text(value)
    if found is None or len(found) > 255 or not found.isprintable():
        return replace(asset, id_problem=IdProblem(text=f"no id is at {at}", of_kind=True))
    if not found.strip("0-{} "):
        problem = IdProblem(text=f"the id at {at} is a placeholder", of_kind=True)
        return replace(asset, id_problem=problem)
    return replace(asset, embedded_id=found)


def _parse(path: AssetPath, content: bytes) -> Any:
    """Return the content's value; in YAML and TOML numbers are those of `towline.content`."""
    if path.endswith((".yaml", ".yml", ".toml")):
        from towline.content.values import NotParsed

        try:
            return _parse_by_name(path, content)
        except NotParsed:
            raise ValueError from None
    return json.loads(content)


def _parse_by_name(path: AssetPath, content: bytes) -> Any:
    if path.endswith(".toml"):
        from towline.content.toml import parse_toml

        return parse_toml(content).value
    from towline.content.yaml_values import parse_yaml

    return parse_yaml(content).value


def _unreadable(path: AssetPath, content: bytes) -> str:
    if not content.strip():
        return "it is empty"
    if any(line.startswith(b"<<<<<<< ") for line in content.splitlines()):
        return "it has conflict markers"
    form = "TOML" if path.endswith(".toml") else "YAML" if path.endswith("ml") else "JSON"
    return f"it is not {form}, or is cut off"


def _step(value: object, token: str) -> object:
    if isinstance(value, dict):
        return value.get(token)
    if isinstance(value, list) and token.isascii() and token.isdigit() and int(token) < len(value):
        return value[int(token)]
    return None


def _text(value: object) -> str | None:
    match value:
        case bool():
            return None
        case str():
            return value
        case int():
            try:
                return str(value)
            except ValueError:  # Python refuses to print whole numbers of thousands of digits.
                return None
        case ("whole" | "plain", str(text)):
            return text
        case _:
            return None


def shared_ids(changes: Changes, ours: AssetLookup) -> dict[str, tuple[AssetPath, ...]]:
    """Return the ids of changed assets that are in two assets of theirs, or were in two of base.

    Each has the paths in theirs, sorted. It is no id of any of these assets.
    """

    def recorded_at(embedded_id: str) -> list[AssetPath]:
        return [
            record.recorded.path
            for record in ours.with_embedded_id(embedded_id)
            if isinstance(record.recorded, AssetState)
        ]

    after = [change.after for change in changes.items if isinstance(change.after, RemoteAsset)]
    return ids_of_two(after, {change.path for change in changes.items}, recorded_at)


def ids_of_two(
    assets: Iterable[RemoteAsset],
    changed: Collection[AssetPath],
    recorded_at: Callable[[str], Sequence[AssetPath]],
) -> dict[str, tuple[AssetPath, ...]]:
    """Return the ids of these assets that two have now, or had at the recorded revision.

    ``recorded_at`` returns the paths that had an id there; those that ``changed`` may have none.
    """
    paths: dict[str, list[AssetPath]] = {}
    for asset in assets:
        if asset.embedded_id is not None:
            paths.setdefault(asset.embedded_id, []).append(asset.path)
    shared: dict[str, tuple[AssetPath, ...]] = {}
    for embedded_id, found in sorted(paths.items()):
        before = recorded_at(embedded_id)
        found += [path for path in before if path not in changed]
        if len(before) > 1 or len(found) > 1:
            shared[embedded_id] = tuple(sorted(found))
    return shared
