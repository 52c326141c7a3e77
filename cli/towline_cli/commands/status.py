"""``status`` and ``diff``: local and fetched changes, without the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from towline_cli.options import asset_name, completes, json_option
from towline_cli.output import echo, echo_err, print_json, short
from towline_cli.progress import watching
from towline_cli.project import Project, open_project

if TYPE_CHECKING:
    from towline.explain import Explanation, Read
    from towline.model import Digest
    from towline.status import AssetStatus, ProjectStatus


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Show unchanged assets too.")
@json_option
def status(everything: bool, as_json: bool) -> None:
    """Show the state of every asset, without the network.

    States: unchanged, modified-here, modified-there, conflict, local-only, added-there,
    deleted-here, deleted-there, behind (not as the last pulled revision has it). There is the
    last fetched revision: `towline plan` fetches again.
    """
    with open_project() as project, watching() as watch:
        found = project.status(watch)
        if as_json:
            from towline.status import status_json

            print_json(status_json(found))
        else:
            _print_status(found, project, everything=everything)


def _print_status(found: ProjectStatus, project: Project, *, everything: bool) -> None:
    where = f"{project.setting('ref') or 'the default branch'} of {project.setting('url')}"
    echo(f"Project of {where}")
    pulled, fetched = (short(each) if each else "never" for each in (found.base, found.revision))
    echo(f"last pulled {pulled}, last fetched {fetched}")
    changed = [asset for asset in found.assets if everything or asset.state != "unchanged"]
    if changed:
        from towline_cli import tables

        tables.print_status(changed)
    if hidden := len(found.assets) - len(changed):
        echo(f"{hidden} unchanged")
    if found.problem:
        echo_err(f"Only local changes are shown: {found.problem}")
    if any(asset.state == "conflict" for asset in found.assets):
        echo_err("hint: towline diff shows the conflicts, towline pull --use-theirs PATH chooses")


@click.command()
@click.argument(
    "name", metavar="[ID|PATH]", required=False, shell_complete=completes("asset_paths")
)
@json_option
def diff(name: str | None, as_json: bool) -> None:
    """Show conflicts and local edits, field by field for JSON.

    Without a name, of every asset in conflict or edited here; with one (write -- before a name
    that starts with a dash) of that asset, whatever its state. Does not use the network.
    """
    from towline.explain import explain

    with open_project() as project, watching() as watch:
        assets = _chosen(project.status(watch), name, project)
        read = _reader(project)
        explained = [(asset, explain(asset.states, read)) for asset in assets]
    if as_json:
        print_json({"assets": [_difference_json(asset, found) for asset, found in explained]})
    else:
        _print_differences(explained)


_EDITED = frozenset(["conflict", "modified-here", "deleted-here"])


def _chosen(found: ProjectStatus, name: str | None, project: Project) -> list[AssetStatus]:
    """Return the assets to show; a name is first an id, then a path here, there, or before."""
    if name is None:
        return [
            asset
            for asset in found.assets
            if asset.state in _EDITED
            or (asset.state == "behind" and asset.states.ours != asset.states.base)
        ]
    name = asset_name(name, project.prefix)
    if chosen := [asset for asset in found.assets if asset.asset_id == name]:
        return chosen
    for side in ("ours", "theirs", "base"):
        states = ((asset, getattr(asset.states, side)) for asset in found.assets)
        if chosen := [asset for asset, state in states if state and state.path == name]:
            return chosen
    from towline.errors import UnknownAssets

    raise UnknownAssets(asset_ids=(name,))


def _reader(project: Project) -> Read:
    """Return a function that reads the bytes of the store, or of what was fetched."""
    from towline.errors import ContentMissing, RemoteError

    remote = project.remote()

    def read(digest: Digest) -> bytes | None:
        if (content := project.store.read(digest)) is not None:
            return content
        try:
            return next(content for _, content in remote.contents([digest]))
        except (ContentMissing, RemoteError):
            return None

    return read


def _print_differences(explained: list[tuple[AssetStatus, Explanation]]) -> None:
    if not explained:
        echo("No conflicts and no local edits.")
        return
    from towline_cli import tables

    for asset, found in explained:
        tables.print_difference(asset, found)


def _difference_json(asset: AssetStatus, found: Explanation) -> dict[str, object]:
    from towline.explain import explanation_json
    from towline.report import state_json

    return {
        "asset_id": asset.asset_id,
        "path": asset.path,
        "name": asset.path.name,
        "kind": asset.kind,
        "state": str(asset.state),
        "base": state_json(asset.states.base),
        "ours": state_json(asset.states.ours),
        "theirs": state_json(asset.states.theirs),
        **explanation_json(found),
    }
