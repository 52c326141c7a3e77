"""The plan: what a pull (or an undo) would do, as a value to show, store and apply later."""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from enum import StrEnum

from towline.conflicts import Conflict
from towline.content_rules import MergedBy
from towline.frozen import frozen
from towline.model import AssetId, AssetPath, AssetState, Digest, Revision
from towline.options import OnConflict
from towline.records import AssetRecord, Contents, PlanKind, PlanSummary, StoreState


class Disposition(StrEnum):
    """What becomes of one asset. The first five are the report's lists."""

    OVERWRITTEN = "overwritten"
    UPDATED = "updated"
    CREATED = "created"
    DELETED = "deleted"
    IGNORED = "ignored"
    CONFLICT = "conflict"
    UNTOUCHED = "untouched"
    CONVERGED = "converged"


LISTED = (
    Disposition.OVERWRITTEN,
    Disposition.UPDATED,
    Disposition.CREATED,
    Disposition.DELETED,
    Disposition.IGNORED,
)


class IgnoredReason(StrEnum):
    """Why something that the repository has, or deleted, was not taken over."""

    DECLINED = "declined"
    """A resolution chose our version."""
    DELETION_DECLINED = "deletion_declined"
    """A resolution chose our version of an asset that the repository deleted."""
    CONFLICT = "conflict"
    """Left in conflict by the policy ``skip``; it comes back on the next pull."""
    NOT_AN_ASSET = "not_an_asset"
    """Outside the kinds' globs."""
    SYMLINK = "symlink"
    SUBMODULE = "submodule"
    LFS_POINTER = "lfs_pointer"
    NAME_NOT_UTF8 = "name_not_utf8"
    NAME_TOO_LONG = "name_too_long"


class BehindReason(StrEnum):
    """Why an asset is behind the recorded revision: it is not as that revision has it."""

    CONFLICT = "conflict"
    """Left in conflict by the policy ``skip``."""
    LEFT_OUT = "left_out"
    """A pull updates it that selects it: a selection left it out, or its conflict has ended."""
    SYMLINK = "symlink"
    SUBMODULE = "submodule"
    LFS_POINTER = "lfs_pointer"
    NAME_NOT_UTF8 = "name_not_utf8"
    NAME_TOO_LONG = "name_too_long"


@frozen(kw_only=True)
class Item:
    """One asset of a plan, and the rule of docs/semantics.md that decided it.

    ``rule`` is 0 for an asset that is the same on all three sides, and None in an undo.
    ``before`` and ``after`` are the store's states around it; for an ignored asset ``after`` is
    what stays. ``asset_id`` is None for a non-asset that the store knows nothing of. ``behind`` is
    set where the asset lags after the pull.
    """

    disposition: Disposition
    asset_id: AssetId | None
    path: AssetPath
    kind: str
    rule: int | None
    before: AssetState | None
    after: AssetState | None
    renamed_from: AssetPath | None = None
    merged: bool = False
    merged_by: MergedBy | None = None
    """What merged the content, where both sides had changed it."""
    discarded: bool = False
    resolved: bool = False
    """Whether a saved resolution decided it."""
    reason: IgnoredReason | None = None
    behind: BehindReason | None = None

    @property
    def name(self) -> str:
        """The last name of its path."""
        return self.path.name


@frozen(kw_only=True)
class Note:
    """A warning about an asset that is pulled."""

    asset_id: AssetId
    path: AssetPath
    text: str


@frozen(kw_only=True)
class Edit:
    """One asset's record before and after; None where the project knows no such asset.

    Where ``before.ours`` and ``after.ours`` differ the store's content changes; the rest is
    bookkeeping. An id whose ``after`` is None is used again only for an asset that returns at
    its path.
    """

    before: AssetRecord | None
    after: AssetRecord | None

    @property
    def asset_id(self) -> AssetId:
        """The id, the same before and after."""
        record = self.after or self.before
        assert record is not None, "an edit has a side"
        return record.id

    @property
    def ours(self) -> tuple[AssetState | None, AssetState | None]:
        """The states in the store before and after."""
        return (
            self.before.ours if self.before is not None else None,
            self.after.ours if self.after is not None else None,
        )

    @property
    def arrival(self) -> AssetPath | None:
        """The path to which it adds or moves an asset, if it does."""
        before, after = self.ours
        if after is None or (before is not None and before.path == after.path):
            return None
        return after.path


@frozen(kw_only=True)
class Plan:
    """What a pull would do.

    Bound to what it was made from: ``before`` (the store's state) and the ``before`` of each
    edit. Items are sorted by path, then id; every asset looked at is in them exactly once.
    ``merged`` holds the bytes that a content merge made, which no remote can give.
    """

    kind: PlanKind = PlanKind.PULL
    project: str
    revision: Revision | None
    before: StoreState
    after: StoreState
    items: tuple[Item, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    notes: tuple[Note, ...] = ()
    edits: tuple[Edit, ...] = ()
    on_conflict: OnConflict = OnConflict.REFUSE
    refused: bool = False
    """Whether conflicts stay open that the policy does not settle; then it cannot be applied."""
    history_rewritten: bool | None = False
    undoes: int | None = None
    """The number of the pull that an undo takes back."""
    merged: tuple[tuple[Digest, bytes], ...] = ()
    cleared: tuple[tuple[AssetId, Digest], ...] = ()
    """The saved resolutions that it uses, or that have lapsed: `SavedResolution.identity` by asset.

    Applying the plan clears them.
    """
    content_rules: str = ""
    """The kinds' ``content_fingerprint`` by which it was merged."""
    source: Contents | None = field(default=None, compare=False, repr=False)
    """Where apply() finds contents, while plan and remote live in one process; never stored."""

    @property
    def is_noop(self) -> bool:
        """Whether applying it changes nothing in the store but the resolutions in ``cleared``."""
        return not self.edits and self.before == self.after

    @property
    def summary(self) -> PlanSummary:
        """What the log shows of it."""
        listed = Counter(item.disposition for item in self.items)
        return PlanSummary(
            kind=self.kind,
            undoes=self.undoes,
            base=self.before.base,
            revision=self.after.base,
            counts=tuple(listed[disposition] for disposition in LISTED),
        )

    def listed(self, disposition: Disposition) -> tuple[Item, ...]:
        """Return the items of one disposition, in order."""
        return tuple(item for item in self.items if item.disposition is disposition)

    def needed(self) -> tuple[Digest, ...]:
        """Return the digests that the store must be given to apply this, sorted, each once."""
        needed = set()
        for edit in self.edits:
            before, after = edit.ours
            if after is not None and (before is None or before.digest != after.digest):
                needed.add(after.digest)
        return tuple(sorted(needed))
