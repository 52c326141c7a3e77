"""Compares what a pull answered with what a scenario expects, and with what it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fixtures.scenarios.loader import ExpectedConflict, ExpectedReport, State, real_id
from towline import AssetPath, AssetState, Conflict, Digest, Report, Status, ThreeWay, TowlineError
from towline.conflicts import Party
from towline.plan import LISTED, Item

from .worlds import Standing


def join(_path: AssetPath, sides: ThreeWay[bytes]) -> bytes | None:
    """The content merge that scenarios call ``join``: both sides' bytes, unless one has none."""
    return sides.ours + sides.theirs if sides.ours and sides.theirs else None


def check_report(expected: ExpectedReport, report: Report) -> None:
    """Every list, every conflict and the status are as written down, nothing more or less."""
    lists = {
        str(name): {item.path: _told(item) for item in getattr(report, name)} for name in LISTED
    }
    wanted = {str(name): _wanted_list(expected, str(name), report) for name in LISTED}
    assert lists == wanted
    for name in LISTED:
        paths = [item.path for item in getattr(report, name)]
        assert paths == sorted(set(paths)), "a list is sorted by path, and names each once"
    assert [_told_conflict(c) for c in report.conflicts] == [
        _wanted_conflict(c) for c in expected.conflicts
    ]
    assert len(report.error_msgs) == len(report.conflicts)
    for message, conflict in zip(report.error_msgs, report.conflicts, strict=True):
        assert all(party.path in message for party in conflict.parties)
    assert report.history_rewritten is expected.history_rewritten
    assert report.status == Status(expected.status)


def _told(item: Item) -> dict[str, Any]:
    return {
        "id": item.asset_id,
        "kind": item.kind,
        "rule": item.rule,
        "reason": item.reason,
        "renamed_from": item.renamed_from,
        "merged": item.merged,
        "discarded": item.discarded,
    }


def _wanted_list(expected: ExpectedReport, name: str, report: Report) -> dict[str, Any]:
    kinds = {item.path: item.kind for item in report.listed}
    return {
        path: {
            "id": item.id_at(path),
            # Left out where a scenario is not about kinds.
            "kind": kinds.get(AssetPath(path)) if item.kind is None else item.kind,
            "rule": item.rule,
            "reason": item.reason,
            "renamed_from": item.renamed_from,
            "merged": item.merged,
            "discarded": item.discarded,
        }
        for path, item in getattr(expected, name).items()
    }


def _told_conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "kind": str(conflict.kind),
        "parties": {party.path: _told_party(party) for party in conflict.parties},
        "blockers": conflict.blockers,
    }


def _told_party(party: Party) -> tuple[AssetState | None, ...]:
    return (party.states.base, party.states.ours, party.states.theirs)


def _wanted_conflict(conflict: ExpectedConflict) -> dict[str, Any]:
    return {
        "kind": conflict.kind,
        "parties": {
            path: tuple(state and _state(path, state) for state in states)
            for path, states in conflict.parties.items()
        },
        "blockers": conflict.blockers,
    }


def _state(path: str, state: State) -> AssetState:
    return AssetState(
        path=AssetPath(state.path or path),
        digest=Digest.of(state.content.encode()),
        executable=state.executable,
    )


def check_error(expected: Mapping[str, Any], error: TowlineError) -> None:
    """The code is as written down, and so is every attribute that the scenario names."""
    told = {"code": error.code, **error.data()}
    wanted = {name: _with_real_ids(value) for name, value in expected.items()}
    assert {name: told.get(name) for name in wanted} == wanted


def _with_real_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_real_ids(item) for item in value]
    return real_id(value) if isinstance(value, str) else value


def check_trees(before: Standing, report: Report, after: Standing) -> None:
    """Before, with what the report lists, is after: nothing else changed, and it said so."""
    standing = {path: _seen(path, held) for path, held in before.items()}
    for item in report.listed:
        if item.before is not None:
            assert standing.pop(item.before.path) == item.before
    for item in report.listed:
        if item.after is not None:
            standing[item.after.path] = item.after
    assert standing == {path: _seen(path, held) for path, held in after.items()}


def _seen(path: str, held: tuple[bytes, bool]) -> AssetState:
    content, executable = held
    return AssetState(path=AssetPath(path), digest=Digest.of(content), executable=executable)
