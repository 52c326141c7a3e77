"""What an external executor does: it has the library and the repository, and no database."""

from __future__ import annotations

from towline import AssetIndex, Plan, PullOptions, merge
from towline.changes import Change, Changes, Coverage, RemoteAsset
from towline.merge.context import Context
from towline.model import AssetState, Digest
from towline.options import Selection
from towline.ports import Watch
from towline.remotes.git import GitRemote
from towline_server.runs.domain import PulledWindow
from towline_server.runs.external import Work


def planned(work: Work, only: Selection = Selection()) -> tuple[Plan, dict[Digest, bytes]]:
    """What an executor does with its work: no database, only the library and the repository."""
    plan, contents, _ = planned_window(work, only)
    return plan, contents


def planned_window(
    work: Work, only: Selection = Selection()
) -> tuple[Plan, dict[Digest, bytes], PulledWindow]:
    """The same for the next window, where the work has one, with what it found of the history."""
    with GitRemote(work.url, ref=work.ref, scope=work.scope) as remote:
        tip = remote.fetch(work.tip, work.limits, Watch())
        ends = [tip]
        if work.window is not None and work.state.base is not None:
            commits = remote.first_parents(work.state.base, tip)
            ends = work.window.ends(commits or ()) or ends
        revision = ends[0]
        listing = remote.listing(revision, work.kinds, work.limits, Watch())
        known = {
            state.path: RemoteAsset(state=state)
            for record in work.records
            if isinstance(state := record.recorded, AssetState)
        }
        changes = Changes(
            base=work.state.base,
            revision=revision,
            items=tuple(
                Change(path=path, before=known.get(path), after=listing.get(path))
                for path in sorted(known.keys() | listing.keys())
            ),
            coverage=Coverage.RECORDS,
        )
        plan = merge(
            changes,
            AssetIndex(work.records, names=work.names, used=work.used),
            context=Context(
                project=work.project,
                state=work.state,
                kinds=work.kinds,
                names=work.names,
                scope=work.scope,
                saved=work.resolutions,
            ),
            options=PullOptions(
                only=only,
                on_conflict=work.settings.on_conflict,
                content_merge=work.settings.content_merge,
                renames=work.settings.renames,
            ),
        )
        pulled = PulledWindow(tip=tip, left=len(ends) - 1)
        return plan, dict(remote.contents(plan.needed())), pulled
