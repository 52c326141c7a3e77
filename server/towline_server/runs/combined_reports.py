"""The report of a run that has children, made of theirs; in the JSON form of a run's row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from towline.plan import LISTED, Disposition
from towline.report import Status

Report: TypeAlias = dict[str, Any]

_LISTS = tuple(map(str, LISTED))
_CHANGED = tuple(name for name in _LISTS if name != Disposition.IGNORED)


def merge_kinds(reports: Sequence[Report]) -> Report | None:
    """Return one report of several: each asset is of one kind, so the lists are disjoint.

    The exception is a non-asset, which every child sees changed; it is listed once.
    """
    if not reports:
        return None
    merged = {**reports[0], "base": reports[0]["base"], "revision": reports[-1]["revision"]}
    for name in (*_LISTS, "conflicts", "error_msgs"):
        entries: list[Any] = []
        for report in reports:
            entries += [entry for entry in report[name] if entry not in entries]
        merged[name] = entries
    merged["status"] = _status(reports)
    return merged


def merge_windows(pulled: Sequence[Report], last: Report | None) -> Report | None:
    """Return one report of pulls that followed each other: for each asset, from first to last.

    ``last`` is that of a window that was not pulled, for its conflicts.
    """
    if not pulled:
        return last
    ending = last or pulled[-1]
    merged = {**ending, "base": pulled[0]["base"], "revision": pulled[-1]["revision"]}
    merged |= {name: [] for name in _LISTS}
    for name, entry in _net(pulled):
        merged[name].append(entry)
    for name in _LISTS:
        merged[name].sort(key=lambda entry: (entry["path"], entry["asset_id"] or ""))
    merged["status"] = _status([*pulled, ending])
    merged["history_rewritten"] = pulled[0]["history_rewritten"]
    return merged


def count_entries(report: Report | None) -> dict[str, int] | None:
    """Return how many entries each list of a report has."""
    if report is None:
        return None
    return {name: len(report[name]) for name in (*_LISTS, "conflicts")}


def _status(reports: Sequence[Report]) -> str:
    """Return the status of several reports; where none changed anything, that of the first."""
    found = [str(report["status"]) for report in reports]
    some = (each for each in (Status.CONFLICTS, Status.UPDATED) if each in found)
    return str(next(some, found[0]))


def _net(reports: Sequence[Report]) -> list[tuple[str, Any]]:
    """Return the list and the entry of each asset, over all reports."""
    net: dict[str, tuple[str, Any]] = {}
    ignored: dict[str, tuple[str, Any]] = {}
    for report in reports:
        for name in _CHANGED:
            for entry in report[name]:
                key = entry["asset_id"] or entry["path"]
                ignored.pop(key, None)
                after = _after(net.pop(key, None), name, entry)
                if after is not None:
                    net[key] = after
        for entry in report[str(Disposition.IGNORED)]:
            ignored[entry["asset_id"] or entry["path"]] = (str(Disposition.IGNORED), entry)
    return [*net.values(), *ignored.values()]


def _after(before: tuple[str, Any] | None, name: str, entry: Any) -> tuple[str, Any] | None:
    """Return what one change makes of those before it; None: nothing."""
    if before is None:
        return name, entry
    first, earlier = before
    joined = {**entry, "before": earlier["before"]}
    match first, name:
        case (Disposition.CREATED, Disposition.DELETED):
            return None
        case (Disposition.CREATED, _):
            return str(Disposition.CREATED), joined
        case (Disposition.DELETED, Disposition.CREATED):
            return str(Disposition.UPDATED), joined
        case _:
            return name, joined
