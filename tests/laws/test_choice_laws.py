"""The laws of docs/architecture.md about resolutions, and about the lists of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tests.laws.budget import law
from tests.laws.merging import (
    REFUSE,
    Tree,
    alignments,
    assets_of,
    attempt,
    listed,
    looked_at,
    party_ids,
    plan_of,
    result_of,
)
from towline.changes import Change, RemoteAsset
from towline.conflicts import ConflictKind, Party
from towline.errors import NoRemoteVersion, TowlineError
from towline.model import AssetId, AssetPath, AssetState, NonAsset
from towline.options import OnConflict, PullOptions, Renames, Resolutions, Selection, Side
from towline.plan import Disposition, IgnoredReason, Item, Plan
from towline.records import AssetRecord
from towline.stores.checks import released_ids
from towline.testing.choices import pull_options, resolved, resolved_sides
from towline.testing.sides import THEIRS, ThreeSides, can_coexist, local_tree, records_after
from towline.testing.strategies import three_sides

# --- use_theirs and use_ours on everything -----------------------------------------------------


@law("use_theirs on all")
@given(three_sides(), st.sampled_from(Renames))
def test_use_theirs_on_all_gives_theirs_and_what_is_local_only(sides: ThreeSides, renames: Renames):
    local = local_only(sides, renames)
    expected = assets_of(sides) | local
    if not can_coexist(sides.names, assets_of(sides)):
        return
    options = PullOptions(on_conflict=OnConflict.THEIRS, allow_empty=True, renames=renames)
    every = with_version(sides, plan_of(sides, options=options, changes=sides.all_changes()))
    plan = plan_of(sides, resolved(every), options, sides.all_changes())
    if can_coexist(sides.names, [*expected, *sides.files]):
        assert not plan.conflicts
        assert result_of(sides, plan) == expected
    else:
        assert plan.refused
        assert all(c.blockers or party_ids([c]) - every.keys() for c in plan.conflicts)


def with_version(sides: ThreeSides, plan: Plan) -> dict[AssetId, Side]:
    """Every asset that the repository has, or had and deleted (rules 6 and 14 are neither)."""
    parties = [party for conflict in plan.conflicts for party in conflict.parties]
    without = {party.asset_id for party in parties if not has_version(sides, party)}
    return {
        item.asset_id: Side.THEIRS
        for item in plan.items
        if item.asset_id is not None and item.asset_id not in without and item.rule not in (6, 14)
    }


def has_version(sides: ThreeSides, party: Party) -> bool:
    """Whether the repository has a version of it, or deleted it."""
    if party.states.theirs is not None or party.states.base is None:
        return party.states.theirs is not None
    paths = {party.path}
    paths |= {r.aligned_path for r in sides.records if r.id == party.asset_id and r.aligned_path}
    return not any(isinstance(sides.theirs.get(path), NonAsset) for path in paths)


def local_only(sides: ThreeSides, renames: Renames) -> Tree:
    """What never gives way: ours where the repository has no part, and rule 14."""
    recorded = alignments(sides.records)
    tracked = {path for path, r in recorded.items() if r.base is not None}
    tracked |= set(assets_of(sides))
    aligned = {record.aligned_path for record in sides.records}
    ours = local_tree(sides.records)
    local: Tree = {}
    for record in sides.records:
        if record.ours is None:
            continue
        path, old = record.ours.path, record.aligned_path
        moved = renames is not Renames.OFF and (
            _is_traded(sides, record)
            or (
                record.base is not None
                and old is not None
                and old not in ours
                and path not in recorded
                and path not in tracked
            )
        )
        at = old if moved and old else path
        # What was no asset before either, and no record has, is not asked of the repository.
        known = at in aligned or sides.theirs.get(at) != sides.base.get(at)
        blocked = known and isinstance(sides.theirs.get(at), NonAsset)
        if blocked or not (moved or path in tracked):
            local[path] = record.ours
    return local


@law("use_ours on all")
@given(three_sides(), pull_options())
def test_use_ours_on_all_writes_nothing(sides: ThreeSides, options: PullOptions):
    options = replace(options, only=Selection())
    every = {
        item.asset_id: Side.OURS
        for item in looked_at(sides, options.renames)
        if item.asset_id is not None
    }
    plan = plan_of(sides, resolved(every), options)
    assert not plan.conflicts
    assert plan.needed() == ()
    assert all(before == after for before, after in (edit.ours for edit in plan.edits))
    assert {item.disposition for item in plan.items} <= {
        Disposition.IGNORED,
        Disposition.UNTOUCHED,
        Disposition.CONVERGED,
    }


# --- pinning the parties of conflicts ----------------------------------------------------------


@law("pins settle conflicts")
@given(three_sides(), st.sampled_from(Side), st.sampled_from(Renames))
def test_pinning_all_parties_to_one_side_leaves_only_what_never_gives_way(
    sides: ThreeSides, side: Side, renames: Renames
):
    if side is Side.THEIRS and not can_coexist(sides.names, assets_of(sides)):
        return
    options = replace(REFUSE, renames=renames)
    before = plan_of(sides, options=options)
    parties = [party for conflict in before.conflicts for party in conflict.parties]
    chosen = {party.asset_id: side for party in parties}
    after = attempt(sides, resolved(chosen), options)
    while isinstance(after, NoRemoteVersion):
        del chosen[AssetId(after.asset_id)]
        after = attempt(sides, resolved(chosen), options)
    assert isinstance(after, Plan), after
    without = {party.asset_id for party in parties} - set(chosen)
    for conflict in after.conflicts:
        assert conflict.kind is ConflictKind.PATH_COLLISION
        assert conflict.blockers or without & party_ids([conflict])


# --- every asset accounted for -----------------------------------------------------------------


@law("accounted once")
@given(resolved_sides(three_sides()), pull_options())
def test_every_asset_is_accounted_for_exactly_once(
    project: tuple[ThreeSides, Resolutions], options: PullOptions
):
    sides, chosen = project
    plan = attempt(sides, chosen, options)
    if isinstance(plan, TowlineError):
        return
    ids = Counter(item.asset_id or item.path for item in plan.items)
    assert max(ids.values(), default=1) == 1
    assert chosen.use_theirs | chosen.use_ours <= set(ids)
    parties = Counter(party.asset_id for c in plan.conflicts for party in c.parties)
    assert max(parties.values(), default=1) == 1
    in_conflict = {
        item.asset_id
        for item in plan.items
        if item.disposition is Disposition.CONFLICT or item.reason is IgnoredReason.CONFLICT
    }
    assert in_conflict == set(parties)
    # An id whose asset was deleted here, and created again under another one, may be released.
    gone = {record.id for record in sides.records if record.ours is None}
    assert {edit.asset_id for edit in plan.edits} <= set(ids) | gone
    if plan.refused:
        return
    covered = {path for item in plan.items for path in _paths(item)}
    covered |= {path for edit in plan.edits for path in _edited(edit.before, edit.after)}
    covered |= {r.aligned_path for r in sides.records if r.id in ids and r.aligned_path}
    covered |= {path for c in plan.conflicts for p in c.parties for path in p.paths}
    assert {change.path for change in sides.changes().items if _concerns(change)} <= covered
    assert list(plan.items) == sorted(plan.items, key=lambda i: (i.path, i.asset_id or ""))


def _concerns(change: Change) -> bool:
    """A non-asset that is no longer there needs no answer."""
    return change.after is not None or isinstance(change.before, RemoteAsset)


def _paths(item: Item) -> Iterable[AssetPath]:
    states = [state for state in (item.before, item.after) if state is not None]
    return {item.path, *(state.path for state in states)} | {item.renamed_from or item.path}


def _edited(*records: AssetRecord | None) -> Iterable[AssetPath]:
    states = [s for r in records if r is not None for s in (r.base, r.ours, r.recorded)]
    return {state.path for state in states if state is not None}


# --- ours and the report give the result -------------------------------------------------------


@law("ours and report")
@given(resolved_sides(three_sides()), pull_options())
def test_ours_changed_as_the_lists_say_is_the_result(
    project: tuple[ThreeSides, Resolutions], options: PullOptions
):
    sides, chosen = project
    plan = attempt(sides, chosen, options)
    if isinstance(plan, TowlineError) or plan.refused:
        return
    tree = local_tree(sides.records)
    changed = [item for item in listed(plan) if item.disposition is not Disposition.IGNORED]
    for item in changed:
        if item.before is not None:
            assert tree.pop(item.before.path) == item.before
        assert (item.after is None) == (item.disposition is Disposition.DELETED)
        assert (item.before is None) == (item.disposition is Disposition.CREATED)
    for item in changed:
        if item.after is not None:
            assert item.after.path not in tree
            tree[item.after.path] = item.after
    assert tree == result_of(sides, plan)
    assert can_coexist(sides.names, [*tree, *sides.files])
    for item in listed(plan):
        if item.disposition is Disposition.IGNORED:
            assert item.before == item.after
            assert item.reason is not None


# --- no local edit is lost ---------------------------------------------------------------------


@law("no local edit is lost")
@given(
    three_sides(), pull_options(on_conflict=[OnConflict.REFUSE, OnConflict.SKIP, OnConflict.OURS])
)
def test_no_field_of_a_local_edit_is_lost_without_a_resolution(
    sides: ThreeSides, options: PullOptions
):
    plan = plan_of(sides, options=options)
    records = sides.records if plan.refused else records_after(sides.records, plan)
    after = {record.id: record.ours for record in records}
    for record in sides.records:
        here = record.ours
        if here is None:
            # Deleted here, it stays deleted; declined when it was new, it may be new again.
            assert after.get(record.id) is None or record.base is None
            continue
        based = _based(sides, record, options.renames)
        if based is None:
            assert after[record.id] == here, record
        elif here != based:
            outcome = after[record.id]
            assert outcome is not None, record
            for name in ("path", "digest", "executable"):
                if getattr(here, name) != getattr(based, name):
                    assert getattr(outcome, name) == getattr(here, name), record


def _based(sides: ThreeSides, record: AssetRecord, renames: Renames) -> AssetState | None:
    """What this was before it was edited here: by path, else what the store says was moved."""
    assert record.ours is not None
    if renames is not Renames.OFF and _is_traded(sides, record):
        return record.base
    path = record.ours.path
    there = alignments(sides.records).get(path)
    if there is not None:
        return there.base
    vacant = record.aligned_path not in local_tree(sides.records)
    other = sides.theirs.get(path)
    moved = renames is not Renames.OFF and vacant
    if isinstance(other, RemoteAsset) and other.state != record.ours:
        # Then it holds only if theirs moved it here too.
        moved &= record.aligned_path not in sides.theirs
        moved &= other.embedded_id == record.embedded_id or _same(other.state, record.recorded)
    return record.base if moved else None


def _is_traded(sides: ThreeSides, record: AssetRecord) -> bool:
    """Whether it and others took one another's paths here, and their ids say which is which."""
    here = {r.ours.path: r for r in sides.records if r.ours is not None}
    there = alignments(sides.records)
    members, waiting = [], [record]
    while waiting:
        each = waiting.pop()
        if each in members:
            continue
        members.append(each)
        if each.ours is None or each.base is None or each.aligned_path is None:
            return False
        new, other = each.ours.path, sides.theirs.get(each.aligned_path)
        taken = sides.theirs.get(new)
        if not (
            isinstance(other, RemoteAsset)
            and each.embedded_id
            and other.embedded_id == each.embedded_id
            and new != each.aligned_path
            and not (isinstance(taken, RemoteAsset) and taken.state == each.ours)
            and (new in there or taken is None)
        ):
            return False
        waiting += [r for r in (here.get(each.aligned_path), there.get(new)) if r is not None]
    return len(members) > 1


def _same(one: AssetState, other: AssetState | NonAsset | None) -> bool:
    return isinstance(other, AssetState) and one.digest == other.digest


# --- pull twice --------------------------------------------------------------------------------


@law("pull twice")
@given(resolved_sides(three_sides()), pull_options(renames=[Renames.EXACT]))
def test_the_second_pull_lists_only_what_was_skipped(
    project: tuple[ThreeSides, Resolutions], options: PullOptions
):
    sides, chosen = project
    first = attempt(sides, chosen, options)
    if isinstance(first, TowlineError) or first.refused:
        return
    again = replace(
        sides,
        records=records_after(sides.records, first),
        base=sides.theirs,
        used=_used(sides, first),
    )
    # A conflict that a resolution made comes back with that resolution alone.
    made = bool(first.conflicts) and chosen != Resolutions()
    if made:
        return
    second = plan_of(again, options=options)
    assert {item.asset_id for item in listed(second)} == party_ids(second.conflicts)
    assert party_ids(second.conflicts) == party_ids(first.conflicts)
    assert {c.kind for c in second.conflicts} == {c.kind for c in first.conflicts}
    assert second.edits == ()
    assert replace(second.before, base=THEIRS) == first.after
    assert result_of(again, second) == result_of(sides, first)


def _used(sides: ThreeSides, plan: Plan) -> dict[AssetId, AssetPath | None]:
    released = {asset_id: path for path, asset_id in released_ids(plan.edits).items()}
    return {**sides.used, **dict.fromkeys(record.id for record in sides.records), **released}
