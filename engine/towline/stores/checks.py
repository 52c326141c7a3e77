"""The checks of every store before it applies a plan; they do not write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from typing import TYPE_CHECKING

from towline.errors import ContentMissing, StalePlan
from towline.model import AssetId, AssetPath, AssetState, Digest
from towline.plan import Edit, Plan
from towline.ports import LoggedPull, Phase, Watch
from towline.records import (
    AssetLookup,
    AssetRecord,
    Contents,
    PlanKind,
    StoreState,
    paths_in_the_way,
)

if TYPE_CHECKING:
    from towline.names import NamePolicy

Current = Callable[[AssetRecord], AssetRecord | None]
"""Returns the current record of an asset that a plan was made from."""


def check_state(plan: Plan, project: str, state: StoreState) -> None:
    """Refuse a plan that was made from another project or state.

    Raises:
        StalePlan: it was.
    """
    if plan.project != project:
        raise StalePlan(reason=f"the plan is for the project {plan.project!r}")
    if plan.before != state:
        raise StalePlan(reason="the project has been pulled since")


def check_undone(plan: Plan, logged: LoggedPull | None) -> None:
    """Refuse to take back a pull that is not in the log, or was taken back already.

    Raises:
        StalePlan: it is so.
    """
    if plan.undoes is None:
        return
    if logged is None:
        raise StalePlan(reason=f"pull {plan.undoes} is no longer in the log")
    if logged.undone:
        raise StalePlan(reason=f"pull {plan.undoes} has been undone since")


def undone_by(plan: Plan, undoes: Callable[[int], int | None]) -> dict[int, bool]:
    """What applying a plan changes of `LoggedPull.undone`, by number.

    Undoing an undo puts the pull into effect that the undo took back, and so on. ``undoes`` gives
    what the logged plan of a number undoes.
    """
    marks: dict[int, bool] = {}
    number, undone = plan.undoes, True
    while number is not None:
        marks[number] = undone
        number, undone = undoes(number), not undone
    return marks


def check_edits(plan: Plan, current: Current, ours: AssetLookup) -> None:
    """Refuse a plan some of whose assets changed, or whose ids were given away.

    Raises:
        StalePlan: naming each of them.
    """
    stale = [edit for edit in plan.edits if not _holds(plan, edit, current, ours)]
    twice = len({edit.asset_id for edit in plan.edits}) != len(plan.edits)
    if stale or twice:
        raise StalePlan(
            reason="assets changed since the plan was made",
            asset_ids=tuple(edit.asset_id for edit in stale),
            paths=tuple(path for edit in stale for path in _shown_path(edit)),
        )


def _holds(plan: Plan, edit: Edit, current: Current, ours: AssetLookup) -> bool:
    if edit.before is not None:
        return edit.before == current(edit.before)
    if not ours.is_used(edit.asset_id):
        return not _is_taken(edit, ours)
    if ours.with_id(edit.asset_id) is not None:
        return False
    # Taking back a deletion returns the asset under its old id.
    return plan.kind is PlanKind.UNDO or any(
        ours.former_id(path) == edit.asset_id for path in _new_paths(edit)
    )


def _is_taken(edit: Edit, ours: AssetLookup) -> bool:
    """Whether a local asset that was added there since has the planned id.

    Only where the new asset has a path can that be; to ask for the id would list a whole folder.
    """
    records = [ours.at(path) for path in _new_paths(edit)]
    return any(record is not None and record.id == edit.asset_id for record in records)


def _new_paths(edit: Edit) -> list[AssetPath]:
    """Return the paths that a new asset has on some side."""
    assert edit.after is not None, "an edit has a side"
    states = (edit.after.ours, edit.after.recorded, edit.after.base)
    return sorted({state.path for state in states if isinstance(state, AssetState)})


def _shown_path(edit: Edit) -> Iterator[AssetPath]:
    for record in (edit.before, edit.after):
        if record is not None:
            for state in (record.ours, record.base):
                if state is not None:
                    yield state.path
                    return


def check_destinations(plan: Plan, ours: AssetLookup, names: NamePolicy) -> None:
    """Refuse a plan that puts an asset at a path that is not free, and is not freed by it.

    Raises:
        StalePlan: naming the paths in the way.
    """
    from towline.merge.index import AssetIndex

    leaving = {edit.asset_id for edit in plan.edits if _leaves(edit)}
    outcomes = AssetIndex(
        (edit.after for edit in plan.edits if edit.after is not None), names=names
    )
    blocked: set[AssetPath] = set()
    for edit in plan.edits:
        if path := edit.arrival:
            # A new asset's id may be the one that is planned for a local asset in its place.
            known = {edit.asset_id} if edit.before is not None else set()
            blocked.update(paths_in_the_way(ours.occupants(path), leaving | known))
            blocked.update(paths_in_the_way(outcomes.occupants(path), {edit.asset_id}))
    if blocked:
        raise StalePlan(reason="a path that the plan needs is taken", paths=tuple(sorted(blocked)))


def released_ids(edits: Iterable[Edit]) -> dict[AssetPath, AssetId]:
    """Return the ids of the records that these edits drop, by the path at which each was last.

    Of two at one path the one that is here goes before one that was deleted here.
    """
    dropped = [edit.before for edit in edits if edit.before is not None and edit.after is None]
    dropped.sort(key=lambda record: record.ours is not None)
    return {path: record.id for record in dropped if (path := record.last_path) is not None}


def _leaves(edit: Edit) -> bool:
    before, after = edit.ours
    return before is not None and (after is None or before.path != after.path)


def needed_contents(
    plan: Plan, contents: Contents, *, had: Set[Digest] = frozenset()
) -> Iterator[tuple[Digest, bytes]]:
    """What the plan needs, each digest once: merged bytes from the plan, the rest from contents.

    What the store ``had`` already is left out.

    Raises:
        ContentMissing: bytes could not be had, or are not what their digest says.
    """
    merged = dict(plan.merged)
    waiting = set(plan.needed()) - had
    for digest in sorted(waiting & merged.keys()):
        yield digest, _proved(digest, merged[digest])
    waiting -= merged.keys()
    if waiting:
        for digest, content in contents.contents(sorted(waiting)):
            if digest in waiting:
                waiting.remove(digest)
                yield digest, _proved(digest, content)
    if waiting:
        raise ContentMissing(digests=tuple(sorted(waiting)))


def fetch_contents(plan: Plan, contents: Contents, watch: Watch) -> dict[Digest, bytes]:
    """Return what the plan needs, and report progress.

    Raises:
        ContentMissing: as `needed_contents`.
        Cancelled: the token is set.
    """
    total = len(plan.needed())
    watch.report(Phase.APPLYING, 0, total)
    fetched: dict[Digest, bytes] = {}
    for digest, content in needed_contents(plan, contents):
        fetched[digest] = content
        watch.report(Phase.APPLYING, len(fetched), total)
    return fetched


def _proved(digest: Digest, content: bytes) -> bytes:
    if Digest.of(content) != digest:
        raise ContentMissing(digests=(digest,))
    return content


def undo_needs(edits: Iterable[Edit]) -> set[Digest]:
    """The digests of what these edits take away: what taking them back will need."""
    needs: set[Digest] = set()
    for edit in edits:
        before, after = edit.ours
        if before is not None and (after is None or before.digest != after.digest):
            needs.add(before.digest)
    return needs
