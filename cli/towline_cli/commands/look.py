"""``status``, ``diff`` and ``log``: what there is to see without the network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from towline_cli.options import asset_name, completes, json_option
from towline_cli.output import note, print_json, say
from towline_cli.progress import watching
from towline_cli.project import Project, open_project
from towline_cli.reporting import LISTS, Wording, answer, short

if TYPE_CHECKING:
    from towline.explain import Explanation, Read
    from towline.model import Digest
    from towline.ports import LoggedPull
    from towline.status import AssetStatus, ProjectStatus


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Show unchanged assets too.")
@json_option
def status(everything: bool, as_json: bool) -> None:
    """Show where every asset stands; asks no network.

    States: unchanged, modified-here, modified-there, conflict, local-only, added-there,
    deleted-here, deleted-there, behind (not as the last pulled revision has it). There is the
    revision that was fetched last: `towline plan` fetches anew.
    """
    with open_project() as project, watching() as watch:
        found = project.status(watch)
        if as_json:
            from towline.status import status_json

            print_json(status_json(found))
        else:
            _tell_status(found, project, everything=everything)


def _tell_status(found: ProjectStatus, project: Project, *, everything: bool) -> None:
    where = f"{project.setting('ref') or 'the default branch'} of {project.setting('url')}"
    say(f"Project of {where}")
    pulled, fetched = (short(each) if each else "never" for each in (found.base, found.revision))
    say(f"last pulled {pulled}, last fetched {fetched}")
    changed = [asset for asset in found.assets if everything or asset.state != "unchanged"]
    if changed:
        from towline_cli import tables

        tables.print_status(changed)
    if hidden := len(found.assets) - len(changed):
        say(f"{hidden} unchanged")
    if found.problem:
        note(f"Only local changes are shown: {found.problem}")
    if any(asset.state == "conflict" for asset in found.assets):
        note("hint: towline diff shows what differs; pull --use-theirs or --use-ours chooses")


@click.command()
@click.argument(
    "name", metavar="[ID|PATH]", required=False, shell_complete=completes("asset_paths")
)
@json_option
def diff(name: str | None, as_json: bool) -> None:
    """Show conflicts and local edits, field by field for JSON.

    Without a name, of every asset in conflict or edited here; with one (write -- before a name
    that starts with a dash) of that asset, whatever its state. Asks no network.
    """
    from towline.explain import explain

    with open_project() as project, watching() as watch:
        assets = _chosen(project.status(watch), name, project)
        read = _reader(project)
        told = [(asset, explain(asset.states, read)) for asset in assets]
    if as_json:
        print_json({"assets": [_difference_json(asset, found) for asset, found in told]})
    else:
        _tell_differences(told)


_EDITED = frozenset(["conflict", "modified-here", "deleted-here"])


def _chosen(found: ProjectStatus, name: str | None, project: Project) -> list[AssetStatus]:
    """The assets to show; ids go before paths here, and those before paths elsewhere."""
    if name is None:
        return [asset for asset in found.assets if asset.state in _EDITED or _is_edited(asset)]
    name = asset_name(name, project.prefix)
    ranked = [(_rank(asset, name), asset) for asset in found.assets]
    best = min((rank for rank, _ in ranked), default=_UNNAMED)
    if best == _UNNAMED:
        from towline.errors import UnknownAssets

        raise UnknownAssets(asset_ids=(name,))
    return [asset for rank, asset in ranked if rank == best]


def _is_edited(asset: AssetStatus) -> bool:
    """Whether an asset that is behind was edited here."""
    return asset.state == "behind" and asset.states.ours != asset.states.base


_UNNAMED = 4


def _rank(asset: AssetStatus, name: str) -> int:
    sides = (asset.states.ours, asset.states.theirs, asset.states.base)
    if asset.asset_id == name:
        return 0
    paths = [state.path if state is not None else None for state in sides]
    return paths.index(name) + 1 if name in paths else _UNNAMED  # type: ignore[arg-type] # a path is a str


def _reader(project: Project) -> Read:
    """Bytes of the store, or of what was fetched."""
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


def _tell_differences(told: list[tuple[AssetStatus, Explanation]]) -> None:
    if not told:
        say("No conflicts and no local edits.")
        return
    from towline_cli import tables

    for asset, found in told:
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


@click.command()
@click.argument(
    "number",
    metavar="[NUMBER]",
    type=click.IntRange(min=1),
    required=False,
    shell_complete=completes("pull_numbers"),
)
@json_option
def log(number: int | None, as_json: bool) -> None:
    """Show the pulls that were made here.

    Newest first; with a number, the report of that one.
    """
    with open_project() as project:
        entries = project.store.log()
    if number is not None:
        _tell_pull(entries, number, as_json=as_json)
    elif as_json:
        print_json({"pulls": [_pull_json(entry) for entry in entries]})
    elif entries:
        from towline_cli import tables

        tables.print_log([(entry, _counts(entry)) for entry in entries])
    else:
        say("No pull was made here yet.")


def _tell_pull(entries: Iterable[LoggedPull], number: int, *, as_json: bool) -> None:
    from dataclasses import replace

    from towline.errors import UnknownPull
    from towline.report import report_of

    for entry in entries:
        if entry.number == number:
            report = replace(report_of(entry.plan), pull=number)
            wording = Wording(done=f"Pull {number} went", nothing=f"Pull {number} changed nothing")
            if (undoes := entry.plan.undoes) is not None:
                wording = Wording(done=f"Undo {number} took back {undoes}", is_undo=True)
            answer(report, wording, as_json=as_json)
            return
    raise UnknownPull(pull=number)


def _counts(entry: LoggedPull) -> dict[str, int]:
    from towline.report import report_of

    report = report_of(entry.plan)
    return {name: len(getattr(report, name)) for name in LISTS}


def _pull_json(entry: LoggedPull) -> dict[str, object]:
    return {
        "number": entry.number,
        "at": entry.at.isoformat() if entry.at is not None else None,
        "kind": str(entry.plan.kind),
        "undoes": entry.plan.undoes,
        "undone": entry.undone,
        "base": entry.plan.before.base,
        "revision": entry.plan.after.base,
        "counts": _counts(entry),
    }
