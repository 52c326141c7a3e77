"""What would be an asset of a project, before the project is made or its kinds are changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from towline.errors import BrokenLimit
from towline.frozen import frozen
from towline.limits import Limits, limits_exceeded
from towline.model import AssetId, AssetPath, Revision
from towline.plan import Item, Note, Plan
from towline.ports import Remote
from towline.stores.memory import MemoryStore
from towline_server.projects.domain import Project
from towline_server.projects.store import SqlStore

from .domain import RunRequest
from .planning import options_of, plan_for


@frozen(kw_only=True)
class PreviewedFile:
    """A file of the repository: an asset, or what is ignored."""

    path: AssetPath
    kind: str | None
    """None: it would not be an asset."""
    asset_id: AssetId | None
    """The id it would get, or has; None: a project that is yet to be made decides it."""
    reason: str | None
    """Why it would not be an asset."""


@frozen(kw_only=True)
class Preview:
    """What the first pull of a project would make an asset, and what not."""

    revision: Revision
    files: tuple[PreviewedFile, ...]
    """By path."""
    counts: Mapping[str, int]
    """How many assets each of the project's kinds would have, in the kinds' order."""
    notes: tuple[Note, ...]
    """Such as ids in contents that occur twice."""
    refusal: str
    """Why the first pull would be refused, such as too many assets; empty: it would not."""

    @property
    def assets(self) -> int:
        """How many assets there would be."""
        return sum(self.counts.values())

    @property
    def ignored(self) -> int:
        """How many files would not be an asset."""
        return len(self.files) - self.assets


def preview_at(
    project: Project,
    remote: Remote,
    revision: Revision,
    limits: Limits,
    existing: SqlStore | None = None,
) -> Preview:
    """Return what a first pull of a revision that is cached would make an asset.

    ``existing`` is the store of a project that there is, whose assets have their ids already.
    More assets than a project may have are no reason to show less.

    Raises:
        TowlineError: as `towline.pull.plan_at`.
    """
    name = str(project.id) if existing is None else existing.project
    store = MemoryStore(name, kinds=project.kinds, names=project.names)
    options = options_of(RunRequest(), project, limits.without_project_bounds())
    with store.snapshot() as nothing:
        plan = plan_for(RunRequest(), nothing, remote, revision, options)
    paths = [item.path for item in plan.items if item.after is not None]
    known = _known(existing, paths)
    files = [_file(item, known, is_new=existing is None) for item in plan.items]
    found = Counter(each.kind for each in files)
    return Preview(
        revision=revision,
        files=tuple(sorted(files, key=lambda each: each.path)),
        counts={kind.name: found[kind.name] for kind in project.kinds.kinds},
        notes=plan.notes,
        refusal=_refusal(plan, limits),
    )


def _known(store: SqlStore | None, paths: list[AssetPath]) -> Mapping[AssetPath, AssetId]:
    if store is None:
        return {}
    with store.snapshot() as ours:
        ours.read_ahead(paths)
        return {path: record.id for path in paths if (record := ours.at(path)) is not None}


def _file(item: Item, known: Mapping[AssetPath, AssetId], *, is_new: bool) -> PreviewedFile:
    if item.after is None:
        reason = item.behind or item.reason
        return PreviewedFile(
            path=item.path, kind=None, asset_id=None, reason=None if reason is None else str(reason)
        )
    asset_id = None if is_new else known.get(item.path, item.asset_id)
    return PreviewedFile(path=item.path, kind=item.kind, asset_id=asset_id, reason=None)


def _refusal(plan: Plan, limits: Limits) -> str:
    figures = {
        "assets": (plan.after.tracked, limits.assets),
        "project_bytes": (plan.after.tracked_bytes, limits.project_bytes),
    }
    broken = [
        BrokenLimit(limit=limit, allowed=allowed, found=found)
        for limit, (found, allowed) in figures.items()
        if found > allowed
    ]
    return limits_exceeded(broken).message if broken else ""
