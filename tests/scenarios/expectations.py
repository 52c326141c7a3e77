"""Compares the report of a pull with what a scenario expects, and with its effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fixtures.scenarios.loader import ExpectedConflict, ExpectedReport, PartyState, real_id
from tests.edited import Files
from towline import AssetPath, AssetState, Conflict, Digest, Report, Status, ThreeWay, TowlineError
from towline.plan import LISTED, Item


def join(_path: AssetPath, sides: ThreeWay[bytes]) -> bytes | None:
    """The content merge that scenarios call ``join``: both sides' bytes, unless one has none."""
    return sides.ours + sides.theirs if sides.ours and sides.theirs else None


def check_report(expected: ExpectedReport, report: Report) -> None:
    """Every list, every conflict and the status are as written down, nothing more or less."""
    lists = {
        str(name): {item.path: _item(item) for item in getattr(report, name)} for name in LISTED
    }
    wanted = {str(name): _expected_list(expected, str(name), report) for name in LISTED}
    assert lists == wanted
    for name in LISTED:
        paths = [item.path for item in getattr(report, name)]
        assert paths == sorted(set(paths)), "a list is sorted by path, and names each once"
    assert [_conflict(c) for c in report.conflicts] == [
        _expected_conflict(c) for c in expected.conflicts
    ]
    assert len(report.error_msgs) == len(report.conflicts)
    for message, conflict in zip(report.error_msgs, report.conflicts, strict=True):
        assert all(party.path in message for party in conflict.parties)
    assert report.history_rewritten is expected.history_rewritten
    assert report.status == Status(expected.status)


def _item(item: Item) -> dict[str, Any]:
    return {
        "id": item.asset_id,
        "kind": item.kind,
        "rule": item.rule,
        "reason": item.reason,
        "renamed_from": item.renamed_from,
        "merged": item.merged,
        "discarded": item.discarded,
    }


def _expected_list(expected: ExpectedReport, name: str, report: Report) -> dict[str, Any]:
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


def _conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "kind": str(conflict.kind),
        "parties": {party.path: tuple(party.states) for party in conflict.parties},
        "blockers": conflict.blockers,
    }


def _expected_conflict(conflict: ExpectedConflict) -> dict[str, Any]:
    return {
        "kind": conflict.kind,
        "parties": {
            path: tuple(state and _state(path, state) for state in states)
            for path, states in conflict.parties.items()
        },
        "blockers": conflict.blockers,
    }


def _state(path: str, state: PartyState) -> AssetState:
    return AssetState(
        path=AssetPath(state.path or path),
        digest=Digest.of(state.content.encode()),
        executable=state.executable,
    )


def check_error(expected: Mapping[str, Any], error: TowlineError) -> None:
    """The code is as written down, and so is every attribute that the scenario names."""
    found = {"code": error.code, **error.data()}
    wanted = {name: _with_real_ids(value) for name, value in expected.items()}
    assert {name: found.get(name) for name in wanted} == wanted


def _with_real_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_real_ids(item) for item in value]
    return real_id(value) if isinstance(value, str) else value


def check_files(before: Files, report: Report, after: Files) -> None:
    """Before, with what the report lists, is after: nothing else changed."""
    files = {path: _state_of(path, *file) for path, file in before.items()}
    for item in report.listed:
        if item.before is not None:
            assert files.pop(item.before.path) == item.before
    for item in report.listed:
        if item.after is not None:
            files[item.after.path] = item.after
    assert files == {path: _state_of(path, *file) for path, file in after.items()}


def _state_of(path: AssetPath, content: bytes, executable: bool) -> AssetState:
    return AssetState(path=path, digest=Digest.of(content), executable=executable)
