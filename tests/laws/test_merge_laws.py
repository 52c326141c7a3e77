"""The laws of docs/architecture.md about one merge."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.laws.budget import law
from tests.laws.merging import (
    REFUSE,
    Tree,
    assets_of,
    attempt,
    party_paths,
    plan_of,
    quiet,
    result_of,
)
from towline.asset_ids import planned_id
from towline.changes import RemoteAsset
from towline.conflicts import ConflictKind
from towline.errors import TowlineError
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset
from towline.options import PullOptions, Renames, Resolutions, Selection
from towline.records import AssetRecord
from towline.testing.choices import pull_options, resolved_sides
from towline.testing.sides import KINDS, ThreeSides, can_coexist, local_tree, records_after
from towline.testing.strategies import (
    ALL_FEATURES,
    PLAIN,
    Feature,
    edited_trees,
    remote_asset,
    three_sides,
)

UNLAGGING = ALL_FEATURES - {Feature.LAGGING}
COMMITTED = frozenset({Feature.REMOTE_MOVES})


# --- merge(b, b, t) = t ------------------------------------------------------------------------


@law("ours alone is base")
@given(three_sides(UNLAGGING - {Feature.LOCAL_FILES}), pull_options())
def test_where_only_theirs_changed_the_outcome_is_theirs(drawn: ThreeSides, options: PullOptions):
    sides = unedited(drawn)
    theirs = assets_of(sides)
    options = replace(options, only=Selection())
    assume(can_coexist(sides.names, local_tree(sides.records)))
    # Rule 14: what became a link or a pointer stays in ours, and is no conflict.
    blocked = {
        path: state
        for path, state in local_tree(sides.records).items()
        if isinstance(sides.theirs.get(path), NonAsset)
    }
    assume(can_coexist(sides.names, theirs | blocked))
    plan = plan_of(sides, options=options)
    assert not plan.conflicts
    assert result_of(sides, plan) == theirs | blocked


def unedited(sides: ThreeSides) -> ThreeSides:
    """The same project as it was after the last pull."""
    records = []
    for path, entry in sides.base.items():
        if isinstance(entry, RemoteAsset):
            records.append(
                AssetRecord(
                    id=planned_id(sides.project, path, lambda _: False),
                    kind=_kind(path),
                    base=entry.state,
                    ours=entry.state,
                    recorded=entry.state,
                    size=entry.size,
                    embedded_id=entry.embedded_id,
                )
            )
    return replace(sides, records=tuple(records), files=())


def _kind(path: AssetPath) -> str:
    kind = KINDS.of(path)
    assert kind is not None
    return kind.name


# --- merge(b, o, b) = o ------------------------------------------------------------------------


@law("theirs alone is base")
@given(three_sides(UNLAGGING), pull_options(), st.booleans())
def test_where_only_ours_changed_the_outcome_is_ours(
    drawn: ThreeSides, options: PullOptions, look_at_all: bool
):
    sides = replace(drawn, theirs=drawn.base)
    plan = plan_of(sides, options=options, changes=sides.all_changes() if look_at_all else None)
    assert not plan.conflicts
    assert quiet(plan.items)
    assert plan.needed() == ()
    assert result_of(sides, plan) == local_tree(sides.records)


# --- merge(b, x, x) = x ------------------------------------------------------------------------


@law("both are the same")
@given(three_sides(), pull_options(), st.booleans())
def test_where_both_did_the_same_that_is_the_outcome(
    drawn: ThreeSides, options: PullOptions, look_at_all: bool
):
    same = local_tree(drawn.records)
    theirs = {path: remote_asset(state) for path, state in same.items()}
    # The same files as a tree: what is no asset on neither side stays out of it.
    sides = replace(drawn, theirs=theirs)
    options = replace(options, only=Selection())
    plan = plan_of(sides, options=options, changes=sides.all_changes() if look_at_all else None)
    assert result_of(sides, plan) == same
    assert not plan.conflicts
    assert quiet(plan.items)
    records = records_after(sides.records, plan)
    assert {r.base.path: r.base for r in records if r.base is not None} == same


# --- locality ----------------------------------------------------------------------------------


@st.composite
def two_projects(draw: st.DrawFn) -> tuple[ThreeSides, ThreeSides]:
    """Two projects of one store, in folders of their own and with contents of their own."""
    one = draw(three_sides(most=3))
    return one, elsewhere(draw(three_sides(most=3, names=one.names)))


def elsewhere(sides: ThreeSides) -> ThreeSides:
    """The same project under another folder, with other contents and ids."""

    def state(old: AssetState) -> AssetState:
        digest = Digest("e" * 8 + old.digest[8:])
        return replace(old, path=AssetPath(f"z/{old.path}"), digest=digest)

    def entry(old: RemoteAsset | NonAsset) -> RemoteAsset | NonAsset:
        if isinstance(old, NonAsset):
            return replace(old, path=AssetPath(f"z/{old.path}"))
        embedded = old.embedded_id and f"z-{old.embedded_id}"
        return replace(old, state=state(old.state), embedded_id=embedded)

    def seen(old: AssetState | NonAsset | None) -> AssetState | NonAsset | None:
        if isinstance(old, NonAsset):
            return replace(old, path=AssetPath(f"z/{old.path}"))
        return old and state(old)

    return replace(
        sides,
        records=tuple(
            replace(
                record,
                id=AssetId("e" * 8 + record.id[8:]),
                base=record.base and state(record.base),
                ours=record.ours and state(record.ours),
                recorded=seen(record.recorded),
                embedded_id=record.embedded_id and f"z-{record.embedded_id}",
            )
            for record in sides.records
        ),
        base={AssetPath(f"z/{path}"): entry(old) for path, old in sides.base.items()},
        theirs={AssetPath(f"z/{path}"): entry(old) for path, old in sides.theirs.items()},
        files=tuple(AssetPath(f"z/{path}") for path in sides.files),
        used={AssetId(f"z {each}"): AssetPath(f"z/{path}") for each, path in sides.used.items()},
    )


@law("locality")
@given(two_projects(), pull_options())
def test_the_answer_at_one_asset_depends_on_it_and_its_colliders_alone(
    projects: tuple[ThreeSides, ThreeSides], options: PullOptions
):
    one, other = projects
    both = replace(
        one,
        records=tuple(sorted(one.records + other.records, key=lambda record: record.id)),
        base={**one.base, **other.base},
        theirs={**one.theirs, **other.theirs},
        files=one.files + other.files,
        used={**one.used, **other.used},
    )
    together = plan_of(both, options=options)
    apart = [plan_of(one, options=options), plan_of(other, options=options)]
    assert together.items == tuple(
        sorted((i for plan in apart for i in plan.items), key=lambda i: (i.path, i.asset_id or ""))
    )
    assert set(together.conflicts) == {c for plan in apart for c in plan.conflicts}
    assert together.refused == any(plan.refused for plan in apart)
    if not together.refused:
        assert {e.asset_id: e for e in together.edits} == {
            e.asset_id: e for plan in apart for e in plan.edits
        }


# --- no invented bytes -------------------------------------------------------------------------


@law("no invented bytes")
@given(resolved_sides(three_sides()), pull_options())
def test_nothing_is_written_that_neither_side_has(
    project: tuple[ThreeSides, Resolutions], options: PullOptions
):
    sides, chosen = project
    plan = attempt(sides, chosen, options)
    if isinstance(plan, TowlineError):
        return
    ours, theirs = local_tree(sides.records), assets_of(sides)
    known = {*ours.values(), *theirs.values()}
    after = result_of(sides, plan)
    assert {state.digest for state in after.values()} <= {state.digest for state in known}
    assert after.keys() <= ours.keys() | theirs.keys()
    assert set(plan.needed()) <= {state.digest for state in theirs.values()}
    assert plan.merged == ()


# --- swap symmetry -----------------------------------------------------------------------------


@st.composite
def three_trees(draw: st.DrawFn) -> tuple[Tree, Tree, Tree]:
    """Base, and what two sides made of it with moves and all."""
    base = draw(three_sides(PLAIN)).base
    ones, others = draw(edited_trees(base, COMMITTED)), draw(edited_trees(base, COMMITTED))
    return _states(base), _states(ones), _states(others)


def _states(entries: Mapping[AssetPath, RemoteAsset | NonAsset]) -> Tree:
    return {p: entry.state for p, entry in entries.items() if isinstance(entry, RemoteAsset)}


def pulled_into(base: Tree, ours: Tree, theirs: Tree) -> ThreeSides:
    """A project whose ours knows its moves just where contents show them without doubt."""
    origin = {new: old for old, new in _moves(base, ours).items()}
    moved = set(origin.values())
    records = []
    for path in sorted({*base, *ours} - moved):
        based = base.get(origin.get(path, path))
        records.append(
            AssetRecord(
                id=planned_id("project", path, lambda _: False),
                kind=_kind(path),
                base=based,
                ours=ours.get(path),
                recorded=based,
            )
        )
    return ThreeSides(
        records=tuple(records),
        base={path: remote_asset(state) for path, state in base.items()},
        theirs={path: remote_asset(state) for path, state in theirs.items()},
    )


def _moves(base: Tree, side: Tree) -> dict[AssetPath, AssetPath]:
    gone = [(path, state.digest) for path, state in base.items() if path not in side]
    new = [(path, state.digest) for path, state in side.items() if path not in base]
    return {
        old: path
        for old, digest in gone
        for path, found in new
        if digest == found
        and [d for _, d in gone].count(digest) == 1
        and [d for _, d in new].count(digest) == 1
    }


SWAPPED = {
    ConflictKind.MODIFY_DELETE: ConflictKind.DELETE_MODIFY,
    ConflictKind.DELETE_MODIFY: ConflictKind.MODIFY_DELETE,
}


@law("swap symmetry")
@given(three_trees(), st.sampled_from(Renames))
def test_swapping_the_sides_swaps_the_answer(trees: tuple[Tree, Tree, Tree], renames: Renames):
    base, one, other = trees
    options = replace(REFUSE, renames=renames)
    here, there = pulled_into(base, one, other), pulled_into(base, other, one)
    plan, swapped = plan_of(here, options=options), plan_of(there, options=options)
    assert {(c.kind, party_paths(c)) for c in plan.conflicts} == {
        (SWAPPED.get(c.kind, c.kind), party_paths(c)) for c in swapped.conflicts
    }
    if not plan.refused:
        assert result_of(here, plan) == result_of(there, swapped)


# --- deterministic -----------------------------------------------------------------------------


@law("deterministic")
@given(three_sides(), pull_options(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_asked_does_not_matter(
    sides: ThreeSides, options: PullOptions, random: object
):
    shuffled = list(sides.records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert plan_of(replace(sides, records=tuple(shuffled)), options=options) == plan_of(
        sides, options=options
    )
