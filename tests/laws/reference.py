"""The case table of docs/semantics.md over whole trees, path by path, in its plainest form.

It looks at every path of every side, knows no renames, and shares no code with the merge. What
it cannot tell apart from the table it leaves out: ids of moved assets, and selections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.laws.merging import alignments
from towline.changes import RemoteAsset
from towline.conflicts import ConflictKind
from towline.model import AssetId, AssetPath, AssetState, NonAsset, planned_id
from towline.options import OnConflict, Resolutions, Side
from towline.plan import Disposition
from towline.records import LocalFile
from towline.testing.sides import ThreeSides

D = Disposition
Claim: TypeAlias = AssetPath | LocalFile

# row: (left alone, in use_theirs, in use_ours); None: a conflict, or an error in use_theirs
TABLE: dict[int, tuple[Disposition | None, Disposition | None, Disposition]] = {
    0: (D.UNTOUCHED, D.UNTOUCHED, D.UNTOUCHED),
    1: (D.UPDATED, D.UPDATED, D.IGNORED),
    2: (D.DELETED, D.DELETED, D.IGNORED),
    3: (D.CREATED, D.CREATED, D.IGNORED),
    4: (D.UNTOUCHED, D.OVERWRITTEN, D.UNTOUCHED),
    5: (D.UNTOUCHED, D.CREATED, D.UNTOUCHED),
    6: (D.UNTOUCHED, None, D.UNTOUCHED),
    7: (D.CONVERGED, D.CONVERGED, D.CONVERGED),
    8: (None, D.OVERWRITTEN, D.IGNORED),
    9: (D.UPDATED, D.OVERWRITTEN, D.IGNORED),
    10: (None, D.OVERWRITTEN, D.IGNORED),
    11: (None, D.DELETED, D.IGNORED),
    12: (None, D.CREATED, D.IGNORED),
}
KINDS_OF_CONFLICT = {
    8: ConflictKind.CONTENT,
    10: ConflictKind.ADD_ADD,
    11: ConflictKind.MODIFY_DELETE,
    12: ConflictKind.DELETE_MODIFY,
}


def row(b: AssetState | None, o: AssetState | None, t: AssetState | None) -> int:
    """The row of the table."""
    if o == t:
        return 0 if o == b else 7
    if o == b:
        return 3 if b is None else 2 if t is None else 1
    if t == b:
        return 6 if b is None else 5 if o is None else 4
    if b is None:
        return 10
    if t is None:
        return 11
    if o is None:
        return 12
    return 8 if b.digest not in (o.digest, t.digest) and o.digest != t.digest else 9


def merged(b: AssetState, o: AssetState, t: AssetState) -> AssetState:
    """Rule 9: each field from the side that changed it."""
    return AssetState(
        path=o.path,
        digest=t.digest if o.digest == b.digest else o.digest,
        executable=t.executable if o.executable == b.executable else o.executable,
    )


@dataclass(kw_only=True)
class Cell:
    """One path on three sides."""

    path: AssetPath
    id: AssetId | None
    b: AssetState | None
    o: AssetState | None
    t: AssetState | None
    blocked: bool
    """Whether the repository has something there that is no asset."""
    changed: bool
    pin: Side | None = None
    chosen: Side | None = None
    """The side that the policy chose."""

    @property
    def row(self) -> int:
        return 14 if self.blocked else row(self.b, self.o, self.t)

    @property
    def side(self) -> Side | None:
        return self.pin or self.chosen

    @property
    def disposition(self) -> Disposition | None:
        if self.blocked:
            return D.IGNORED if self.changed else D.UNTOUCHED
        alone, theirs, ours = TABLE[self.row]
        found = {None: alone, Side.THEIRS: theirs, Side.OURS: ours}[self.side]
        if self.row == 9 and self.side is None and self.outcome == self.o:
            return D.UNTOUCHED
        return found

    @property
    def outcome(self) -> AssetState | None:
        """What stands there afterwards, if nothing else is in the way."""
        if self.blocked or self.side is Side.OURS:
            return self.o
        if self.side is Side.THEIRS:
            return self.t
        if self.row == 9:
            assert self.b is not None
            assert self.o is not None
            assert self.t is not None
            return merged(self.b, self.o, self.t)
        return self.t if self.row in (1, 2, 3, 7) else self.o

    @property
    def undecided(self) -> bool:
        return self.disposition is None

    @property
    def never_gives_way(self) -> bool:
        return self.b is None and self.t is None and self.o is not None

    @property
    def claims(self) -> bool:
        """Whether it wants to stand at its path; an undecided one does if a side has it."""
        return (self.o or self.t) is not None if self.undecided else self.outcome is not None


@dataclass(kw_only=True)
class Verdict:
    """What must come of a merge."""

    errors: set[str] = field(default_factory=set)
    """Codes, of which one must be raised; empty: none may be."""
    conflicts: set[tuple[ConflictKind, frozenset[AssetPath]]] = field(default_factory=set)
    refused: bool = False
    lists: dict[AssetPath, tuple[Disposition, int]] = field(default_factory=dict)
    """What stands in one of the five lists, with its row."""
    result: dict[AssetPath, AssetState] = field(default_factory=dict)
    bases: dict[AssetPath, AssetState | None] = field(default_factory=dict)
    """The base of each path afterwards."""


def reference(sides: ThreeSides, resolutions: Resolutions, on_conflict: OnConflict) -> Verdict:
    """The verdict on a whole project."""
    cells = cells_of(sides)
    pins = dict(resolutions.named())
    for cell in cells.values():
        cell.pin = pins.get(str(cell.id))
    errors = {
        "no_remote_version"
        for cell in cells.values()
        if cell.pin is Side.THEIRS and (cell.blocked or cell.row == 6)
    }
    if set(pins) - {str(cell.id) for cell in cells.values() if cell.b or cell.o or cell.t}:
        errors.add("unknown_assets")
    if errors:
        return Verdict(errors=errors)
    clashes = clashing(cells, sides)
    pinned = {path for path, cell in cells.items() if cell.pin}
    if any(pinned.issuperset(pair) for pair in clashes):
        return Verdict(errors={"colliding_resolutions"})
    if on_conflict in (OnConflict.THEIRS, OnConflict.OURS):
        _choose(cells, sides, Side(str(on_conflict)))
    conflicts = groups(cells, clashing(cells, sides))
    return _verdict(sides, cells, conflicts, on_conflict)


def _choose(cells: Mapping[AssetPath, Cell], sides: ThreeSides, side: Side) -> None:
    """The policy's side for what is in conflict by its own row, then for what still collides."""
    while True:
        # What is undecided by its own row comes first: settled, it may be in nobody's way.
        left = [cell for cell in cells.values() if cell.undecided]
        if not left:
            in_the_way = {claim for pair in clashing(cells, sides) for claim in pair}
            left = [cells[path] for path in cells.keys() & in_the_way]
        left = [
            cell
            for cell in left
            if not (cell.pin or cell.chosen or cell.blocked or cell.never_gives_way)
        ]
        if not left:
            return
        for cell in left:
            cell.chosen = side


def _verdict(
    sides: ThreeSides,
    cells: Mapping[AssetPath, Cell],
    conflicts: set[tuple[ConflictKind, frozenset[AssetPath]]],
    on_conflict: OnConflict,
) -> Verdict:
    verdict = Verdict(conflicts=conflicts)
    if conflicts and on_conflict is not OnConflict.SKIP:
        verdict.refused = True
        verdict.result = {path: cell.o for path, cell in cells.items() if cell.o is not None}
        return verdict
    open_paths = {path: kind for kind, group in conflicts for path in group}
    for path, cell in cells.items():
        kind = open_paths.get(path)
        after = cell.o if kind else cell.outcome
        if after is not None:
            verdict.result[path] = after
        verdict.bases[path] = cell.b if kind or cell.blocked else cell.t
        if kind is not None:
            number = 13 if kind is ConflictKind.PATH_COLLISION else cell.row
            verdict.lists[path] = (D.IGNORED, number)
        elif cell.disposition not in (D.UNTOUCHED, D.CONVERGED, None):
            verdict.lists[path] = (cell.disposition, cell.row)
    return verdict


def cells_of(sides: ThreeSides) -> dict[AssetPath, Cell]:
    """Every path that any side has."""
    based = alignments(sides.records)
    local_tree = {r.ours.path: r for r in sides.records if r.ours is not None}
    cells = {}
    for path in sorted({*based, *local_tree, *sides.base, *sides.theirs}):
        entry = sides.theirs.get(path)
        known = local_tree.get(path) or based.get(path)
        new = isinstance(entry, RemoteAsset)
        planned = planned_id(sides.project, path, sides.ours().is_used) if new else None
        cells[path] = Cell(
            path=path,
            id=known.id if known is not None else planned,
            b=based[path].base if path in based else None,
            o=local_tree[path].ours if path in local_tree else None,
            t=entry.state if isinstance(entry, RemoteAsset) else None,
            blocked=isinstance(entry, NonAsset),
            changed=entry != sides.base.get(path),
        )
    return cells


def clashing(cells: Mapping[AssetPath, Cell], sides: ThreeSides) -> list[tuple[Claim, Claim]]:
    """Every two claims that cannot stand together, local files included."""
    claims: list[Claim] = [path for path, cell in cells.items() if cell.claims]
    claims += [LocalFile(path=path) for path in sides.files]
    keys = [
        sides.names.key(claim.path if isinstance(claim, LocalFile) else claim) for claim in claims
    ]
    return [
        (claims[i], claims[j])
        for i in range(len(claims))
        for j in range(i + 1, len(claims))
        if keys[i] == keys[j]
        or keys[i].startswith(keys[j] + "/")
        or keys[j].startswith(keys[i] + "/")
    ]


def groups(
    cells: Mapping[AssetPath, Cell], clashes: list[tuple[Claim, Claim]]
) -> set[tuple[ConflictKind, frozenset[AssetPath]]]:
    """The conflicts: collisions with all that hangs together, and what else is undecided."""
    found: list[set[Claim]] = []
    for pair in clashes:
        joined = [group for group in found if group & set(pair)]
        found = [group for group in found if not group & set(pair)]
        found.append(set(pair).union(*joined))
    # A local file is no asset, and so no party.
    parties = [
        frozenset(claim for claim in group if not isinstance(claim, LocalFile)) for group in found
    ]
    collided = {path for group in parties for path in group}
    return {(ConflictKind.PATH_COLLISION, group) for group in parties} | {
        (KINDS_OF_CONFLICT[cell.row], frozenset([path]))
        for path, cell in cells.items()
        if cell.undecided and path not in collided
    }
