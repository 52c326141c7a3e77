"""The two ports: where assets live, and where theirs comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from towline.errors import Cancelled
from towline.frozen import frozen
from towline.records import AssetLookup, AssetRecord, ChangedRecords, Contents, StoreState

if TYPE_CHECKING:
    from towline.changes import Changes, RemoteEntry
    from towline.kinds import Kinds
    from towline.limits import Limits
    from towline.model import AssetId, AssetPath, Digest, Revision
    from towline.names import NamePolicy
    from towline.options import Renames
    from towline.plan import Plan
    from towline.records import PlanSummary, ReadContent
    from towline.resolutions import SavedResolution


class Phase(StrEnum):
    """What a pull is doing, in this order."""

    FETCHING = "fetching"
    COMPARING = "comparing"
    VALIDATING = "validating"
    APPLYING = "applying"


Progress = Callable[[Phase, int, int | None], None]
"""Called with a phase, how much is done, and of how much in all (None: unknown)."""


class CancelToken(Protocol):
    """Asked between steps, up to the commit point. A `threading.Event` is one."""

    def is_set(self) -> bool:
        """Whether to stop."""
        ...


@frozen(kw_only=True)
class Watch:
    """How a caller follows and stops an operation, and what time it is for the log.

    A remote of another process calls ``arriving`` once it has requested what is new, and not where
    there is nothing new; again where it has to request it again.
    """

    progress: Progress | None = None
    cancel: CancelToken | None = None
    now: datetime | None = None
    arriving: Callable[[], object] | None = None

    def report(self, phase: Phase, done: int, total: int | None = None) -> None:
        """Report progress; stop here if the caller asked to.

        Raises:
            Cancelled: the token is set.
        """
        self.check()
        if self.progress is not None:
            self.progress(phase, done, total)

    def report_arriving(self) -> None:
        """Report that what is new is requested; the caller may prepare for it meanwhile."""
        if self.arriving is not None:
            self.arriving()

    def check(self) -> None:
        """Stop here if the caller asked to.

        Raises:
            Cancelled: the token is set.
        """
        if self.cancel is not None and self.cancel.is_set():
            raise Cancelled


class LoggedPull:
    """One applied plan in the store's log; ``number`` counts from 1.

    ``undone`` is whether a later undo took it back. A store may give a function as ``plan``, with
    the ``summary``: then the plan is decoded when it is first asked for.
    """

    __slots__ = ("_plan", "at", "number", "summary", "undone")

    def __init__(
        self,
        *,
        number: int,
        plan: Plan | Callable[[], Plan],
        at: datetime | None,
        undone: bool = False,
        summary: PlanSummary | None = None,
    ) -> None:
        self._plan = plan
        self.number = number
        self.at = at
        self.undone = undone
        self.summary = self.plan.summary if summary is None else summary

    @property
    def plan(self) -> Plan:
        """The plan as it was applied."""
        if callable(self._plan):
            self._plan = self._plan()
        return self._plan

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LoggedPull):
            return NotImplemented
        mine, theirs = ((of.number, of.at, of.undone, of.plan) for of in (self, other))
        return mine == theirs

    def __hash__(self) -> int:
        return hash((self.number, self.at))

    def __repr__(self) -> str:
        return f"LoggedPull(number={self.number}, at={self.at!r}, undone={self.undone})"


@frozen(kw_only=True)
class Applied:
    """What a store returns for a plan that it applied."""

    number: int | None
    """The plan's number in the log; None when there was nothing to write."""
    saved: tuple[AssetPath, ...] = ()
    """The files in which local edits made during the apply are saved."""


class StoreReads(Protocol):
    """What a store, and a snapshot of it, both answer. All may raise StoreError."""

    @property
    def project(self) -> str:
        """The project's name for ids: stable for its life, the same in every copy of it."""
        ...

    @property
    def kinds(self) -> Kinds:
        """What is an asset here."""
        ...

    @property
    def names(self) -> NamePolicy:
        """Which paths the store holds equal."""
        ...

    def read(self, digest: Digest) -> bytes | None:
        """Bytes that the store has: of an asset as it is now, or retained for undo; else None."""
        ...

    def log(self) -> Sequence[LoggedPull]:
        """Return the retained log of applied plans, newest first."""
        ...


class Snapshot(StoreReads, AssetLookup, Protocol):
    """A project at one moment: every answer is of the moment at which the snapshot was opened.

    A store that cannot know the executable bit of an asset that was never pulled gives its
    snapshots a property ``keeps_executable``, False.
    """

    def state(self) -> StoreState:
        """Return the recorded base and counts."""
        ...

    def records(self) -> Iterator[AssetRecord]:
        """Every asset with its current state, local-only ones too, in the order of their ids.

        This walks the whole project: for a status or a full comparison, never for a plain pull.
        """
        ...

    def changed_records(self) -> ChangedRecords:
        """Return what `records` does, but of the assets that are as last pulled only their number.

        For a status: a store may know of most assets that they are unchanged without making their
        records. `towline.records.changed_among` does it for one that does not.
        """
        ...

    def read_ahead(self, paths: Iterable[AssetPath]) -> None:
        """Prepare for lookups of these paths, which a merge is about to make; may do nothing."""
        ...

    def find_renames(self, mode: Renames, read: ReadContent) -> None:
        """Let lookups find what was renamed and edited here, as a merge finds theirs' renames.

        ``read`` returns contents, also those of the recorded revision; None where it has none. A
        store whose users rename through it, by id, does nothing.
        """
        ...

    def saved_resolutions(self) -> Sequence[SavedResolution]:
        """Return the saved resolutions, by asset id; one for each asset at most."""
        ...

    def remembered_resolutions(self) -> Sequence[SavedResolution]:
        """Return the saved resolutions that applied plans cleared, the newest first.

        At most `towline.resolutions.MAX_REMEMBERED`, with `MAX_REMEMBERED_BYTES` of contents.
        """
        ...


class AssetStore(StoreReads, Protocol):
    """Where a project's assets live. `towline.testing.StoreContract` holds what each promises.

    `towline.stores.base.BaseStore` implements all of it over a transaction.
    """

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Open the project at one moment, for lookups; it is valid inside the ``with`` block.

        A store of a database reads in one transaction. A store that cannot, such as a folder of
        files, raises StalePlan when the block ends, if a plan was applied meanwhile.
        """
        ...

    def apply(self, plan: Plan, contents: Contents, watch: Watch) -> Applied:
        """Apply a plan and move the base, in one transaction, or do neither.

        Contents are asked for `Plan.needed` without `Plan.merged`, and checked against their
        digests. Resolutions that `Plan.cleared` names are cleared, unless others were saved since,
        and remembered. Nothing else is written for a plan whose `Plan.is_noop` holds; any other
        joins the log, and with it the bytes that undoing it needs; the oldest beyond the store's
        bound leave it.

        Raises:
            StalePlan: the recorded state is not ``plan.before``, an edited asset is not as its
                edit's ``before`` says, or something else is where an edit puts an asset.
            StoreBusy: someone else is applying.
            ContentMissing: contents are missing, or are not what their digest says.
            Cancelled: the token was set before the commit point.
            StoreError: the machine failed; the project is as it was.
        """
        ...

    def save_resolutions(
        self, save: Iterable[SavedResolution] = (), clear: Iterable[AssetId] = ()
    ) -> None:
        """Save resolutions, each instead of the one that its asset has; clear those of others.

        In one transaction. What is cleared here is not remembered; unknown ids are passed over.

        Raises:
            StoreBusy: someone else is applying, in a store that excludes them.
            StoreError: the machine failed; the project is as it was.
        """
        ...


@dataclass(slots=True)
class Traffic:
    """What a remote has cost so far; contract and cost tests read it."""

    requests: int = 0
    """HTTP requests, where the backend can count them."""
    trees_read: int = 0
    blobs_read: int = 0
    bytes_down: int = 0


class Remote(Contents, Protocol):
    """Where theirs comes from. `towline.testing.RemoteContract` says what holds for each.

    Errors are those of errors.py's remote and content groups; none changes anything.
    """

    @property
    def url(self) -> str:
        """Its address without credentials, for people."""
        ...

    @property
    def scope(self) -> str:
        """The subfolder that is the project, ``""`` for the whole repository."""
        ...

    @property
    def traffic(self) -> Traffic:
        """The counters so far."""
        ...

    def resolve(self, limits: Limits, watch: Watch) -> Revision:
        """Return the revision that the configured ref names at the remote now; fetches nothing.

        Raises:
            RefNotFound, EmptyRepository, RemoteUnavailable, RemoteTimeout, RemoteRefused.
        """
        ...

    def fetch(self, revision: Revision | None, limits: Limits, watch: Watch) -> Revision:
        """Fetch the objects of a revision, or (None) of what the ref names, in the same session.

        Returns the revision. Fetching what is here already costs no more than `resolve`, and
        nothing at all when a revision is given.

        Raises:
            RefNotFound, EmptyRepository, RemoteUnavailable, RemoteTimeout, RemoteRefused,
            LimitExceeded, Cancelled.
        """
        ...

    def has(self, revision: Revision) -> bool:
        """Whether the commit and its tree are here, to be compared without fetching."""
        ...

    def changes(
        self, base: Revision, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Changes:
        """Return what changed in the scope between two revisions that are here.

        Equal subtrees are skipped unread. An asset's size is known, its ``embedded_id`` not yet.

        Raises:
            InvalidTree: hostile or malformed trees on the way, all problems at once.
            LimitExceeded: entries, depth, or an asset's size.
        """
        ...

    def listing(
        self, revision: Revision, kinds: Kinds, limits: Limits, watch: Watch
    ) -> Mapping[AssetPath, RemoteEntry]:
        """Every entry of the scope at a revision that is here, by path. Raises as `changes`."""
        ...

    def rewritten(self, base: Revision, revision: Revision) -> bool | None:
        """Whether base is no ancestor of revision; None where the history here ends before."""
        ...
