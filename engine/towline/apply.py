"""Apply a plan in one transaction of the store, and report it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from towline.conflicts import unresolved
from towline.errors import ContentMissing, InvalidPlan, StalePlan
from towline.frozen import frozen
from towline.plan import Plan
from towline.ports import AssetStore, Phase, Watch
from towline.records import Contents, PlanKind
from towline.report import Report, report_of

if TYPE_CHECKING:
    from towline.kinds import Kinds
    from towline.model import Digest


def apply(
    plan: Plan, store: AssetStore, *, contents: Contents | None = None, watch: Watch = Watch()
) -> Report:
    """Apply a plan, all of it or nothing.

    ``contents`` gives the bytes for a plan that was stored; one that was just made has its source.

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
    sources = _Sources(
        # A pull asks the remote at once: looking in the store would cost a read for each asset.
        store=store if plan.kind is PlanKind.UNDO else None,
        remote=contents if contents is not None else plan.source,
    )
    applied = store.apply(plan, sources, watch)
    report = report_of(plan)
    saved = tuple(f"an edit made during the pull was saved as {path}" for path in applied.saved)
    return replace(report, error_msgs=report.error_msgs + saved, pull=applied.number)


def check_kinds(plan: Plan, kinds: Kinds) -> None:
    """Refuse a pull that was planned with other kinds: their assets, or how these merge.

    No store does; for plans that are stored and applied later.

    Raises:
        StalePlan: it was.
    """
    planned = (plan.after.fingerprint, plan.content_rules)
    if planned != (kinds.fingerprint, kinds.content_fingerprint):
        raise StalePlan(reason="the project's kinds have changed")


@frozen(kw_only=True)
class _Sources:
    """The contents of a plan: the store's, then the remote's."""

    store: AssetStore | None
    remote: Contents | None

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        missing: list[Digest] = []
        for digest in digests:
            content = self.store.read(digest) if self.store is not None else None
            if content is None:
                missing.append(digest)
            else:
                yield digest, content
        if not missing:
            return
        if self.remote is None:
            raise ContentMissing(digests=tuple(missing))
        yield from self.remote.contents(missing)
