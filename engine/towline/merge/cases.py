"""Decides every asset of a merge, then checks outcomes for collisions until nothing changes.

Each asset goes through at most four stages: as the table says; as a saved resolution says, where
one holds; as the policy says, where that names a side; undecided. It advances only while its
outcome clashes with another's, those with a saved resolution first, and an asset that is undecided
claims both the path it has here and the one it has there. So every party to a collision is named,
transitively, and choosing one side for all of them cannot uncover a new one.
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
from towline.resolutions import SavedResolution


class Stage(IntEnum):
    """How far a case is on its way to a decision."""

    BY_TABLE = 0
    BY_SAVED = 1
    BY_POLICY = 2
    UNDECIDED = 3


_POLICY_SIDES = {OnConflict.THEIRS: Side.THEIRS, OnConflict.OURS: Side.OURS}


@dataclass(slots=True, kw_only=True)
class Case:
    """One asset on its way to a decision."""

    asset: AlignedAsset
    kind: str
    chosen: Side | None
    selected: bool
    decision: Decision
    saved: SavedResolution | None = None
    """The saved resolution that holds for it."""
    stage: Stage = Stage.BY_TABLE

    @property
    def undecided(self) -> bool:
        """Whether it stays in conflict."""
        return self.stage is Stage.UNDECIDED

    @property
    def gives_way(self) -> bool:
        """Whether its outcome can be another than its own state.

        A local-only asset never moves, and neither does one whose path holds no asset there.
        """
        known_there = self.asset.base is not None or self.asset.theirs is not None
        return known_there and self.asset.non_asset is None

    def claims(self) -> Iterable[PathClaim]:
        """Return the paths that it would have."""
        states = (
            (self.asset.ours, self.asset.theirs) if self.undecided else (self.decision.outcome,)
        )
        ours = self.asset.ours
        for path in {state.path: None for state in states if state is not None}:
            fresh = ours is None or path != ours.path
            yield PathClaim(owner=self.asset.anchor, path=path, fresh=fresh)


@dataclass(slots=True, kw_only=True)
class Resolver:
    """All cases of a merge by anchor, and the conflicts that stay open."""

    alignment: Alignment
    ours: AssetLookup
    kinds: Kinds
    names: NamePolicy
    options: PullOptions
    content_merge: DigestMerge | None
    saved: Mapping[AssetId, SavedResolution] = field(default_factory=dict)
    cases: dict[AssetPath, Case] = field(default_factory=dict)
    blockers: dict[AssetPath, LocalFile] = field(default_factory=dict)
    """Local files that are no asset, by the owner of their claims."""

    def add(self, assets: Iterable[AlignedAsset], chosen: Mapping[AssetId, Side]) -> None:
        """Decide these assets as the table says, some by the side that is chosen for them."""
        for asset in assets:
            if asset.anchor not in self.cases:
                self.cases[asset.anchor] = self._case(asset, chosen.get(asset.id))

    def resolve(self) -> list[Conflict]:
        """Resolve collisions until nothing changes; the open conflicts, sorted by path.

        Raises:
            CollidingResolutions: two resolutions leave two assets that cannot exist together.
        """
        pairs = self._clashes()
        while self._advance(pairs):
            pairs = self._clashes()
        return self._conflicts(pairs)

    # --- single assets -----------------------------------------------------------------------

    def _case(self, asset: AlignedAsset, chosen: Side | None) -> Case:
        kinds = frozenset(kind.name for path in asset.paths if (kind := self.kinds.of(path)))
        selected = self.options.only.takes(asset.id, kinds, frozenset(asset.paths))
        saved = self.saved.get(asset.id) if selected and chosen is None else None
        # What is left out is only looked into where an earlier pull may have skipped it.
        lags = asset.base_record is not None and asset.base_record.lagging
        decision = decide(asset, chosen, self.content_merge if selected or lags else None)
        case = Case(
            asset=asset,
            kind=self._kind(asset),
            chosen=chosen,
            selected=selected,
            decision=decision,
            saved=saved if saved is not None and _holds(saved, asset) else None,
        )
        if not selected and asset.non_asset is None:
            # Rule 14 applies whatever is selected: no later pull would report it.
            case.decision = Decision(
                rule=decision.rule,
                disposition=Disposition.UNTOUCHED,
                outcome=asset.ours,
                conflict=decision.conflict if lags and not self._is_settled(asset) else None,
            )
        elif decision.conflict is not None and not self._take_saved(case):
            self._take_policy(case)
        return case

    def _is_settled(self, asset: AlignedAsset) -> bool:
        """Whether the policy or a saved resolution settles a conflict of an asset."""
        saved = self.saved.get(asset.id)
        return self.options.on_conflict in _POLICY_SIDES or (
            saved is not None and _holds(saved, asset)
        )

    def _take_saved(self, case: Case) -> bool:
        """Decide a case by its saved resolution; False where it has none that settles it."""
        if case.saved is None or case.stage is not Stage.BY_TABLE:
            return False
        decision = decide(case.asset, None, self.content_merge, case.saved)
        if decision.conflict is not None:
            case.saved = None
            return False
        case.decision, case.stage = decision, Stage.BY_SAVED
        return True

    def _take_policy(self, case: Case) -> None:
        side = _POLICY_SIDES.get(self.options.on_conflict)
        if side is None:
            case.stage = Stage.UNDECIDED
            return
        case.stage = Stage.BY_POLICY
        if case.chosen is None and case.selected and case.gives_way:
            case.decision = decide(case.asset, side)

    def _kind(self, asset: AlignedAsset) -> str:
        for state in (asset.ours, asset.theirs, asset.base):
            if state is not None and (kind := self.kinds.of(state.path)):
                return kind.name
        record = asset.ours_record or asset.base_record
        return record.kind if record is not None else ""

    # --- collisions --------------------------------------------------------------------------

    def _clashes(self) -> list[tuple[PathClaim, PathClaim]]:
        """Every clash of the outcomes as they are now, assets that are in the way included."""
        self._add_occupants()
        claims = [claim for case in self.cases.values() for claim in case.claims()]
        claims += [
            PathClaim(owner=owner, path=file.path, fresh=False)
            for owner, file in self.blockers.items()
        ]
        return list(clashing(claims, self.names))

    def _add_occupants(self) -> None:
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
                    self._add_occupant(occupant)

    def _add_occupant(self, occupant: AssetRecord | LocalFile) -> None:
        if isinstance(occupant, LocalFile):
            # No asset's path is absolute, so this owner is no other anchor.
            self.blockers[AssetPath(f"/{occupant.path}")] = occupant
        elif occupant.ours is not None:
            asset = self.alignment.asset_at(occupant.ours.path)
            if asset is not None and asset.anchor not in self.cases:
                self.add(self.alignment.assets([occupant.ours.path]), {})

    def _advance(self, pairs: list[tuple[PathClaim, PathClaim]]) -> bool:
        """Move the least advanced party of every clash one stage on; whether any moved."""
        self._check_chosen(pairs)
        owners = sorted({claim.owner for pair in pairs for claim in pair} & self.cases.keys())
        took = [self._take_saved(self.cases[owner]) for owner in owners]
        if any(took):
            return True
        moving: set[AssetPath] = set()
        for pair in pairs:
            stages = {claim.owner: self._stage(claim.owner) for claim in pair}
            lowest = min(stages.values())
            if lowest is not Stage.UNDECIDED:
                moving |= {owner for owner, stage in stages.items() if stage is lowest}
        for owner in sorted(moving):
            case = self.cases[owner]
            if case.stage < Stage.BY_POLICY:
                self._take_policy(case)
            else:
                case.stage = Stage.UNDECIDED
        return bool(moving)

    def _stage(self, owner: AssetPath) -> Stage:
        return self.cases[owner].stage if owner in self.cases else Stage.UNDECIDED

    def _check_chosen(self, pairs: list[tuple[PathClaim, PathClaim]]) -> None:
        """Refuse two resolutions that leave two claimants."""
        for pair in pairs:
            one, other = (self.cases.get(claim.owner) for claim in pair)
            if one is None or other is None or one.chosen is None or other.chosen is None:
                continue
            first, second = one.decision.outcome, other.decision.outcome
            if first is None or second is None:
                continue
            if exclude_each_other(first.path, second.path, self.names):
                raise CollidingResolutions(
                    asset_ids=(one.asset.id, other.asset.id), paths=(first.path, second.path)
                )

    # --- open conflicts ----------------------------------------------------------------------

    def _conflicts(self, pairs: list[tuple[PathClaim, PathClaim]]) -> list[Conflict]:
        owners = [(one.owner, other.owner) for one, other in pairs]
        found = [self._collision(group) for group in groups(owners)]
        colliding = {claim.owner for pair in pairs for claim in pair}
        for anchor, case in self.cases.items():
            if anchor not in colliding and case.undecided:
                assert case.decision.conflict is not None, "undecided alone only by its own rule"
                found.append(Conflict(kind=case.decision.conflict, parties=(_party(case),)))
        return sorted(found, key=lambda conflict: (conflict.path, conflict.parties[0].asset_id))

    def _collision(self, owners: tuple[AssetPath, ...]) -> Conflict:
        cases = [self.cases[owner] for owner in owners if owner in self.cases]
        blockers = [self.blockers[owner].path for owner in owners if owner in self.blockers]
        blockers += [case.asset.path for case in cases if not case.gives_way]
        parties = sorted(map(_party, cases), key=lambda party: (party.path, party.asset_id))
        for case in cases:
            case.decision = Decision(
                rule=13,
                disposition=Disposition.CONFLICT,
                outcome=case.asset.ours,
                conflict=ConflictKind.PATH_COLLISION,
            )
        return Conflict(
            kind=ConflictKind.PATH_COLLISION,
            parties=tuple(parties),
            blockers=tuple(sorted(blockers)),
        )


def _holds(saved: SavedResolution, asset: AlignedAsset) -> bool:
    """Whether a saved resolution is of these states, and the repository has what it takes."""
    if saved.moved(asset.states) or asset.non_asset is not None:
        return False
    return saved.side is not Side.THEIRS or not (asset.base is None and asset.theirs is None)


def _party(case: Case) -> Party:
    return Party(asset_id=case.asset.id, kind=case.kind, states=case.asset.states)
