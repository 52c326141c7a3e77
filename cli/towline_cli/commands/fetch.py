"""``fetch``: the repository's current revision into the cache, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from towline_cli.options import json_option
from towline_cli.output import behind_by, echo, print_json, short
from towline_cli.progress import watching
from towline_cli.project import open_project

if TYPE_CHECKING:
    from towline.model import Revision


@click.command()
@json_option
def fetch(as_json: bool) -> None:
    """Fetch from the repository, and change nothing here.

    Shows what moved, and how many commits the last pull is behind; `towline status` then lists
    those commits and the state of every asset, without network access.
    """
    with open_project() as project, watching() as watch:
        before = project.fetched
        remote = project.remote()
        revision = project.fetch(remote, project.limits(), watch)
        moved = before not in (None, revision)
        forced = remote.rewritten(before, revision) if before is not None and moved else False
        with project.store.snapshot() as snapshot:
            commits = project.commits_behind(snapshot.state().base)
    if as_json:
        print_json(
            {
                "url": remote.url,
                "ref": remote.ref,
                "before": before,
                "revision": revision,
                "forced": forced,
                "behind_by": None if commits is None else len(commits),
            }
        )
        return
    if before == revision:
        echo(f"Up to date: {remote.ref} is at {short(revision)}.")
    else:
        echo(f"From {remote.url}")
        echo(f"{_moved(before, revision, forced=bool(forced))}  {remote.ref}")
    if commits:
        echo(f"{behind_by(len(commits))}; towline status lists them")


def _moved(before: Revision | None, revision: Revision, *, forced: bool) -> str:
    """Return what moved, as git's fetch shows it."""
    if before is None:
        return f" * [new] {short(revision)}"
    if forced:
        return f" + {short(before)}...{short(revision)} (forced update)"
    return f"   {short(before)}..{short(revision)}"
