"""The conflicts of a project with what was fetched last, and the resolutions saved for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from towline.frozen import frozen
from towline.model import AssetId, AssetPath
from towline.records import ReadContent
from towline.resolve import OpenConflict, PlannedConflicts, open_conflicts, plan_conflicts

from .errors import CommandError
from .options import asset_name, pull_options
from .output import commit_json, describe, short
from .project import Project

if TYPE_CHECKING:
    from towline.ports import Watch
    from towline.remotes.git import GitRemote
    from towline.remotes.objects import Commit
    from towline.resolutions import SavedResolution


@frozen(kw_only=True)
class ProjectConflicts:
    """Every conflict with a revision, settled or not, in the order of a plan's.

    ``planned`` has what the saved resolutions make of them; ``remembered`` are the resolutions of
    the past.
    """

    planned: PlannedConflicts
    remote: GitRemote
    read: ReadContent
    conflicts: tuple[OpenConflict, ...]
    remembered: tuple[SavedResolution, ...]

    @property
    def open(self) -> tuple[OpenConflict, ...]:
        """The conflicts to ask about: those that the saved resolutions leave.

        Of a collision, the assets without a saved resolution, as long as there are any.
        """
        choosable = {each.party.asset_id for each in self.conflicts}
        asked: set[AssetId] = set()
        for conflict in self.planned.open:
            parties = choosable.intersection(party.asset_id for party in conflict.parties)
            asked |= parties - self.planned.saved.keys() or parties
        return tuple(each for each in self.conflicts if each.party.asset_id in asked)

    def is_left(self, conflict: OpenConflict) -> bool:
        """Whether the saved resolutions do not settle it."""
        return conflict.party.asset_id not in self.planned.settled

    def resolution(self, conflict: OpenConflict) -> str:
        """Return how a conflict is resolved, on one line; empty where it is not."""
        saved = self.planned.saved.get(conflict.party.asset_id)
        if saved is None:
            return "" if self.is_left(conflict) else "resolved by the other choices"
        does_not = ", does not resolve it" if self.is_left(conflict) else ""
        return f"{describe(saved)}{does_not}"

    def last_change(self, conflict: OpenConflict) -> Commit | None:
        """Return the commit that last changed theirs, if its history is here."""
        from towline.errors import InvalidTree

        there = conflict.party.states.theirs or conflict.party.states.base
        revision = self.planned.plan.revision
        if there is None or revision is None:
            return None
        try:
            return self.remote.last_change(there.path, revision)
        except InvalidTree:
            return None

    def named(self, names: Sequence[str], project: Project) -> tuple[OpenConflict, ...]:
        """Return the conflicts that these names mean: ids, paths, folders, globs.

        Raises:
            CommandError: a name means none.
        """
        chosen: set[AssetId] = set()
        for given in names:
            name = asset_name(given, project.prefix)
            found = [
                each.party.asset_id
                for each in self.conflicts
                if covers(name, each.party.asset_id, each.party.paths)
            ]
            if not found:
                problem = f"{given!r} is not in conflict"
                raise CommandError(
                    "no_conflict", problem, "towline resolve --list lists the conflicts"
                )
            chosen.update(found)
        return tuple(each for each in self.conflicts if each.party.asset_id in chosen)

    def by_pattern(self, names: Sequence[str], project: Project) -> frozenset[AssetId]:
        """Return the assets that none of these names means alone, by its id or path."""
        wanted = {asset_name(given, project.prefix) for given in names}
        return frozenset(
            each.party.asset_id
            for each in self.conflicts
            if wanted.isdisjoint((each.party.asset_id, *each.party.paths))
        )

    def own_choice(self, conflict: OpenConflict) -> SavedResolution | None:
        """Return the saved resolution that settles a conflict, if it was made for it alone."""
        saved = self.planned.saved.get(conflict.party.asset_id)
        is_own = saved is not None and not saved.by_pattern and not self.is_left(conflict)
        return saved if is_own else None


def covers(name: str, asset_id: AssetId, paths: Iterable[AssetPath]) -> bool:
    """Whether a name means this asset: its id, one of its paths, a folder, or a glob."""
    from towline.globs import matches_any

    folder = "" if name == "." else f"{name.rstrip('/')}/"
    return name == asset_id or any(
        name == path or path.startswith(folder) or matches_any((name,), path) for path in paths
    )


def load_conflicts(project: Project, watch: Watch) -> ProjectConflicts:
    """Compare the project with what was fetched last, without the network.

    Raises:
        CommandError: nothing was fetched, or it is no longer here.
    """
    remote = project.remote()
    planned = plan_with_fetched(project, remote, watch)
    kinds, mode, read = project.store.kinds, project.content_mode(), project.reader(remote)
    with project.store.snapshot() as snapshot:
        remembered = tuple(snapshot.remembered_resolutions())
    return ProjectConflicts(
        planned=planned,
        remote=remote,
        read=read,
        conflicts=tuple(
            each
            for each in open_conflicts(planned.plan, read, kinds=kinds, content_merge=mode)
            if not each.party.local_only
        ),
        remembered=remembered,
    )


def plan_with_fetched(project: Project, remote: GitRemote, watch: Watch) -> PlannedConflicts:
    """Plan a pull of what was fetched last. Raises as `load_conflicts`."""
    revision = project.fetched
    if revision is None:
        raise CommandError("not_fetched", "nothing has been fetched yet", "run towline fetch")
    if not remote.has(revision):
        problem = f"the fetched revision {short(revision)} is no longer in the cache"
        raise CommandError("not_fetched", problem, "run towline fetch")
    options = pull_options({"allow_empty": True}, project)
    options = replace(options, limits=options.limits.without_project_bounds())
    with project.store.snapshot() as snapshot:
        return plan_conflicts(snapshot, remote, revision, options, watch=watch)


def conflict_json(conflict: OpenConflict, found: ProjectConflicts) -> dict[str, object]:
    """Return a conflict in JSON form, with what clashes and what is chosen."""
    from towline.content.values import ABSENT

    asset_id = conflict.party.asset_id
    saved = found.planned.saved.get(asset_id)
    before = conflict.remembered(found.remembered)
    commit = found.last_change(conflict)
    return {
        "asset_id": asset_id,
        "path": conflict.path,
        "kind": str(conflict.conflict.kind),
        "fields": [
            {
                "pointer": each.pointer,
                "reason": str(each.reason),
                **{
                    side: value
                    for side, value in each.values.by_side().items()
                    if value is not ABSENT
                },
            }
            for each in conflict.fields
        ],
        "lines": [
            {
                side: {"start": start, "text": text.decode("utf-8", "replace")}
                for (side, text), start in zip(
                    each.lines.by_side().items(), each.starts, strict=True
                )
            }
            for each in conflict.lines
        ],
        "problem": conflict.problem,
        "blockers": list(conflict.conflict.blockers),
        "commit": None if commit is None else commit_json(commit),
        "settled": not found.is_left(conflict),
        "resolution": None if saved is None else resolution_json(saved),
        "remembered": None if before is None else resolution_json(before),
    }


def resolution_json(resolution: SavedResolution) -> dict[str, object]:
    """Return a saved resolution in JSON form."""
    from towline.model import Digest

    content = resolution.content
    return {
        "asset_id": resolution.asset_id,
        "path": resolution.path,
        "side": None if resolution.side is None else str(resolution.side),
        "content": None if content is None else Digest.of(content),
        "fields": {pointer: str(side) for pointer, side in resolution.fields},
    }
