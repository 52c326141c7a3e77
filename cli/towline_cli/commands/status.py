"""``status``: local and fetched changes, without the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from towline_cli.options import json_option
from towline_cli.output import (
    behind_by,
    commit_json,
    echo,
    echo_err,
    print_json,
    print_notes,
    short,
)
from towline_cli.progress import watching
from towline_cli.project import Project, open_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline.remotes.objects import Commit
    from towline.status import ProjectStatus


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Show unchanged assets too.")
@json_option
def status(everything: bool, as_json: bool) -> None:
    """Show the state of every asset, without network access.

    States: unchanged, modified-here, modified-there, conflict, local-only, added-there,
    deleted-here, deleted-there, behind (the last pull left it as it was). "here" is this folder;
    "there" is the last fetched revision. "behind by N commits" counts from the last pulled
    revision to the last fetched one; run `towline fetch` to fetch again.
    """
    with open_project() as project:
        with watching() as watch:
            found = project.status(watch, unchanged=everything or as_json)
            commits = project.commits_behind(found.base)
        if as_json:
            from towline.status import status_json

            listed = None if commits is None else [commit_json(commit) for commit in commits]
            print_json({**status_json(found), "commits_behind": listed})
        else:
            _print_status(found, project, commits or ())


def _print_status(found: ProjectStatus, project: Project, commits: Sequence[Commit]) -> None:
    where = f"{project.setting('ref') or 'the default branch'} of {project.setting('url')}"
    echo(f"Tracking {where}")
    pulled, fetched = (short(each) if each else "never" for each in (found.base, found.revision))
    echo(f"last pulled {pulled}, last fetched {fetched}")
    if commits:
        from towline_cli import tables

        echo(f"{behind_by(len(commits))}:")
        tables.print_commits(commits)
    if found.assets:
        from towline_cli import tables

        tables.print_status(found.assets)
    if found.left_out:
        echo(f"{found.left_out} unchanged")
    if found.problem:
        echo_err(f"Only local changes are shown: {found.problem}")
    print_notes(found.unused)
    conflicts = [asset for asset in found.assets if asset.state == "conflict"]
    if any(not asset.settled for asset in conflicts):
        echo_err("hint: towline diff shows the conflicts; towline resolve resolves them one by one")
    elif conflicts:
        echo_err("hint: towline pull applies the resolutions")
