"""One merge of a small whole project, and how its outcomes are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from towline.changes import Changes, RemoteAsset
from towline.conflicts import Conflict
from towline.errors import TowlineError
from towline.merge.merge import merge
from towline.model import AssetId, AssetPath, AssetState
from towline.options import OnConflict, PullOptions, Renames, Resolutions
from towline.plan import LISTED, Disposition, Item, Plan
from towline.records import AssetRecord
from towline.testing.sides import ThreeSides, local_tree, records_after

Tree = dict[AssetPath, AssetState]

SKIP = PullOptions(on_conflict=OnConflict.SKIP, allow_empty=True)
REFUSE = PullOptions(on_conflict=OnConflict.REFUSE, allow_empty=True)


def plan_of(
    sides: ThreeSides,
    resolutions: Resolutions = Resolutions(),
    options: PullOptions = SKIP,
    changes: Changes | None = None,
) -> Plan:
    """What a pull of theirs would do."""
    return merge(
        changes if changes is not None else sides.changes(),
        sides.ours(),
        context=sides.context(),
        options=replace(options, resolutions=resolutions),
    )


def attempt(
    sides: ThreeSides,
    resolutions: Resolutions = Resolutions(),
    options: PullOptions = SKIP,
    changes: Changes | None = None,
) -> Plan | TowlineError:
    """The plan, or the error that refuses it."""
    try:
        return plan_of(sides, resolutions, options, changes)
    except TowlineError as error:
        return error


def alignments(records: Iterable[AssetRecord]) -> dict[AssetPath, AssetRecord]:
    """Which asset has each path: in the recorded tree, else in ours for one left behind it."""
    records = list(records)
    found = {r.aligned_path: r for r in records if r.aligned_path is not None}
    for record in records:
        if record.recorded is None and record.base is not None and record.ours is not None:
            found.setdefault(record.ours.path, record)
    return found


def result_of(sides: ThreeSides, plan: Plan) -> Tree:
    """Ours once the plan is applied; a refused one changes nothing."""
    return local_tree(sides.records if plan.refused else records_after(sides.records, plan))


def assets_of(sides: ThreeSides) -> Tree:
    """Theirs as a tree of assets."""
    return {
        path: entry.state for path, entry in sides.theirs.items() if isinstance(entry, RemoteAsset)
    }


def listed(plan: Plan) -> list[Item]:
    """What is in one of the five lists."""
    return [item for item in plan.items if item.disposition in LISTED]


def party_ids(conflicts: Iterable[Conflict]) -> set[AssetId]:
    """Every party of these conflicts."""
    return {party.asset_id for conflict in conflicts for party in conflict.parties}


def party_paths(conflict: Conflict) -> frozenset[AssetPath]:
    """Every path that a party has on some side."""
    return frozenset(path for party in conflict.parties for path in party.paths)


def looked_at(sides: ThreeSides, renames: Renames = Renames.EXACT) -> list[Item]:
    """Every asset that base, theirs or a lag gives reason to look at, with its planned id."""
    options = PullOptions(on_conflict=OnConflict.SKIP, allow_empty=True, renames=renames)
    return list(plan_of(sides, options=options, changes=sides.all_changes()).items)


def quiet(items: Iterable[Item]) -> bool:
    """Whether a report lists none of these."""
    return all(item.disposition in (Disposition.UNTOUCHED, Disposition.CONVERGED) for item in items)
