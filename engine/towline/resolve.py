"""Open conflicts, one asset at a time: what clashes, and the resolution that settles it.

For a person or a program that chooses: nothing here is stored. Save what `OpenConflict.resolution`
returns with `AssetStore.save_resolutions`, and the next plan uses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO

from towline.changes import RemoteAsset
from towline.conflicts import Conflict, ConflictKind, Party
from towline.content import ContentOutcome, merge_added, merge_content
from towline.content.differences import FieldDifference, clash_of
from towline.content.lines import merge_line_regions
from towline.content.merge import Choices
from towline.content.pointers import parse_pointer
from towline.content_rules import ContentMode, ContentRules
from towline.errors import InvalidResolution
from towline.frozen import frozen
from towline.kinds import Kinds
from towline.merge.decide import content_rules
from towline.merge.embedded import with_embedded_id
from towline.model import AssetId, AssetPath, AssetState, Revision, ThreeWay, first_path
from towline.options import OnConflict, PullOptions, Side
from towline.plan import Note, Plan
from towline.ports import Remote, Snapshot, Watch
from towline.pull import plan_at
from towline.records import ReadContent
from towline.resolutions import SavedResolution

_TAKES_CONTENT = frozenset(
    [
        ConflictKind.CONTENT,
        ConflictKind.ADD_ADD,
        ConflictKind.MODIFY_DELETE,
        ConflictKind.DELETE_MODIFY,
    ]
)


@frozen(kw_only=True)
class LineClash:
    """Lines that both sides changed: the text of each side, and where it starts, from line 1."""

    lines: ThreeWay[bytes]
    starts: ThreeWay[int]


@frozen(kw_only=True)
class OpenConflict:
    """One asset of an open conflict, with its contents on the three sides.

    A content is None where the side does not have the asset, or its bytes are missing. ``fields``
    are the fields that clash, where the contents are merged by structure; ``lines`` are the lines,
    where they are merged by lines. Both are empty where more than contents clash; ``problem`` says
    why they are not merged, where it is something else.
    """

    conflict: Conflict
    party: Party
    contents: ThreeWay[bytes | None]
    fields: tuple[FieldDifference, ...] = ()
    lines: tuple[LineClash, ...] = ()
    problem: str = ""
    rules: ContentRules = ContentRules()

    @property
    def path(self) -> AssetPath:
        """The asset's path in ours, else in theirs, else in base."""
        return self.party.path

    @property
    def takes_content(self) -> bool:
        """Whether a content settles it: always, but for renames on both sides and collisions."""
        return self.conflict.kind in _TAKES_CONTENT

    def merged(self, fields: Mapping[str, Side]) -> bytes:
        """Return the content with these sides for the fields that clash, and the rest merged.

        Raises:
            InvalidResolution: a pointer clashes nowhere, or a field that clashes has no side.
        """
        clashing = tuple(field.pointer for field in self.fields)
        if unknown := [pointer for pointer in fields if pointer not in clashing]:
            why = "" if clashing else f": none does in this {self.conflict.kind} conflict"
            raise self._refused(f"{unknown[0]!r} is not a field that clashes{why}")
        if missing := [pointer for pointer in clashing if pointer not in fields]:
            raise self._refused(f"choose a side for {missing[0]!r}")
        choices = {parse_pointer(pointer): side for pointer, side in fields.items()}
        outcome = _merge(self, choices)
        if outcome.content is None:
            raise self._refused(
                f"{outcome.problem or 'the rest conflicts'}; give the whole content"
            )
        return outcome.content

    def merged_lines(self, texts: Sequence[bytes]) -> bytes:
        """Return the content with a text for each of ``lines``, and the rest merged.

        Raises:
            InvalidResolution: not as many are given, or the lines around them no longer merge.
        """
        if not texts or len(texts) != len(self.lines):
            raise self._refused(
                f"{len(self.lines)} places clash, but {len(texts)} texts were given"
            )
        # Where both sides made the same of a place, it does not clash.
        base, ours, theirs = (_split_lines(content or b"") for content in self.contents)
        for clash, text in reversed(list(zip(self.lines, texts, strict=True))):
            for lines, start, replaced in (
                (ours, clash.starts.ours, clash.lines.ours),
                (theirs, clash.starts.theirs, clash.lines.theirs),
            ):
                lines[start - 1 : start - 1 + len(_split_lines(replaced))] = [text]
        merged = merge_line_regions(ThreeWay(*map(b"".join, (base, ours, theirs))))
        if merged is None or merged[1]:
            raise self._refused("the lines around them no longer merge; give the whole content")
        return merged[0]

    def resolution(
        self,
        *,
        side: Side | None = None,
        content: bytes | None = None,
        fields: Mapping[str, Side] | None = None,
    ) -> SavedResolution:
        """Return the resolution by one of these, to be saved.

        Raises:
            InvalidResolution: it would not settle the conflict.
            InvalidValue: not exactly one is given, or the content is too large.
        """
        resolution = SavedResolution(
            asset_id=self.party.asset_id,
            states=self.party.states,
            side=side,
            content=content,
            fields=tuple(sorted((fields or {}).items())),
        )
        if self.party.local_only:
            raise self._refused("it exists only here, and nothing replaces it; move it instead")
        if content is not None and not self.takes_content:
            raise self._refused("its paths clash; choose theirs or ours")
        if fields is not None:
            self.merged(fields)
        return resolution

    def remembered(self, before: Iterable[SavedResolution]) -> SavedResolution | None:
        """Return the first resolution of the same three digests that settles this conflict.

        ``before`` is what `Snapshot.remembered_resolutions` returns.
        """
        if self.conflict.kind is ConflictKind.PATH_COLLISION:
            return None
        party = self.party
        for each in before:
            own = replace(each, asset_id=party.asset_id, states=party.states)
            if each.digests != own.digests:
                continue
            try:
                fields = dict(each.fields) or None
                return self.resolution(side=each.side, content=each.content, fields=fields)
            except InvalidResolution:
                continue
        return None

    def _refused(self, problem: str) -> InvalidResolution:
        return InvalidResolution(
            asset_id=self.party.asset_id,
            path=self.path,
            problem=problem,
            fields=tuple(field.pointer for field in self.fields),
        )


@frozen(kw_only=True)
class PlannedConflicts:
    """The conflicts with a revision, and what the saved resolutions make of them.

    ``plan`` is made without these: it has every conflict, settled or not. ``open`` are the
    conflicts that they leave. ``saved`` are those made for the states that the conflicts have,
    which may still not settle them; ``unused`` says of each that settles none why it does not.
    """

    plan: Plan
    open: tuple[Conflict, ...]
    saved: Mapping[AssetId, SavedResolution]
    unused: tuple[Note, ...] = ()

    @property
    def settled(self) -> tuple[AssetId, ...]:
        """The assets whose conflict the next pull settles, sorted.

        A collision may be settled by the saved resolution of another of its assets alone.
        """
        return tuple(sorted(_parties(self.plan.conflicts) - _parties(self.open)))


def _parties(conflicts: Iterable[Conflict]) -> set[AssetId]:
    return {party.asset_id for conflict in conflicts for party in conflict.parties}


def plan_conflicts(
    snapshot: Snapshot,
    remote: Remote,
    revision: Revision,
    options: PullOptions = PullOptions(),
    *,
    watch: Watch = Watch(),
) -> PlannedConflicts:
    """Return the conflicts that pulling a fetched revision meets, by the plan of a pull.

    Whatever the options say of conflicts, every one is skipped. Raises as `towline.pull.plan_at`.
    """
    options = replace(options, on_conflict=OnConflict.SKIP, use_saved=False)
    plan = plan_at(snapshot, remote, revision, options, watch=watch)
    saved = snapshot.saved_resolutions()
    if not saved:
        return PlannedConflicts(plan=plan, open=plan.conflicts, saved={})
    used = plan_at(snapshot, remote, revision, replace(options, use_saved=True), watch=watch)
    known = frozenset(plan.notes)
    parties = (party for conflict in plan.conflicts for party in conflict.parties)
    states = {party.asset_id: party.states for party in parties}
    return PlannedConflicts(
        plan=plan,
        open=used.conflicts,
        saved={
            each.asset_id: each
            for each in saved
            if each.asset_id in states and not each.moved(states[each.asset_id])
        },
        # The other notes are about contents, and both plans have them.
        unused=tuple(note for note in used.notes if note not in known),
    )


def open_conflicts(
    plan: Plan, read: ReadContent, *, kinds: Kinds, content_merge: ContentMode = ContentMode.AUTO
) -> tuple[OpenConflict, ...]:
    """Return the assets of a plan's conflicts, in the plan's order.

    ``kinds`` and ``content_merge`` are those that the plan was made with. Contents are read for the
    conflicts of one asset; those of path collisions are not.
    """
    return tuple(
        _open(conflict, party, read, merge_rules(party.states, read, kinds, content_merge))
        for conflict in plan.conflicts
        for party in conflict.parties
    )


def merge_rules(
    states: ThreeWay[AssetState | None], read: ReadContent, kinds: Kinds, content_merge: ContentMode
) -> ContentRules:
    """Return the rules by which an asset's contents are merged.

    Those of its kind; where theirs is another asset by its embedded id, they are never merged.
    """
    path = _merged_path(states)
    rules, kind = content_rules(kinds, path, content_merge), kinds.of(path)
    if kind is None or kind.id_pointer is None or states.ours is None:
        return rules
    was, now = (
        _embedded_id(state, read, kind.id_pointer) for state in (states.base, states.theirs)
    )
    is_another = was is not None and now is not None and was != now
    return replace(rules, mode=ContentMode.NEVER) if is_another else rules


def _embedded_id(state: AssetState | None, read: ReadContent, pointer: str) -> str | None:
    content = None if state is None else read(state.digest)
    if state is None or content is None:
        return None
    return with_embedded_id(RemoteAsset(state=state), content, pointer).embedded_id


def _merged_path(states: ThreeWay[AssetState | None]) -> AssetPath:
    """Return the path that an asset has after its contents are merged."""
    base, ours, theirs = states
    if base is None or ours is None or theirs is None:
        return first_path(ours, theirs, base)
    return ThreeWay(base.path, ours.path, theirs.path).resolved()


def _open(conflict: Conflict, party: Party, read: ReadContent, rules: ContentRules) -> OpenConflict:
    def content(state: AssetState | None) -> bytes | None:
        collides = conflict.kind is ConflictKind.PATH_COLLISION
        return None if state is None or collides else read(state.digest)

    contents = party.states.map(content)
    found = OpenConflict(conflict=conflict, party=party, contents=contents, rules=rules)
    outcome = _merge(found, {})
    return replace(
        found,
        fields=tuple(map(clash_of, outcome.fields)),
        lines=tuple(_lines(outcome, contents)),
        problem=outcome.problem,
    )


def _merge(conflict: OpenConflict, choices: Choices) -> ContentOutcome:
    """Merge the contents as a pull does, where it does."""
    base, ours, theirs = conflict.contents
    path, rules, kind = _merged_path(conflict.party.states), conflict.rules, conflict.conflict.kind
    if ours is not None and theirs is not None:
        if kind is ConflictKind.ADD_ADD:
            return merge_added(path, ours, theirs, rules, choices)
        if kind is ConflictKind.CONTENT and base is not None:
            return merge_content(path, ThreeWay(base, ours, theirs), rules, choices)
    return ContentOutcome(content=None)


def _lines(outcome: ContentOutcome, contents: ThreeWay[bytes | None]) -> Iterator[LineClash]:
    sides = contents.map(lambda content: _split_lines(content or b""))
    for region in outcome.regions:
        spans = ThreeWay(region.base, region.ours, region.theirs)
        texts = (
            b"".join(lines[span.start : span.stop])
            for lines, span in zip(sides, spans, strict=True)
        )
        yield LineClash(lines=ThreeWay(*texts), starts=spans.map(lambda span: span.start + 1))


def _split_lines(content: bytes) -> list[bytes]:
    """Split as git does: at line feeds alone."""
    return BytesIO(content).readlines()
