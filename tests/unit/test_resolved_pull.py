"""Pulls of projects that have saved resolutions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.both_changed import both_changed, write
from towline import (
    AssetPath,
    DirectoryStore,
    MemoryRemote,
    MemoryStore,
    OnConflict,
    Plan,
    PullOptions,
    Resolutions,
    SavedResolution,
    Selection,
    Side,
    apply,
    dump_plan,
    load_plan,
    plan_pull,
    pull,
    undo,
)
from towline.conflicts import ConflictKind
from towline.content_rules import ContentMode
from towline.plan import Disposition
from towline.report import report_of
from towline.testing.plans import now
from towline.testing.store_resolutions import saved_in

A = AssetPath("a.json")
BASE = b'{"x": 1, "y": 1, "z": 1}'
OURS = b'{"x": 2, "y": 2, "z": 1}'
THEIRS = b'{"x": 3, "y": 3, "z": 3}'
SKIP = PullOptions(on_conflict=OnConflict.SKIP)
CHOICES: list[tuple[dict[str, Any], bytes]] = [
    ({"side": Side.THEIRS}, THEIRS),
    ({"side": Side.OURS}, OURS),
    ({"content": b"by hand\r\n"}, b"by hand\r\n"),
    ({"fields": (("/x", Side.THEIRS), ("/y", Side.OURS))}, b'{"x": 3, "y": 2, "z": 3}'),
]


def save(store: Any, plan: Plan, **choice: Any) -> SavedResolution:
    """Save this choice for the first party of the plan's first conflict."""
    party = plan.conflicts[0].parties[0]
    saved = SavedResolution(asset_id=party.asset_id, states=party.states, **choice)
    store.save_resolutions([saved])
    return saved


def content(store: Any, path: str = A) -> bytes | None:
    state = record.ours if (record := now(store).at(AssetPath(path))) is not None else None
    return None if state is None else store.read(state.digest)


def notes(plan: Plan) -> list[str]:
    return [note.text for note in plan.notes]


@pytest.mark.parametrize("kind", ["memory", "directory"])
@pytest.mark.parametrize(("choice", "outcome"), CHOICES)
def test_a_saved_resolution_settles_its_conflict(kind, choice, outcome, tmp_path):
    store = DirectoryStore.create(tmp_path) if kind == "directory" else MemoryStore("project")
    store, remote = both_changed(BASE, OURS, THEIRS, store=store, other=b"2")
    plan = plan_pull(store, remote)
    assert plan.refused
    saved = save(store, plan, **choice)
    planned = plan_pull(store, remote)
    assert (planned.conflicts, planned.notes) == ((), ())
    report = pull(store, remote)
    assert report == report_of(planned)
    (item,) = [item for item in report.listed if item.path == A]
    assert (item.resolved, item.rule) == (True, 8)
    assert content(store) == outcome
    assert saved_in(store) == ([], [saved])
    assert pull(store, remote).status == "up-to-date"
    undo(store)
    assert content(store) == OURS
    assert plan_pull(store, remote).refused


def test_a_stored_plan_has_the_choice_that_it_was_made_with():
    store, remote = both_changed(BASE, OURS, THEIRS, other=b"2")
    saved = save(store, plan_pull(store, remote), content=b"first")
    stored = load_plan(dump_plan(plan_pull(store, remote)))
    newer = replace(saved, content=b"second")
    store.save_resolutions([newer])
    apply(stored, store, contents=remote)
    assert content(store) == b"first"
    # Its states are gone, so the next pull clears it.
    assert saved_in(store) == ([newer], [])
    assert notes(plan_pull(store, remote)) == [
        "the saved resolution is not used: base and ours changed since"
    ]


@pytest.mark.parametrize(
    ("moves", "why"),
    [
        ({"theirs": b'{"x": 4, "y": 3, "z": 3}'}, "theirs changed since"),
        ({"ours": b'{"x": 5, "y": 2, "z": 1}'}, "ours changed since"),
    ],
)
def test_it_lapses_when_a_side_moves_and_the_plan_says_so(moves, why):
    store, remote = both_changed(BASE, OURS, THEIRS, other=b"2")
    saved = save(store, plan_pull(store, remote), side=Side.THEIRS)
    if "ours" in moves:
        write(store, A, moves["ours"])
    if "theirs" in moves:
        remote.commit({"other": b"2", A: moves["theirs"]})
    for _ in range(2):
        plan = plan_pull(store, remote)
        assert plan.refused
        assert notes(plan) == [f"the saved resolution is not used: {why}"]
        assert saved_in(store) == ([saved], [])
    pull(store, remote, SKIP)
    assert saved_in(store) == ([], [saved])
    assert notes(plan_pull(store, remote)) == []


def test_it_lapses_when_a_side_moves_back():
    store, remote = both_changed(BASE, OURS, THEIRS, other=b"2")
    save(store, plan_pull(store, remote), side=Side.THEIRS)
    remote.commit({"other": b"2", A: BASE})
    plan = plan_pull(store, remote)
    assert notes(plan) == ["the saved resolution is not used: theirs changed since"]
    pull(store, remote)
    assert content(store) == OURS
    assert saved_in(store)[0] == []


def test_a_side_of_the_call_goes_before_it_and_it_before_a_policy():
    store, remote = both_changed(BASE, OURS, THEIRS, other=b"2")
    plan = plan_pull(store, remote)
    saved = save(store, plan, content=b"saved")
    asset_id = plan.conflicts[0].parties[0].asset_id
    planned = plan_pull(
        store, remote, PullOptions(resolutions=Resolutions(use_ours=frozenset([asset_id])))
    )
    assert [(item.path, item.resolved) for item in planned.listed(Disposition.IGNORED)] == [
        (A, False)
    ]
    assert planned.cleared == ((asset_id, saved.identity),)
    assert planned.notes == ()
    pull(store, remote, PullOptions(on_conflict=OnConflict.THEIRS))
    assert content(store) == b"saved"


def test_a_pull_that_leaves_the_asset_out_leaves_its_resolution():
    store, remote = both_changed(BASE, OURS, THEIRS, other=b"2")
    saved = save(store, plan_pull(store, remote), content=b"saved")
    pull(store, remote, PullOptions(only=Selection(globs=("other",))))
    assert content(store, "other") == b"2"
    assert saved_in(store) == ([saved], [])
    assert [item.resolved for item in pull(store, remote).updated] == [True]
    assert content(store) == b"saved"


def test_a_skipped_asset_can_be_resolved_later():
    store, remote = both_changed(BASE, OURS, THEIRS, other=b"2")
    pull(store, remote, SKIP)
    save(store, plan_pull(store, remote), content=b"saved")
    assert pull(store, remote).status == "updated"
    assert content(store) == b"saved"


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "kind"),
    [
        (None, OURS, THEIRS, ConflictKind.ADD_ADD),
        (BASE, OURS, None, ConflictKind.MODIFY_DELETE),
        (BASE, None, THEIRS, ConflictKind.DELETE_MODIFY),
    ],
)
def test_content_settles_every_conflict_at_one_path(base, ours, theirs, kind):
    store, remote = both_changed(base, ours, theirs)
    plan = plan_pull(store, remote)
    assert [conflict.kind for conflict in plan.conflicts] == [kind]
    save(store, plan, content=b"saved")
    assert pull(store, remote).status == "updated"
    assert content(store) == b"saved"
    assert pull(store, remote).status == "up-to-date"


def test_fields_that_leave_a_clash_settle_nothing():
    store, remote = both_changed(BASE, OURS, THEIRS, other=b"2")
    saved = save(store, plan_pull(store, remote), fields=(("/x", Side.THEIRS),))
    plan = plan_pull(store, remote)
    assert plan.refused
    assert notes(plan) == ["the saved resolution is not used: the contents still conflict"]
    assert plan.cleared == ((saved.asset_id, saved.identity),)


def test_it_is_not_used_where_there_is_no_conflict():
    store, remote = both_changed(BASE, OURS, b'{"x": 1, "y": 1, "z": 3}')
    by_hand = PullOptions(content_merge=ContentMode.NEVER)
    save(store, plan_pull(store, remote, by_hand), side=Side.THEIRS)
    plan = plan_pull(store, remote)
    assert notes(plan) == ["the saved resolution is not used: the asset is not in conflict"]
    pull(store, remote)
    assert content(store) == b'{"x": 2, "y": 2, "z": 3}'
    assert saved_in(store)[0] == []


def colliding() -> tuple[MemoryStore, MemoryRemote]:
    """Return a project that renamed an asset to where the repository creates one."""
    store, remote = MemoryStore("project"), MemoryRemote()
    remote.commit({"old": b"1", "other": b"1"})
    pull(store, remote)
    record = now(store).at(AssetPath("old"))
    assert record is not None
    store.move(record.id, AssetPath("folder"))
    remote.commit({"old": b"1", "other": b"1", "folder/new": b"2"})
    return store, remote


def saved_sides(plan: Plan, **sides: Side) -> list[SavedResolution]:
    (conflict,) = plan.conflicts
    parties = {party.path.name: party for party in conflict.parties}
    return [
        SavedResolution(asset_id=parties[name].asset_id, states=parties[name].states, side=side)
        for name, side in sides.items()
    ]


@pytest.mark.parametrize(
    ("sides", "paths"),
    [
        ({"folder": Side.THEIRS}, ["folder/new", "old", "other"]),
        ({"new": Side.OURS}, ["folder", "other"]),
        ({"folder": Side.THEIRS, "new": Side.THEIRS}, ["folder/new", "old", "other"]),
    ],
)
def test_a_saved_side_settles_a_path_collision(sides, paths):
    store, remote = colliding()
    plan = plan_pull(store, remote)
    assert [conflict.kind for conflict in plan.conflicts] == [ConflictKind.PATH_COLLISION]
    store.save_resolutions(saved_sides(plan, **sides))
    assert pull(store, remote).status == "updated"
    assert sorted(store.contents()) == paths


def test_saved_sides_that_collide_leave_the_conflict():
    store, remote = colliding()
    saved = saved_sides(plan_pull(store, remote), folder=Side.OURS, new=Side.THEIRS)
    store.save_resolutions(saved)
    plan = plan_pull(store, remote)
    assert plan.refused
    assert (
        notes(plan)
        == ["the saved resolution is not used: its path collides with another asset"] * 2
    )
    assert plan.cleared == ()


def test_a_saved_side_is_not_used_once_the_collision_is_gone():
    store, remote = colliding()
    store.save_resolutions(saved_sides(plan_pull(store, remote), folder=Side.THEIRS))
    remote.commit({"old": b"1", "other": b"2"})
    pull(store, remote)
    assert sorted(store.contents()) == ["folder", "other"]
    assert saved_in(store)[0] == []
