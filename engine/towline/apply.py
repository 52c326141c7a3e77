"""Applying a plan: one transaction of the store, and the report of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from towline.conflicts import unresolved
from towline.errors import ContentMissing, InvalidPlan
from towline.model import Digest
from towline.plan import Contents, Plan, PlanKind
from towline.ports import AssetStore, Phase, Watch
from towline.report import Report, report_of


def apply(
    plan: Plan, store: AssetStore, *, contents: Contents | None = None, watch: Watch = Watch()
) -> Report:
    """Carry out a plan, all of it or nothing.

    ``contents`` is where bytes come from for a plan that was stored; one that was just made knows.

    Raises:
        UnresolvedConflicts: conflicts are open in it.
        InvalidPlan: it was made for another project.
        StalePlan, StoreBusy, ContentMissing, Cancelled, StoreError: as `AssetStore.apply`.
    """
    if plan.refused:
        raise unresolved(plan.conflicts)
    if plan.project != store.project:
        raise InvalidPlan(problem="it was made for another project")
    watch.report(Phase.APPLYING, 0)
    applied = store.apply(plan, _sources(plan, store, contents), watch)
    report = report_of(plan)
    saved = tuple(f"an edit made meanwhile was saved as {path}" for path in applied.saved)
    return replace(report, error_msgs=report.error_msgs + saved, pull=applied.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sources:
    """A plan's bytes: what its content merge made, then the store's own, then the remote's."""

    merged: dict[Digest, bytes]
    store: AssetStore | None
    remote: Contents | None

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        missing: list[Digest] = []
        for digest in digests:
            content = self.merged.get(digest)
            if content is None and self.store is not None:
                content = self.store.read(digest)
            if content is None:
                missing.append(digest)
            else:
                yield digest, content
        if missing and self.remote is None:
            raise ContentMissing(digests=tuple(missing))
        if missing and self.remote is not None:
            yield from self.remote.contents(missing)


def _sources(plan: Plan, store: AssetStore, contents: Contents | None) -> _Sources:
    # A pull asks the remote first of all: looking in the store would cost a read for each asset.
    own = store if plan.kind is PlanKind.UNDO else None
    remote = contents if contents is not None else plan.source
    return _Sources(merged=dict(plan.merged), store=own, remote=remote)
