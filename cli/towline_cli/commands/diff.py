"""``diff`` and ``show``: what differs in each asset, and the bytes of one side."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import click

from towline.explain import SIDES
from towline.frozen import frozen
from towline_cli.errors import CommandError
from towline_cli.options import asset_name, completes, json_option
from towline_cli.output import echo, print_json
from towline_cli.progress import watching
from towline_cli.project import Project, open_project

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from towline.explain import Explanation
    from towline.model import AssetId, AssetPath, AssetState, ThreeWay
    from towline.plan import Plan
    from towline.status import AssetStatus

_AROUND_PULL = {"base": "before", "ours": "after"}
"""The names of the sides of a `PulledAsset`."""


@frozen(kw_only=True)
class PulledAsset:
    """An asset that a past pull changed; ``state`` is the list of its report.

    As ours it is after the pull, as base and theirs before.
    """

    asset_id: AssetId
    path: AssetPath
    kind: str
    state: str
    states: ThreeWay[AssetState | None]


_Asset: TypeAlias = "AssetStatus | PulledAsset"


@click.command()
@click.argument(
    "names", metavar="[ID|PATH|GLOB]...", nargs=-1, shell_complete=completes("asset_paths")
)
@click.option("--stat", is_flag=True, help="Show only how much differs in each asset.")
@click.option(
    "--pull",
    "number",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    shell_complete=completes("pull_numbers"),
    help="Show what the pull or undo with this number in `towline log` changed.",
)
@json_option
def diff(names: tuple[str, ...], stat: bool, number: int | None, as_json: bool) -> None:
    """Show conflicts and local edits, by field for JSON, YAML and TOML.

    Without a name, shows every asset in conflict or edited here; with a folder or a glob, those
    that it covers; with an id or a path, that asset in any state. Write -- before a name that
    starts with a dash. Does not use the network.
    """
    from towline.explain import explain
    from towline.resolve import merge_rules

    with open_project() as project, watching() as watch:
        if number is None:
            assets = _chosen(project.status(watch).assets, names, project)
        else:
            assets = _chosen(_pulled(project.logged(number).plan), names, project)
        read, kinds, mode = project.reader(), project.store.kinds, project.content_mode()
        explained = [
            (asset, explain(asset.states, read, merge_rules(asset.states, read, kinds, mode)))
            for asset in assets
        ]
    sides = SIDES if number is None else _AROUND_PULL
    if as_json:
        document = {"assets": [_json(asset, found, sides) for asset, found in explained]}
        print_json(document if number is None else {"pull": number, **document})
        return
    if not explained:
        changed = "No conflicts and no local edits."
        echo(changed if number is None else f"Pull {number} changed none of these.")
        return
    from towline_cli import difference_tables

    if stat:
        difference_tables.print_difference_counts(explained)
        return
    for asset, found in explained:
        difference_tables.print_difference(asset, found, sides)


@click.command()
@click.option("--base", is_flag=True, help="The version that was last pulled.")
@click.option("--ours", is_flag=True, help="The version in this folder (the default).")
@click.option("--theirs", is_flag=True, help="The version that was last fetched.")
@click.argument("name", metavar="ID|PATH", shell_complete=completes("asset_paths"))
def show(name: str, **sides: bool) -> None:
    """Print the content of one side of an asset.

    The bytes are printed unchanged. Does not use the network. `towline diff` compares the sides.
    """
    import sys

    from towline.errors import ContentMissing, UnknownAssets

    chosen = [side for side in SIDES if sides[side]] or ["ours"]
    if len(chosen) > 1:
        raise click.UsageError(f"--{chosen[0]} and --{chosen[1]} cannot be used together")
    side = chosen[0]
    with open_project() as project, watching() as watch:
        name = asset_name(name, project.prefix)
        asset = _asset_named(project.status(watch).assets, name)
        if asset is None:
            raise UnknownAssets(asset_ids=(name,))
        state = getattr(asset.states, side)
        if state is None:
            raise CommandError("absent", f"{asset.path} does not exist in {side}")
        content = project.reader()(state.digest)
    if content is None:
        raise ContentMissing(digests=(state.digest,))
    sys.stdout.buffer.write(content)
    sys.stdout.buffer.flush()


def _pulled(plan: Plan) -> list[PulledAsset]:
    """Return what a past pull changed, sorted by path."""
    from towline.model import ThreeWay

    states = {edit.asset_id: edit.ours for edit in plan.edits}
    return [
        PulledAsset(
            asset_id=item.asset_id,
            path=item.path,
            kind=item.kind,
            state=str(item.disposition),
            states=ThreeWay(before, after, before),
        )
        for item in plan.items
        if item.asset_id is not None
        for before, after in [states.get(item.asset_id, (None, None))]
        if before != after
    ]


def _chosen(assets: Sequence[_Asset], names: Sequence[str], project: Project) -> list[_Asset]:
    """Return the assets to show, each once, in the order of their paths."""
    if not names:
        return [asset for asset in assets if _is_edited(asset)]
    chosen = {
        asset.asset_id
        for name in names
        for asset in _named(assets, asset_name(name, project.prefix))
    }
    return [asset for asset in assets if asset.asset_id in chosen]


def _is_edited(asset: _Asset) -> bool:
    return isinstance(asset, PulledAsset) or asset.state == "conflict" or asset.is_edited_here


def _named(assets: Sequence[_Asset], name: str) -> list[_Asset]:
    """Return what a name means: an id, a path here, there or before, a folder, or a glob.

    Of a folder and a glob only what is in conflict or edited here.
    """
    from towline.errors import UnknownAssets
    from towline.globs import matches_any

    if (asset := _asset_named(assets, name)) is not None:
        return [asset]
    folder = "" if name == "." else f"{name.rstrip('/')}/"
    covered = [asset for asset in assets if asset.path.startswith(folder)]
    covered = covered or [asset for asset in assets if matches_any((name,), asset.path)]
    if not covered:
        raise UnknownAssets(asset_ids=(name,))
    return [asset for asset in covered if _is_edited(asset)]


def _asset_named(assets: Sequence[_Asset], name: str) -> _Asset | None:
    """Return the asset that has this id, else this path here, there, or before."""
    for asset in assets:
        if asset.asset_id == name:
            return asset
    for side in SIDES:
        for asset in assets:
            state = getattr(asset.states, side)
            if state is not None and state.path == name:
                return asset
    return None


def _json(asset: _Asset, found: Explanation, sides: Mapping[str, str]) -> dict[str, object]:
    from towline.content.pointers import format_pointer
    from towline.explain import explanation_json
    from towline.report import state_json

    return {
        "asset_id": asset.asset_id,
        "path": asset.path,
        "name": asset.path.name,
        "kind": asset.kind,
        "state": str(asset.state),
        **{name: state_json(getattr(asset.states, side)) for side, name in sides.items()},
        **explanation_json(found, sides),
        "merged_by": found.merged_by,
        "taken": [
            {"pointer": format_pointer(each.pointer), "rule": each.rule} for each in found.taken
        ],
    }
