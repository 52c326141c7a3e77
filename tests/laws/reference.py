"""The case table of docs/semantics.md over whole trees, path by path, in its plainest form.

It looks at every path of every side, knows no renames, and shares no code with the merge. What
the table alone cannot decide it leaves out: ids of moved assets, and selections.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.laws.merging import alignments
from towline.asset_ids import planned_id
from towline.changes import RemoteAsset
from towline.conflicts import ConflictKind
from towline.model import AssetId, AssetPath, AssetState, NonAsset
from towline.options import OnConflict, Resolutions, Side
from towline.plan import Disposition
from towline.records import LocalFile
from towline.testing.sides import ThreeSides

D = Disposition
Occupant: TypeAlias = AssetPath | LocalFile

# rule: (left alone, in use_theirs, in use_ours); None: a conflict, or an error in use_theirs
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


def rule_of(b: AssetState | None, o: AssetState | None, t: AssetState | None) -> int:
    """The number of the rule."""
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
class PathSides:
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
    def rule(self) -> int:
        return 14 if self.blocked else rule_of(self.b, self.o, self.t)

    @property
    def side(self) -> Side | None:
        return self.pin or self.chosen

    @property
    def disposition(self) -> Disposition | None:
        if self.blocked:
            return D.IGNORED if self.changed else D.UNTOUCHED
        alone, theirs, ours = TABLE[self.rule]
        found = {None: alone, Side.THEIRS: theirs, Side.OURS: ours}[self.side]
        if self.rule == 9 and self.side is None and self.outcome == self.o:
            return D.UNTOUCHED
        return found

    @property
    def outcome(self) -> AssetState | None:
        """What is there afterwards, if nothing else is in the way."""
        if self.blocked or self.side is Side.OURS:
            return self.o
        if self.side is Side.THEIRS:
            return self.t
        if self.rule == 9:
            assert self.b is not None
            assert self.o is not None
            assert self.t is not None
            return merged(self.b, self.o, self.t)
        return self.t if self.rule in (1, 2, 3, 7) else self.o

    @property
    def undecided(self) -> bool:
        return self.disposition is None

    @property
    def never_gives_way(self) -> bool:
        return self.b is None and self.t is None and self.o is not None

    @property
    def occupies(self) -> bool:
        """Whether it claims its path; an undecided one does if a side has it."""
        return (self.o or self.t) is not None if self.undecided else self.outcome is not None


@dataclass(kw_only=True)
class Expected:
    """What a merge must answer."""

    errors: set[str] = field(default_factory=set)
    """Codes, of which one must be raised; empty: none may be."""
    conflicts: set[tuple[ConflictKind, frozenset[AssetPath]]] = field(default_factory=set)
    refused: bool = False
    lists: dict[AssetPath, tuple[Disposition, int]] = field(default_factory=dict)
    """What is in one of the five lists, with its rule."""
    result: dict[AssetPath, AssetState] = field(default_factory=dict)
    bases: dict[AssetPath, AssetState | None] = field(default_factory=dict)
    """The base of each path afterwards."""


def reference(sides: ThreeSides, resolutions: Resolutions, on_conflict: OnConflict) -> Expected:
    """What the merge of a whole project must answer."""
    by_path = sides_by_path(sides)
    pins = dict(resolutions.named())
    for each in by_path.values():
        each.pin = pins.get(str(each.id))
    errors = {
        "no_remote_version"
        for each in by_path.values()
        if each.pin is Side.THEIRS and (each.blocked or each.rule == 6)
    }
    if set(pins) - {str(each.id) for each in by_path.values() if each.b or each.o or each.t}:
        errors.add("unknown_assets")
    if errors:
        return Expected(errors=errors)
    clashes = clashing(by_path, sides)
    pinned = {path for path, each in by_path.items() if each.pin}
    if any(pinned.issuperset(pair) for pair in clashes):
        return Expected(errors={"colliding_resolutions"})
    if on_conflict in (OnConflict.THEIRS, OnConflict.OURS):
        _choose(by_path, sides, Side(str(on_conflict)))
    conflicts = groups(by_path, clashing(by_path, sides))
    return _expected(sides, by_path, conflicts, on_conflict)


def _choose(by_path: Mapping[AssetPath, PathSides], sides: ThreeSides, side: Side) -> None:
    """The policy's side for what is in conflict by its own rule, then for what still collides."""
    while True:
        # What is undecided by its own rule comes first: settled, it may be in no one's way.
        left = [each for each in by_path.values() if each.undecided]
        if not left:
            in_the_way = {occupant for pair in clashing(by_path, sides) for occupant in pair}
            left = [by_path[path] for path in by_path.keys() & in_the_way]
        left = [
            each
            for each in left
            if not (each.pin or each.chosen or each.blocked or each.never_gives_way)
        ]
        if not left:
            return
        for each in left:
            each.chosen = side


def _expected(
    sides: ThreeSides,
    by_path: Mapping[AssetPath, PathSides],
    conflicts: set[tuple[ConflictKind, frozenset[AssetPath]]],
    on_conflict: OnConflict,
) -> Expected:
    expected = Expected(conflicts=conflicts)
    if conflicts and on_conflict is not OnConflict.SKIP:
        expected.refused = True
        expected.result = {path: each.o for path, each in by_path.items() if each.o is not None}
        return expected
    open_paths = {path: kind for kind, group in conflicts for path in group}
    for path, each in by_path.items():
        kind = open_paths.get(path)
        after = each.o if kind else each.outcome
        if after is not None:
            expected.result[path] = after
        expected.bases[path] = each.b if kind or each.blocked else each.t
        if kind is not None:
            number = 13 if kind is ConflictKind.PATH_COLLISION else each.rule
            expected.lists[path] = (D.IGNORED, number)
        elif each.disposition not in (D.UNTOUCHED, D.CONVERGED, None):
            expected.lists[path] = (each.disposition, each.rule)
    return expected


def sides_by_path(sides: ThreeSides) -> dict[AssetPath, PathSides]:
    """Every path that any side has."""
    based = alignments(sides.records)
    local_tree = {r.ours.path: r for r in sides.records if r.ours is not None}
    by_path = {}
    for path in sorted({*based, *local_tree, *sides.base, *sides.theirs}):
        entry = sides.theirs.get(path)
        known = local_tree.get(path) or based.get(path)
        new = isinstance(entry, RemoteAsset)
        ours = sides.ours()
        planned = ours.former_id(path) or planned_id(sides.project, path, ours.is_used)
        by_path[path] = PathSides(
            path=path,
            id=known.id if known is not None else planned if new else None,
            b=based[path].base if path in based else None,
            o=local_tree[path].ours if path in local_tree else None,
            t=entry.state if isinstance(entry, RemoteAsset) else None,
            blocked=isinstance(entry, NonAsset),
            changed=entry != sides.base.get(path),
        )
    return by_path


def clashing(
    by_path: Mapping[AssetPath, PathSides], sides: ThreeSides
) -> list[tuple[Occupant, Occupant]]:
    """Every two claims that cannot coexist, local files included."""
    occupants: list[Occupant] = [path for path, each in by_path.items() if each.occupies]
    occupants += [LocalFile(path=path) for path in sides.files]
    keys = [
        sides.names.key(each.path if isinstance(each, LocalFile) else each) for each in occupants
    ]
    return [
        (occupants[i], occupants[j])
        for i in range(len(occupants))
        for j in range(i + 1, len(occupants))
        if keys[i] == keys[j]
        or keys[i].startswith(keys[j] + "/")
        or keys[j].startswith(keys[i] + "/")
    ]


def groups(
    by_path: Mapping[AssetPath, PathSides], clashes: list[tuple[Occupant, Occupant]]
) -> set[tuple[ConflictKind, frozenset[AssetPath]]]:
    """The conflicts: collisions with all that hangs together, and what else is undecided."""
    found: list[set[Occupant]] = []
    for pair in clashes:
        joined = [group for group in found if group & set(pair)]
        found = [group for group in found if not group & set(pair)]
        found.append(set(pair).union(*joined))
    # A local file is no asset, and so no party.
    parties = [
        frozenset(each for each in group if not isinstance(each, LocalFile)) for group in found
    ]
    collided = {path for group in parties for path in group}
    return {(ConflictKind.PATH_COLLISION, group) for group in parties} | {
        (KINDS_OF_CONFLICT[each.rule], frozenset([path]))
        for path, each in by_path.items()
        if each.undecided and path not in collided
    }
