"""The pull: fetch, compare, merge, apply. A dry run is the same path, stopped before apply.

Phases in order: fetching, comparing, validating, applying. Nothing is written before the last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from towline.changes import Change, Changes, Coverage, RemoteAsset, RemoteEntry
from towline.conflicts import Conflict
from towline.errors import ContentMissing, UnknownAssets
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, AssetState, Digest, Revision
from towline.options import Comparison, OnConflict, PullOptions, Resolutions
from towline.plan import Plan
from towline.ports import AssetStore, Phase, Remote, Snapshot, Watch
from towline.records import Contents, ReadContent, StoreState
from towline.report import Report
from towline.up_to_date import is_comparable, is_up_to_date


def pull(
    store: AssetStore,
    remote: Remote,
    options: PullOptions = PullOptions(),
    *,
    watch: Watch = Watch(),
) -> Report:
    """Update the project to its remote, or change nothing.

    Where conflicts are left that the options refuse, the report's status is ``conflicts``.

    Raises:
        TowlineError: any of `towline.errors`; the project is unchanged.
    """
    from towline.apply import apply
    from towline.report import report_of

    plan = plan_pull(store, remote, options, watch=watch)
    return report_of(plan) if plan.refused else apply(plan, store, watch=watch)


def plan_pull(
    store: AssetStore,
    remote: Remote,
    options: PullOptions = PullOptions(),
    *,
    watch: Watch = Watch(),
) -> Plan:
    """Return what `pull` would do now. Fetches; the store stays unchanged. Raises as `pull`."""
    watch.report(Phase.FETCHING, 0)
    revision = remote.fetch(None, options.limits, watch)
    with store.snapshot() as snapshot:
        return plan_at(snapshot, remote, revision, options, watch=watch)


def plan_at(
    snapshot: Snapshot,
    remote: Remote,
    revision: Revision,
    options: PullOptions = PullOptions(),
    *,
    watch: Watch = Watch(),
) -> Plan:
    """Return what pulling a revision that is already fetched would do. Raises as `pull`."""
    watch.report(Phase.COMPARING, 0)
    if (unchanged := plan_unchanged(snapshot, remote, revision, options)) is not None:
        watch.report(Phase.VALIDATING, 0, 0)
        return unchanged
    state = snapshot.state()
    # Most pulls find nothing new, and do without these.
    from towline.merge import Context, merge
    from towline.selection import near_names, resolve_names, resolved

    source = CachedContents(remote=remote)
    snapshot.find_renames(options.renames, recorded_contents(snapshot, remote, source))
    changes = _compare(snapshot, remote, state, revision, options, watch)
    changes = _with_lagging(changes, snapshot)
    changes = _with_embedded_ids(changes, snapshot.kinds, source, options.limits)
    watch.report(Phase.VALIDATING, 0, len(changes.items))
    snapshot.read_ahead([item.path for item in changes.items])
    options = replace(options, only=resolved(options.only, snapshot, changes))
    context = Context(
        project=snapshot.project,
        state=state,
        kinds=snapshot.kinds,
        names=snapshot.names,
        keeps_executable=getattr(snapshot, "keeps_executable", True),
        scope=remote.scope,
        saved=tuple(snapshot.saved_resolutions()) if options.use_saved else (),
    )

    def merged(options: PullOptions) -> Plan:
        return merge(
            changes,
            snapshot,
            context=context,
            options=options,
            read=lambda digest: _content(digest, snapshot, source),
        )

    def open_conflicts(resolutions: Resolutions) -> tuple[Conflict, ...]:
        refusing = replace(options, resolutions=resolutions, on_conflict=OnConflict.REFUSE)
        return merged(refusing).conflicts

    try:
        resolutions = resolve_names(options.resolutions, snapshot, changes, open_conflicts)
        plan = merged(replace(options, resolutions=resolutions))
    except UnknownAssets as error:
        error.near = near_names(error.asset_ids, snapshot, changes)
        raise
    watch.report(Phase.VALIDATING, len(changes.items), len(changes.items))
    return replace(plan, source=source)


def plan_unchanged(
    snapshot: Snapshot, remote: Remote, revision: Revision, options: PullOptions = PullOptions()
) -> Plan | None:
    """Return what `plan_at` returns where the pull finds nothing new; None: it has to compare.

    Reads nothing of the remote: the revision need not be fetched.
    """
    state = snapshot.state()
    if not is_up_to_date(snapshot, remote, state, revision, options):
        return None
    return Plan(
        project=snapshot.project,
        revision=revision,
        before=state,
        after=state,
        on_conflict=options.on_conflict,
        content_rules=snapshot.kinds.content_fingerprint,
        source=remote,
    )


# --- comparing --------------------------------------------------------------------------------


def _compare(
    snapshot: Snapshot,
    remote: Remote,
    state: StoreState,
    revision: Revision,
    options: PullOptions,
    watch: Watch,
) -> Changes:
    limits, kinds = options.limits, snapshot.kinds
    if state.base is None:
        listing = remote.listing(revision, kinds, limits, watch)
        items = tuple(
            Change(path=path, before=None, after=listing[path]) for path in sorted(listing)
        )
        return Changes(base=None, revision=revision, items=items, coverage=Coverage.RECORDS)
    trusted = is_comparable(snapshot, remote, state)
    if trusted and options.comparison is Comparison.INCREMENTAL:
        if state.base == revision:
            return Changes(base=state.base, revision=revision, items=())
        if remote.has(state.base):
            return remote.changes(state.base, revision, kinds, limits, watch)
    listing = remote.listing(revision, kinds, limits, watch)
    return Changes(
        base=state.base,
        revision=revision,
        items=tuple(_against_records(listing, snapshot, every=not trusted)),
        coverage=Coverage.RESCOPED if state.scope != remote.scope else Coverage.RECORDS,
        history_rewritten=state.base != revision and remote.rewritten(state.base, revision),
    )


def _against_records(
    listing: Mapping[AssetPath, RemoteEntry], snapshot: Snapshot, *, every: bool
) -> Iterator[Change]:
    """Compare theirs with the store's records, without the base tree.

    ``every``: kinds or scope changed, so every asset is compared, changed or not. What is no asset
    and was none is left out: whether it changed is unknown.
    """
    known = {
        record.aligned_path: record
        for record in snapshot.records()
        if record.aligned_path is not None
    }
    for path in sorted(known.keys() | listing.keys()):
        after, record = listing.get(path), known.get(path)
        if record is None:
            if isinstance(after, RemoteAsset):
                yield Change(path=path, before=None, after=after)
            continue
        recorded = record.recorded
        current = after.state if isinstance(after, RemoteAsset) else after
        if every or current != recorded:
            before = RemoteAsset(state=recorded) if isinstance(recorded, AssetState) else recorded
            yield Change(path=path, before=before, after=after)


# --- contents that a merge needs --------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class CachedContents:
    """The remote's contents, with a cache, so that no blob is read twice."""

    remote: Contents
    known: dict[Digest, bytes] = field(default_factory=dict)

    def load(self, digests: Sequence[Digest]) -> None:
        """Read these contents, unless they are known. Raises as `Contents.contents`."""
        missing = [digest for digest in dict.fromkeys(digests) if digest not in self.known]
        if missing:
            self.known.update(self.remote.contents(missing))

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """See `Contents`."""
        known = [digest for digest in digests if digest in self.known]
        yield from ((digest, self.known[digest]) for digest in known)
        if missing := [digest for digest in digests if digest not in self.known]:
            yield from self.remote.contents(missing)


def _with_lagging(changes: Changes, snapshot: Snapshot) -> Changes:
    """The same changes, and the lagging assets whose contents may have an id, as unchanged.

    A pull that takes one reports what is wrong with its id, as a pull that takes a change does.
    """
    changed = {item.path for item in changes.items}
    lagging = [
        Change(path=asset.path, before=asset, after=asset)
        for record in snapshot.lagging()
        if isinstance(state := record.recorded, AssetState) and state.path not in changed
        if (kind := snapshot.kinds.of(state.path)) is not None and kind.id_pointer is not None
        for asset in [RemoteAsset(state=state, size=record.size)]
    ]
    if not lagging:
        return changes
    items = sorted((*changes.items, *lagging), key=lambda item: item.path)
    return replace(changes, items=tuple(items))


def _with_embedded_ids(
    changes: Changes, kinds: Kinds, source: CachedContents, limits: Limits
) -> Changes:
    """The same changes, with the embedded ids of the assets whose kind has a pointer to one."""
    pointers: dict[AssetPath, str] = {}
    assets: dict[AssetPath, RemoteAsset] = {}
    for item in changes.items:
        kind = kinds.of(item.path)
        if isinstance(item.after, RemoteAsset) and kind is not None and kind.id_pointer is not None:
            pointers[item.path], assets[item.path] = kind.id_pointer, item.after
    if not assets:
        return changes
    from towline.merge.embedded import with_embedded_id

    size = sum(asset.size for asset in assets.values())
    if size > limits.project_bytes:
        raise limits.exceeded("project_bytes", size)
    source.load([asset.state.digest for asset in assets.values()])
    found = {
        path: with_embedded_id(asset, source.known[asset.state.digest], pointers[path])
        for path, asset in assets.items()
    }
    items = tuple(
        replace(item, after=found[item.path]) if item.path in found else item
        for item in changes.items
    )
    return replace(changes, items=items)


def _content(digest: Digest, snapshot: Snapshot, source: CachedContents) -> bytes | None:
    if (content := snapshot.read(digest)) is not None:
        return content
    try:
        source.load([digest])
    except ContentMissing:
        return None
    return source.known[digest]


def recorded_contents(
    snapshot: Snapshot, remote: Remote, source: CachedContents | None = None
) -> ReadContent:
    """Return what reads the contents of the project and of its recorded revision; fetches nothing.

    It returns None for what is not here.
    """
    source = CachedContents(remote=remote) if source is None else source

    def read(digest: Digest) -> bytes | None:
        base = snapshot.state().base
        if base is None or not remote.has(base):
            return snapshot.read(digest)
        return _content(digest, snapshot, source)

    return read
