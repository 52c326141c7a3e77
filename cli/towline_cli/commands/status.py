"""``status`` and ``diff``: local and fetched changes, without the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from towline_cli.errors import CommandError
from towline_cli.options import asset_name, completes, content_mode, json_option
from towline_cli.output import behind_by, echo, echo_err, print_json, short
from towline_cli.progress import watching
from towline_cli.project import Project, open_project

if TYPE_CHECKING:
    from collections.abc import Sequence

    from towline.explain import Explanation, Read
    from towline.model import Digest
    from towline.remotes.objects import Commit
    from towline.status import AssetStatus, ProjectStatus


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Show unchanged assets too.")
@json_option
def status(everything: bool, as_json: bool) -> None:
    """Show the state of every asset, without the network.

    States: unchanged, modified-here, modified-there, conflict, local-only, added-there,
    deleted-here, deleted-there, behind (the last pull left it as it was). "here" is this folder;
    "there" is the revision that was fetched last, and "behind by N commits" counts from the last
    pulled one to it: `towline fetch` fetches again.
    """
    with open_project() as project, watching() as watch:
        found = project.status(watch)
        commits = project.commits_behind(found.base)
        if as_json:
            from towline.status import status_json

            listed = None if commits is None else [_commit_json(commit) for commit in commits]
            print_json({**status_json(found), "commits_behind": listed})
        else:
            _print_status(found, project, commits or (), everything=everything)


def _commit_json(commit: Commit) -> dict[str, object]:
    return {
        "revision": commit.id,
        "subject": commit.subject,
        "author": commit.author,
        "time": None if commit.time is None else commit.time.isoformat(),
    }


def _print_status(
    found: ProjectStatus, project: Project, commits: Sequence[Commit], *, everything: bool
) -> None:
    where = f"{project.setting('ref') or 'the default branch'} of {project.setting('url')}"
    echo(f"Project of {where}")
    pulled, fetched = (short(each) if each else "never" for each in (found.base, found.revision))
    echo(f"last pulled {pulled}, last fetched {fetched}")
    if commits:
        from towline_cli import tables

        echo(f"{behind_by(len(commits))}:")
        tables.print_commits(commits)
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
    "names", metavar="[ID|PATH|GLOB]...", nargs=-1, shell_complete=completes("asset_paths")
)
@click.option("--stat", is_flag=True, help="Show how much differs in each asset, and no contents.")
@json_option
def diff(names: tuple[str, ...], stat: bool, as_json: bool) -> None:
    """Show conflicts and local edits, by field for JSON, YAML and TOML.

    Without a name, of every asset in conflict or edited here; with a folder or a glob, of those
    below it; with an id or a path of that asset, whatever its state. Write -- before a name that
    starts with a dash. Does not use the network.
    """
    from towline.explain import explain
    from towline.merge.decide import content_rules

    with open_project() as project, watching() as watch:
        assets = _chosen(project.status(watch), names, project)
        read, kinds, mode = _reader(project), project.store.kinds, content_mode(project)
        explained = [
            (asset, explain(asset.states, read, content_rules(kinds, asset.path, mode)))
            for asset in assets
        ]
    if as_json:
        print_json({"assets": [_difference_json(asset, found) for asset, found in explained]})
    else:
        _print_differences(explained, stat=stat)


@click.command()
@click.option("--base", "side", flag_value="base", help="As it was last pulled.")
@click.option("--ours", "side", flag_value="ours", default=True, help="As it is here: the default.")
@click.option("--theirs", "side", flag_value="theirs", help="As it was last fetched.")
@click.argument("name", metavar="ID|PATH", shell_complete=completes("asset_paths"))
def show(side: str, name: str) -> None:
    """Write one side of an asset to standard output.

    Its bytes as they are, without the network. `towline diff` compares the sides.
    """
    import sys

    from towline.errors import ContentMissing, UnknownAssets

    with open_project() as project, watching() as watch:
        name = asset_name(name, project.prefix)
        asset = _asset_named(project.status(watch), name)
        if asset is None:
            raise UnknownAssets(asset_ids=(name,))
        state = getattr(asset.states, side)
        if state is None:
            raise CommandError("absent", f"{asset.path} is absent in {side}")
        content = _reader(project)(state.digest)
    if content is None:
        raise ContentMissing(digests=(state.digest,))
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


_EDITED = frozenset(["conflict", "modified-here", "deleted-here"])


def _chosen(found: ProjectStatus, names: Sequence[str], project: Project) -> list[AssetStatus]:
    """Return the assets to show, each once, in the order of their paths."""
    if not names:
        return [asset for asset in found.assets if _is_edited(asset)]
    chosen = {
        asset.asset_id
        for name in names
        for asset in _named(found, asset_name(name, project.prefix))
    }
    return [asset for asset in found.assets if asset.asset_id in chosen]


def _is_edited(asset: AssetStatus) -> bool:
    return asset.state in _EDITED or (
        asset.state == "behind" and asset.states.ours != asset.states.base
    )


def _named(found: ProjectStatus, name: str) -> list[AssetStatus]:
    """Return what a name means: an id, a path here, there or before, a folder, or a glob.

    Of a folder and a glob only what is in conflict or edited here.
    """
    from towline.errors import UnknownAssets
    from towline.globs import matches_any

    if (asset := _asset_named(found, name)) is not None:
        return [asset]
    folder = "" if name == "." else f"{name.rstrip('/')}/"
    covered = [asset for asset in found.assets if asset.path.startswith(folder)]
    covered = covered or [asset for asset in found.assets if matches_any((name,), asset.path)]
    if not covered:
        raise UnknownAssets(asset_ids=(name,))
    return [asset for asset in covered if _is_edited(asset)]


def _asset_named(found: ProjectStatus, name: str) -> AssetStatus | None:
    """Return the asset that has this id, else this path here, there, or before."""
    for asset in found.assets:
        if asset.asset_id == name:
            return asset
    for side in ("ours", "theirs", "base"):
        for asset in found.assets:
            state = getattr(asset.states, side)
            if state is not None and state.path == name:
                return asset
    return None


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


def _print_differences(explained: list[tuple[AssetStatus, Explanation]], *, stat: bool) -> None:
    if not explained:
        echo("No conflicts and no local edits.")
        return
    from towline_cli import tables

    if stat:
        tables.print_difference_counts(explained)
        return
    for asset, found in explained:
        tables.print_difference(asset, found)


def _difference_json(asset: AssetStatus, found: Explanation) -> dict[str, object]:
    from towline.content.structure import format_pointer
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
        "merged_by": found.merged_by,
        "taken": [
            {"pointer": format_pointer(each.pointer), "rule": each.rule} for each in found.taken
        ],
    }
