"""The case table of docs/semantics.md: the outcome of one aligned asset, and its rule.

b, o, t: the asset in base, ours, theirs; ``-`` is absent; ``=`` compares all three fields.

=====  ===================  ============  ==========================  =================
rule   case                 left alone    in use_theirs               in use_ours
=====  ===================  ============  ==========================  =================
1      o=b, t≠b             updated       updated                     ignored
2      o=b, t=-             deleted       deleted                     ignored
3      b=-, o=-, t          created       created                     ignored
4      o≠b, t=b             untouched     overwritten                 untouched
5      o=-, t=b             untouched     created, same id            untouched
6      b=-, o, t=-          untouched     NoRemoteVersion             untouched
7      o=t≠b                converged     converged                   converged
8      fields clash         conflict      overwritten                 ignored
9      no field clashes     updated       overwritten                 ignored
10     b=-, o≠t             conflict      overwritten                 ignored
11     o≠b, t=-             conflict      deleted, discarded          ignored
12     o=-, t≠b             conflict      created, same id            ignored
14     not an asset         ignored       NoRemoteVersion             ignored
=====  ===================  ============  ==========================  =================

Rule 13, collisions, is `towline.merge.collisions`. Rule 0 is an asset that is alike on all sides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from towline.conflicts import ConflictKind
from towline.content_rules import ContentMode, ContentRules, MergedBy
from towline.errors import NoRemoteVersion
from towline.frozen import frozen
from towline.kinds import Kinds
from towline.merge.align import AlignedAsset
from towline.model import AssetPath, AssetState, Digest, NonAssetReason, ThreeWay
from towline.options import ContentMerge, Side
from towline.plan import Disposition, IgnoredReason
from towline.records import ReadContent
from towline.resolutions import SavedResolution


@frozen
class MergedContent:
    """The bytes that a content merge made; ``by`` is None for a function of the caller's."""

    content: bytes
    by: MergedBy | None = None


Fields: TypeAlias = tuple[tuple[str, Side], ...]
"""The side of fields that clash, by their JSON pointer."""

DigestMerge: TypeAlias = Callable[
    [AssetPath, ThreeWay[Digest | None], Fields], MergedContent | None
]
"""Merges one asset's contents on rules 8 and 10; None: it cannot, and the conflict stays."""


@frozen(kw_only=True)
class Decision:
    """What becomes of one asset: the rule, the state after it, and what the report shows."""

    rule: int
    disposition: Disposition
    outcome: AssetState | None
    reason: IgnoredReason | None = None
    conflict: ConflictKind | None = None
    discarded: bool = False
    content: MergedContent | None = None

    @property
    def merged(self) -> bool:
        """Whether both sides' changes went into the outcome."""
        return self.disposition is Disposition.UPDATED and self.rule in (8, 9, 10)


@frozen
class _Rule:
    """A rule of the table: dispositions left alone, in use_theirs, in use_ours."""

    alone: Disposition
    theirs: Disposition
    ours: Disposition
    conflict: ConflictKind | None = None
    declined: IgnoredReason = IgnoredReason.DECLINED
    discards: bool = False
    """Whether use_theirs discards local edits."""


_D = Disposition
_RULES = {
    0: _Rule(_D.UNTOUCHED, _D.UNTOUCHED, _D.UNTOUCHED),
    1: _Rule(_D.UPDATED, _D.UPDATED, _D.IGNORED),
    2: _Rule(_D.DELETED, _D.DELETED, _D.IGNORED, declined=IgnoredReason.DELETION_DECLINED),
    3: _Rule(_D.CREATED, _D.CREATED, _D.IGNORED),
    4: _Rule(_D.UNTOUCHED, _D.OVERWRITTEN, _D.UNTOUCHED, discards=True),
    5: _Rule(_D.UNTOUCHED, _D.CREATED, _D.UNTOUCHED),
    6: _Rule(_D.UNTOUCHED, _D.UNTOUCHED, _D.UNTOUCHED),
    7: _Rule(_D.CONVERGED, _D.CONVERGED, _D.CONVERGED),
    8: _Rule(_D.CONFLICT, _D.OVERWRITTEN, _D.IGNORED, ConflictKind.CONTENT, discards=True),
    9: _Rule(_D.UPDATED, _D.OVERWRITTEN, _D.IGNORED, discards=True),
    10: _Rule(_D.CONFLICT, _D.OVERWRITTEN, _D.IGNORED, ConflictKind.ADD_ADD, discards=True),
    11: _Rule(
        _D.CONFLICT,
        _D.DELETED,
        _D.IGNORED,
        ConflictKind.MODIFY_DELETE,
        declined=IgnoredReason.DELETION_DECLINED,
        discards=True,
    ),
    12: _Rule(_D.CONFLICT, _D.CREATED, _D.IGNORED, ConflictKind.DELETE_MODIFY),
}
CONFLICT_RULES = frozenset(number for number, each in _RULES.items() if each.conflict is not None)
"""The rules that are conflicts where the asset is left alone."""


def decide(
    asset: AlignedAsset,
    side: Side | None,
    content_merge: DigestMerge | None = None,
    saved: SavedResolution | None = None,
) -> Decision:
    """Decide an asset that is resolved to a side, or left alone (None).

    ``saved`` is a saved resolution that holds for it; a side goes before it.

    Raises:
        NoRemoteVersion: side is theirs, and the repository has no version (rules 6 and 14).
    """
    if asset.non_asset is not None:
        return _decide_non_asset(asset, side)
    rule = rule_of(asset.states)
    if side is None and saved is not None:
        if saved.content is not None and rule in CONFLICT_RULES:
            return _take_content(asset, rule, saved.content)
        side = saved.side
    fields = () if saved is None else saved.fields
    if side is Side.THEIRS and rule == 6:
        raise NoRemoteVersion(asset_id=asset.id, path=asset.path)
    if side is None and rule in (8, 9):
        return _merge_fields(asset, rule, content_merge, fields)
    if side is None and rule == 10 and (merged := _merge_added(asset, content_merge, fields)):
        return merged
    case = _RULES[rule]
    disposition = {None: case.alone, Side.THEIRS: case.theirs, Side.OURS: case.ours}[side]
    return Decision(
        rule=rule,
        disposition=disposition,
        outcome=asset.ours if disposition in _LEAVES_OURS else asset.theirs,
        reason=case.declined if disposition is Disposition.IGNORED else None,
        conflict=case.conflict if side is None else None,
        discarded=side is Side.THEIRS and case.discards,
    )


_LEAVES_OURS = frozenset(
    [Disposition.UNTOUCHED, Disposition.CONVERGED, Disposition.IGNORED, Disposition.CONFLICT]
)


def rule_of(states: ThreeWay[AssetState | None]) -> int:
    """Return the rule of the table that three aligned states fall under."""
    base, ours, theirs = states
    if ours == theirs:
        return 0 if ours == base else 7
    if base is None:
        return 3 if ours is None else 6 if theirs is None else 10
    if ours == base:
        return 2 if theirs is None else 1
    if theirs == base:
        return 5 if ours is None else 4
    if ours is None:
        return 12
    if theirs is None:
        return 11
    return 8 if any(field.clashes for field in _fields(base, ours, theirs)) else 9


def _fields(
    base: AssetState, ours: AssetState, theirs: AssetState
) -> tuple[ThreeWay[AssetPath], ThreeWay[Digest], ThreeWay[bool]]:
    return (
        ThreeWay(base.path, ours.path, theirs.path),
        ThreeWay(base.digest, ours.digest, theirs.digest),
        ThreeWay(base.executable, ours.executable, theirs.executable),
    )


def _take_content(asset: AlignedAsset, rule: int, content: bytes) -> Decision:
    """A conflict rule with content that a person made; a rename on both sides stays a conflict."""
    base, ours, theirs = asset.base, asset.ours, asset.theirs
    state = ours or theirs
    assert state is not None, "a conflict has a side"
    path, executable = state.path, state.executable
    if base is not None and ours is not None and theirs is not None:
        paths, _, bits = _fields(base, ours, theirs)
        if paths.clashes:
            kind = ConflictKind.RENAME_RENAME
            return Decision(
                rule=rule, disposition=Disposition.CONFLICT, outcome=ours, conflict=kind
            )
        path, executable = paths.resolved(), bits.resolved()
    outcome = AssetState(path=path, digest=Digest.of(content), executable=executable)
    changed = Disposition.CREATED if ours is None else Disposition.UPDATED
    return Decision(
        rule=rule,
        disposition=Disposition.UNTOUCHED if outcome == ours else changed,
        outcome=outcome,
        content=MergedContent(content),
    )


def _merge_fields(
    asset: AlignedAsset, rule: int, content_merge: DigestMerge | None, fields: Fields
) -> Decision:
    """Rules 8 and 9: each field by itself; content by the function, where only content clashes."""
    base, ours, theirs = asset.base, asset.ours, asset.theirs
    assert base is not None, "rules 8 and 9 have a base"
    assert ours is not None, "rules 8 and 9 have ours"
    assert theirs is not None, "rules 8 and 9 have theirs"
    path, digest, executable = _fields(base, ours, theirs)
    content: MergedContent | None = None
    if digest.clashes and not path.clashes and content_merge is not None:
        # Of another asset's content it is asked only whether it equals ours.
        base_digest = None if _is_another_asset(asset) else digest.base
        digests = ThreeWay(base_digest, digest.ours, digest.theirs)
        content = content_merge(path.resolved(), digests, () if base_digest is None else fields)
    if path.clashes or (digest.clashes and content is None):
        kind = ConflictKind.RENAME_RENAME if path.clashes else ConflictKind.CONTENT
        return Decision(rule=8, disposition=Disposition.CONFLICT, outcome=asset.ours, conflict=kind)
    outcome = AssetState(
        path=path.resolved(),
        digest=digest.resolved() if content is None else Digest.of(content.content),
        executable=executable.resolved(),
    )
    disposition = Disposition.UNTOUCHED if outcome == ours else Disposition.UPDATED
    return Decision(rule=rule, disposition=disposition, outcome=outcome, content=content)


def _is_another_asset(asset: AlignedAsset) -> bool:
    """Whether the embedded ids say that theirs is another asset, which took this one's path."""
    was = asset.base_record.embedded_id if asset.base_record is not None else None
    now = asset.remote.embedded_id if asset.remote is not None else None
    return was is not None and now is not None and was != now


def _merge_added(
    asset: AlignedAsset, content_merge: DigestMerge | None, fields: Fields
) -> Decision | None:
    """Rule 10: contents that are equal, or a side for each field; None where it is a conflict."""
    ours, theirs = asset.ours, asset.theirs
    if content_merge is None or ours is None or theirs is None:
        return None
    if ours.path != theirs.path or (ours.executable != theirs.executable and not fields):
        return None
    content = content_merge(ours.path, ThreeWay(None, ours.digest, theirs.digest), fields)
    if content is None:
        return None
    outcome = replace(ours, digest=Digest.of(content.content))
    untouched = outcome == ours
    return Decision(
        rule=10,
        disposition=Disposition.UNTOUCHED if untouched else Disposition.UPDATED,
        outcome=outcome,
        content=None if untouched else content,
    )


def _decide_non_asset(asset: AlignedAsset, side: Side | None) -> Decision:
    """Rule 14: while its path exists in the repository an asset is never deleted, but lags.

    Reported only when it changed.
    """
    assert asset.non_asset is not None, "called only where the repository has a non-asset"
    if side is Side.THEIRS:
        raise NoRemoteVersion(asset_id=asset.id, path=asset.path)
    if not asset.changed:
        return Decision(rule=14, disposition=Disposition.UNTOUCHED, outcome=asset.ours)
    why = asset.non_asset.reason
    outside = why is NonAssetReason.OUTSIDE_KINDS
    return Decision(
        rule=14,
        disposition=Disposition.IGNORED,
        outcome=asset.ours,
        reason=IgnoredReason.NOT_AN_ASSET if outside else IgnoredReason(why.value),
    )


def digest_merge(
    option: ContentMode | ContentMerge, kinds: Kinds, read: ReadContent | None
) -> DigestMerge | None:
    """Return the content merge over digests that `decide` takes; None where there is none."""
    if read is None:
        return None

    def merged(
        path: AssetPath, digests: ThreeWay[Digest | None], fields: Fields
    ) -> MergedContent | None:
        base, ours, theirs = digests.map(lambda digest: None if digest is None else read(digest))
        if ours is None or theirs is None or (base is None and digests.base is not None):
            return None
        if not isinstance(option, ContentMode):
            content = None if base is None else option(path, ThreeWay(base, ours, theirs))
            return None if content is None else MergedContent(content)
        from towline.content import merge_added, merge_content
        from towline.content.pointers import parse_pointer

        rules = content_rules(kinds, path, option)
        choices = {parse_pointer(pointer): side for pointer, side in fields}
        if base is None:
            outcome = merge_added(path, ours, theirs, rules, choices)
        else:
            outcome = merge_content(path, ThreeWay(base, ours, theirs), rules, choices)
        return None if outcome.content is None else MergedContent(outcome.content, outcome.by)

    return merged


def content_rules(kinds: Kinds, path: AssetPath, mode: ContentMode) -> ContentRules:
    """Return the rules of an asset's kind; the option's mode holds where the kind has none."""
    kind = kinds.of(path)
    rules = ContentRules() if kind is None else kind.content
    return replace(rules, mode=mode) if rules.mode is None else rules
