"""Decides every asset of a merge, then judges collisions on the outcomes until nothing moves.

Each asset goes through at most three stages: as the table says; as the policy says, where that
names a side; undecided. It advances only while its outcome clashes with another's, and an asset
that is undecided claims both the path it has here and the one it has there. So every party to a
collision is named, transitively, and choosing one side for all of them cannot uncover a new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from towline.conflicts import Conflict, ConflictKind, Party
from towline.errors import CollidingResolutions
from towline.kinds import Kinds
from towline.merge.align import AlignedAsset, Alignment
from towline.merge.collisions import PathClaim, clashing, exclude_each_other, groups
from towline.merge.decide import Decision, DigestMerge, decide
from towline.model import AssetId, AssetPath
from towline.names import NamePolicy
from towline.options import OnConflict, PullOptions, Side
from towline.plan import Disposition
from towline.records import AssetLookup, AssetRecord, LocalFile


class _Stage(IntEnum):
    BY_TABLE = 0
    BY_POLICY = 1
    UNDECIDED = 2


@dataclass(slots=True, kw_only=True)
class Case:
    """One asset on its way to a decision."""

    unit: AlignedAsset
    kind: str
    pin: Side | None
    selected: bool
    decision: Decision
    stage: _Stage = _Stage.BY_TABLE

    @property
    def undecided(self) -> bool:
        """Whether it stays in conflict."""
        return self.stage is _Stage.UNDECIDED

    @property
    def gives_way(self) -> bool:
        """Whether anything but its own state can come of it.

        A local-only asset never moves, and neither does one whose path holds no asset there.
        """
        known_there = self.unit.base is not None or self.unit.theirs is not None
        return known_there and self.unit.blocked is None

    def claims(self) -> Iterable[PathClaim]:
        """The paths that it would stand at."""
        states = (self.unit.ours, self.unit.theirs) if self.undecided else (self.decision.outcome,)
        ours = self.unit.ours
        for path in {state.path: None for state in states if state is not None}:
            fresh = ours is None or path != ours.path
            yield PathClaim(owner=self.unit.anchor, path=path, fresh=fresh)


@dataclass(slots=True, kw_only=True)
class Settlement:
    """All cases of a merge by anchor, and the conflicts that are left over."""

    alignment: Alignment
    ours: AssetLookup
    kinds: Kinds
    names: NamePolicy
    options: PullOptions
    content_merge: DigestMerge | None
    cases: dict[AssetPath, Case] = field(default_factory=dict)
    blockers: dict[AssetPath, LocalFile] = field(default_factory=dict)
    """Local files that are no asset, by the owner that stands for them in claims."""

    def add(self, units: Iterable[AlignedAsset], pins: Mapping[AssetId, Side]) -> None:
        """Decide these assets as the table says, with the pins of some."""
        for unit in units:
            if unit.anchor not in self.cases:
                self.cases[unit.anchor] = self._case(unit, pins.get(unit.id))

    def settle(self) -> list[Conflict]:
        """Judge collisions until nothing moves; the conflicts left over, sorted by path.

        Raises:
            CollidingResolutions: two resolutions leave two assets that cannot stand together.
        """
        pairs = self._clashes()
        while self._advance(pairs):
            pairs = self._clashes()
        return self._conflicts(pairs)

    # --- single assets -----------------------------------------------------------------------

    def _case(self, unit: AlignedAsset, pin: Side | None) -> Case:
        kinds = frozenset(kind.name for path in unit.paths if (kind := self.kinds.of(path)))
        selected = self.options.only.takes(unit.id, kinds, frozenset(unit.paths))
        decision = decide(unit, pin, self.content_merge if selected else None)
        case = Case(unit=unit, kind=self._kind(unit), pin=pin, selected=selected, decision=decision)
        if not selected and unit.blocked is None:
            # Row 14 is told whatever is selected: it touches nothing, and no later pull would tell.
            case.decision = _unselected(unit, decision)
        elif decision.conflict is not None:
            self._take_policy(case)
        return case

    def _take_policy(self, case: Case) -> None:
        side = self._policy_side()
        if side is None:
            case.stage = _Stage.UNDECIDED
            return
        case.stage = _Stage.BY_POLICY
        if case.pin is None and case.selected and case.gives_way:
            case.decision = decide(case.unit, side)

    def _policy_side(self) -> Side | None:
        match self.options.on_conflict:
            case OnConflict.THEIRS:
                return Side.THEIRS
            case OnConflict.OURS:
                return Side.OURS
            case OnConflict.REFUSE | OnConflict.SKIP:
                return None

    def _kind(self, unit: AlignedAsset) -> str:
        for state in (unit.ours, unit.theirs, unit.base):
            if state is not None and (kind := self.kinds.of(state.path)):
                return kind.name
        record = unit.standing or unit.based
        return record.kind if record is not None else ""

    # --- collisions --------------------------------------------------------------------------

    def _clashes(self) -> list[tuple[PathClaim, PathClaim]]:
        """Every clash of the outcomes as they are now, standing assets in the way included."""
        self._bring_in_occupants()
        claims = [claim for case in self.cases.values() for claim in case.claims()]
        claims += [
            PathClaim(owner=owner, path=file.path, fresh=False)
            for owner, file in self.blockers.items()
        ]
        return list(clashing(claims, self.names))

    def _bring_in_occupants(self) -> None:
        asked: set[AssetPath] = set()
        while fresh := [
            claim.path
            for case in self.cases.values()
            for claim in case.claims()
            if claim.fresh and claim.path not in asked
        ]:
            for path in fresh:
                asked.add(path)
                for occupant in self.ours.occupants(path):
                    self._bring_in(occupant)

    def _bring_in(self, occupant: AssetRecord | LocalFile) -> None:
        if isinstance(occupant, LocalFile):
            # No asset's path is absolute, so this owner is nobody else's anchor.
            self.blockers[AssetPath(f"/{occupant.path}")] = occupant
        elif occupant.ours is not None:
            unit = self.alignment.standing_unit(occupant.ours.path)
            if unit is not None and unit.anchor not in self.cases:
                self.add(self.alignment.units([occupant.ours.path]), {})

    def _advance(self, pairs: list[tuple[PathClaim, PathClaim]]) -> bool:
        """Move the least advanced party of every clash one stage on; whether any moved."""
        self._check_pins(pairs)
        moving: set[AssetPath] = set()
        for pair in pairs:
            stages = {claim.owner: self._stage(claim.owner) for claim in pair}
            lowest = min(stages.values())
            if lowest is not _Stage.UNDECIDED:
                moving |= {owner for owner, stage in stages.items() if stage is lowest}
        for owner in sorted(moving):
            case = self.cases[owner]
            if case.stage is _Stage.BY_TABLE:
                self._take_policy(case)
            else:
                case.stage = _Stage.UNDECIDED
        return bool(moving)

    def _stage(self, owner: AssetPath) -> _Stage:
        return self.cases[owner].stage if owner in self.cases else _Stage.UNDECIDED

    def _check_pins(self, pairs: list[tuple[PathClaim, PathClaim]]) -> None:
        """Two resolutions that leave two claimants are the caller's error."""
        for pair in pairs:
            cases = [self.cases.get(claim.owner) for claim in pair]
            one, other = cases
            if one is None or other is None or one.pin is None or other.pin is None:
                continue
            first, second = one.decision.outcome, other.decision.outcome
            if first is None or second is None:
                continue
            if exclude_each_other(first.path, second.path, self.names):
                raise CollidingResolutions(
                    asset_ids=(one.unit.id, other.unit.id), paths=(first.path, second.path)
                )

    # --- what is left over -------------------------------------------------------------------

    def _conflicts(self, pairs: list[tuple[PathClaim, PathClaim]]) -> list[Conflict]:
        found = [self._collision(group) for group in groups(_owners(pairs))]
        colliding = {claim.owner for pair in pairs for claim in pair}
        for anchor, case in self.cases.items():
            if anchor not in colliding and case.undecided:
                assert case.decision.conflict is not None, "undecided alone only by its own row"
                found.append(Conflict(kind=case.decision.conflict, parties=(_party(case),)))
        return sorted(found, key=lambda conflict: (conflict.path, conflict.parties[0].asset_id))

    def _collision(self, owners: tuple[AssetPath, ...]) -> Conflict:
        cases = [self.cases[owner] for owner in owners if owner in self.cases]
        blockers = [self.blockers[owner].path for owner in owners if owner in self.blockers]
        blockers += [case.unit.path for case in cases if not case.gives_way]
        parties = sorted(map(_party, cases), key=lambda party: (party.path, party.asset_id))
        for case in cases:
            case.decision = _colliding(case)
        return Conflict(
            kind=ConflictKind.PATH_COLLISION,
            parties=tuple(parties),
            blockers=tuple(sorted(blockers)),
        )


def _owners(pairs: list[tuple[PathClaim, PathClaim]]) -> list[tuple[AssetPath, AssetPath]]:
    return [(one.owner, other.owner) for one, other in pairs]


def _party(case: Case) -> Party:
    return Party(asset_id=case.unit.id, kind=case.kind, states=case.unit.states)


def _unselected(unit: AlignedAsset, decision: Decision) -> Decision:
    """It stands at ours, lagging, whatever its row."""
    return Decision(rule=decision.rule, disposition=Disposition.UNTOUCHED, outcome=unit.ours)


def _colliding(case: Case) -> Decision:
    return Decision(
        rule=13,
        disposition=Disposition.CONFLICT,
        outcome=case.unit.ours,
        conflict=ConflictKind.PATH_COLLISION,
    )
