"""Options that several commands share, and the values that they become."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .output import echo_err, is_interactive

if TYPE_CHECKING:
    from towline.options import PullOptions, Selection

    from .project import Project

Command = TypeVar("Command", bound=Callable[..., Any])

json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, and nothing else, on stdout."
)
yes_option = click.option(
    "-y", "--yes", is_flag=True, help="Do not ask, even if local work is discarded."
)
verbose_option = click.option(
    "-v", "--verbose", is_flag=True, help="List every asset, even if there are many."
)
limit_options = (
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="NAME=VALUE",
        help="Set a limit, such as asset_bytes=10485760. Repeatable.",
    ),
    click.option(
        "--max-assets",
        type=click.IntRange(min=1),
        metavar="N",
        help="The most assets to track; short for --limit assets=N.",
    ),
)


def completes(what: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a completion by this function of `shell_completion`, loaded when it is used."""

    def complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
        from . import shell_completion

        found: list[str] = getattr(shell_completion, what)(context, incomplete)
        return found

    return complete


POLICIES = ["refuse", "skip", "theirs", "ours"]
RENAMES = ["similar", "exact", "off"]
CONTENT_MODES = ["auto", "structure", "lines", "never"]


def with_options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return one decorator for several options, in the order in which help shows them."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


choice_options = with_options(
    click.option(
        "--use-theirs",
        multiple=True,
        metavar="ID|PATH|GLOB",
        shell_complete=completes("conflicting"),
        help="Take the repository's version of this asset and discard local edits; for a folder "
        "or a glob, do so for its assets in conflict. Repeatable.",
    ),
    click.option(
        "--use-ours",
        multiple=True,
        metavar="ID|PATH|GLOB",
        shell_complete=completes("conflicting"),
        help="Keep this folder's version of this asset; for a folder or a glob, do so for its "
        "assets in conflict. Repeatable.",
    ),
    click.option(
        "--on-conflict",
        type=click.Choice(POLICIES),
        help="What to do if conflicts remain: change nothing (refuse, the default), pull "
        "everything else (skip), or take one side (theirs, ours).",
    ),
    click.option(
        "--content-merge",
        type=click.Choice(CONTENT_MODES),
        help="How to merge an asset that both sides edited: by JSON, YAML or TOML structure if "
        "it can be parsed, and line by line as git does otherwise (auto, the default); by only "
        "one of these (structure, lines); or not at all (never).",
    ),
    click.option(
        "--renames",
        type=click.Choice(RENAMES),
        help="How to detect renames in the repository: by embedded id, equal or similar content "
        "(similar, the default); by embedded id or equal content (exact); or not at all (off).",
    ),
    click.option(
        "--only",
        multiple=True,
        metavar="KIND|PATH|GLOB|ID",
        shell_complete=completes("selectable"),
        help="Pull only these assets (for a folder, those below it); leave the others for a "
        "later pull. Repeatable.",
    ),
    *limit_options,
    click.option(
        "--max-deletes",
        type=click.IntRange(min=0),
        metavar="N",
        help="Refuse to delete more than N assets.",
    ),
    click.option(
        "--allow-empty",
        is_flag=True,
        help="Continue even if the repository has no assets left.",
    ),
    click.option(
        "--plan-out",
        type=click.Path(dir_okay=False, writable=True),
        metavar="FILE",
        help="Also write the plan to FILE, for `towline apply`.",
    ),
)
"""The options that a pull decides by; a command gets them as ``**choices``."""


def pull_options(choices: dict[str, Any], project: Project) -> PullOptions:
    """Return the options of a pull; ``./`` and ``../`` in names start from the working folder.

    A setting of the project is the default of an option that is not given.
    """
    from towline.options import Naming, OnConflict, PullOptions, Resolutions

    return PullOptions(
        resolutions=Resolutions(
            **{
                side: frozenset(asset_name(name, project.prefix) for name in choices.get(side, ()))
                for side in ("use_theirs", "use_ours")
            },
            naming=Naming.IDS_OR_PATHS,
        ),
        on_conflict=OnConflict(
            choices.get("on_conflict") or project.setting("on_conflict") or OnConflict.REFUSE
        ),
        content_merge=project.content_mode(choices.get("content_merge")),
        renames=project.renames(choices.get("renames")),
        only=_selection(choices.get("only", ()), project),
        limits=project.limits(limit_settings(choices)),
        allow_empty=choices.get("allow_empty", False),
    )


def limit_settings(choices: dict[str, Any]) -> list[str]:
    """Return the limits of the command line as ``NAME=VALUE``; the short options are last."""
    short = {name: choices.get(f"max_{name}") for name in ("assets", "deletes")}
    given = (f"{name}={value}" for name, value in short.items() if value is not None)
    return [*choices.get("limits", ()), *given]


def asset_name(name: str, prefix: str) -> str:
    """Return a name as the project has it; ``prefix`` is the working folder inside the project."""
    if name not in (".", "..") and not name.startswith(("./", "../")):
        return name
    import posixpath

    return posixpath.normpath(posixpath.join(prefix, name))


def _selection(names: Sequence[str], project: Project) -> Selection:
    """Select by a kind's name, an asset's id, else a path, folder or glob, as ``./`` makes it."""
    from towline.model import AssetId
    from towline.options import Selection

    kinds = {kind.name for kind in project.store.kinds.kinds}.intersection(names)
    ids = {AssetId(name) for name in names if AssetId.allows(name)}
    with project.store.snapshot() as snapshot:
        ids = {each for each in ids if snapshot.with_id(each) is not None}
    others = [asset_name(name, project.prefix) for name in names if name not in kinds | ids]
    return Selection(kinds=frozenset(kinds), globs=tuple(others), ids=frozenset(ids))


def confirm(changes: str, lines: Iterable[str], *, unasked: bool) -> None:
    """Show changes at a terminal and ask; anything but yes ends the command, nothing changed."""
    from .errors import CommandError

    if unasked or not is_interactive():
        return
    for line in (changes, *lines):
        echo_err(line)
    sys.stdout.flush()
    if not click.confirm("Continue?", err=True):
        raise CommandError("declined", "nothing was changed")
