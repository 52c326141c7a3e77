"""The conflicts of a project with what was fetched last, and the resolutions saved for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from towline.model import AssetId, AssetPath, Revision
from towline.resolve import OpenConflict, Read, open_conflicts

from .errors import CommandError
from .options import asset_name, pull_options
from .output import short
from .project import Project

if TYPE_CHECKING:
    from towline.ports import Watch
    from towline.remotes.git import GitRemote
    from towline.remotes.objects import Commit
    from towline.resolutions import SavedResolution


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectConflicts:
    """Every conflict with a revision, settled or not, in the order of a plan's.

    ``saved`` are the resolutions that hold, by asset; ``lapsed`` those of conflicts that moved
    since, or ended. ``remembered`` are those of the past.
    """

    revision: Revision
    remote: GitRemote
    read: Read
    conflicts: tuple[OpenConflict, ...]
    saved: Mapping[AssetId, SavedResolution]
    lapsed: tuple[SavedResolution, ...]
    remembered: tuple[SavedResolution, ...]

    @property
    def open(self) -> tuple[OpenConflict, ...]:
        """The conflicts for which no resolution is saved."""
        return tuple(each for each in self.conflicts if each.party.asset_id not in self.saved)

    def last_change(self, conflict: OpenConflict) -> Commit | None:
        """Return the commit that last changed theirs, if its history is here."""
        from towline.errors import InvalidTree

        there = conflict.party.states.theirs or conflict.party.states.base
        if there is None:
            return None
        try:
            return self.remote.last_change(there.path, self.revision)
        except InvalidTree:
            return None

    def left(self, resolved: Iterable[AssetId] = ()) -> int:
        """Return how many conflicts are open once these assets are resolved too."""
        done = set(resolved)
        return len({each.conflict for each in self.open if each.party.asset_id not in done})

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
                problem = f"{given!r} is in no conflict"
                raise CommandError("no_conflict", problem, "towline resolve --list")
            chosen.update(found)
        return tuple(each for each in self.conflicts if each.party.asset_id in chosen)


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
    from towline.options import OnConflict
    from towline.pull import plan_at

    revision, remote = project.fetched, project.remote()
    if revision is None:
        raise CommandError("not_fetched", "nothing was fetched yet", "towline fetch")
    if not remote.has(revision):
        problem = f"what was fetched of {short(revision)} is no longer here"
        raise CommandError("not_fetched", problem, "towline fetch")
    options = pull_options({"on_conflict": OnConflict.REFUSE, "allow_empty": True}, project)
    options = replace(options, use_saved=False, limits=options.limits.without_project_bounds())
    with project.store.snapshot() as snapshot:
        plan = plan_at(snapshot, remote, revision, options, watch=watch)
        saved = tuple(snapshot.saved_resolutions())
        remembered = tuple(snapshot.remembered_resolutions())
    kinds, mode, read = project.store.kinds, project.content_mode(), project.reader(remote)
    found = tuple(
        each
        for each in open_conflicts(plan, read, kinds=kinds, content_merge=mode)
        # What is here alone is in the way of others, and has no side to choose.
        if each.party.states.base is not None or each.party.states.theirs is not None
    )
    states = {each.party.asset_id: each.party.states for each in found}
    held = {
        each.asset_id: each
        for each in saved
        if each.asset_id in states and not each.moved(states[each.asset_id])
    }
    return ProjectConflicts(
        revision=revision,
        remote=remote,
        read=read,
        conflicts=found,
        saved=held,
        lapsed=tuple(each for each in saved if each.asset_id not in held),
        remembered=remembered,
    )
