"""``resolve``: choose how each open conflict is settled; the next pull does it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from towline_cli.errors import CommandError
from towline_cli.exit_codes import INTERRUPTED, OK, USAGE
from towline_cli.options import asset_name, completes, json_option
from towline_cli.output import (
    describe,
    echo,
    echo_err,
    is_interactive,
    pluralize,
    print_json,
    print_notes,
)
from towline_cli.progress import watching
from towline_cli.project import Project, open_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from towline.model import AssetId
    from towline.resolutions import SavedResolution
    from towline.resolve import OpenConflict, PlannedConflicts
    from towline_cli.open_conflicts import ProjectConflicts


class _Command(click.Command):
    """Has an option whose value is optional, and attached with ``=`` as in git."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, where a bare ``--tool`` takes no other word as its value."""
        end = args.index("--") if "--" in args else len(args)
        options = ["--tool=" if each == "--tool" else each for each in args[:end]]
        return super().parse_args(ctx, [*options, *args[end:]])


@click.command(cls=_Command)
@click.argument(
    "names", metavar="[ID|PATH|GLOB]...", nargs=-1, shell_complete=completes("conflicting")
)
@click.option("--theirs", is_flag=True, help="Take the repository's version of these assets.")
@click.option("--ours", is_flag=True, help="Keep this folder's version of these assets.")
@click.option(
    "--with",
    "with_file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="Use the content of FILE for this asset; - reads standard input.",
)
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="POINTER=SIDE",
    shell_complete=completes("clashing_fields"),
    help="Take theirs or ours for this field, and merge the rest. Repeat it for each field that "
    "clashes.",
)
@click.option(
    "--tool",
    metavar="[=NAME]",
    help="Merge each asset with this tool of git mergetool; without NAME, with git's merge.tool.",
)
@click.option(
    "--remembered", is_flag=True, help="Resolve the conflicts as they were resolved before."
)
@click.option("--list", "listing", is_flag=True, help="List the conflicts and their resolutions.")
@click.option(
    "--clear", is_flag=True, help="Delete the saved resolutions of these assets, or of all."
)
@json_option
@click.option(
    "-y", "--yes", is_flag=True, help="Use FILE without asking, even if it looks unfinished."
)
def resolve(
    names: tuple[str, ...],
    *,
    theirs: bool,
    ours: bool,
    with_file: str | None,
    fields: tuple[str, ...],
    tool: str | None,
    remembered: bool,
    listing: bool,
    clear: bool,
    as_json: bool,
    yes: bool,
) -> int:
    """Resolve conflicts one at a time.

    Without an option, goes through the open conflicts at the terminal, or through those that are
    named. A resolution is saved, and the next `towline pull` applies it. It lapses when the asset
    changes on any side. A folder or a glob does not replace a choice made for one asset by its
    path or id. Does not use the network: conflicts are those with the last fetched revision.
    """
    given = {
        "--theirs": theirs,
        "--ours": ours,
        "--with": with_file is not None,
        "--field": bool(fields),
        "--tool": tool is not None,
        "--remembered": remembered,
        "--list": listing,
        "--clear": clear,
    }
    chosen = [name for name, on in given.items() if on]
    _check_usage(chosen, names, as_json=as_json)
    with open_project() as project:
        if clear:
            return _clear(project, names, as_json=as_json)
        from towline_cli.open_conflicts import load_conflicts

        with watching() as watch:
            found = load_conflicts(project, watch)
        if listing:
            return _list(project, found, names, as_json=as_json)
        session = _Session(
            project=project,
            found=found,
            asks=not (yes or as_json),
            by_pattern=found.by_pattern(names, project) if names else frozenset(),
        )
        conflicts = found.named(names, project) if names else found.open
        with session.reported(as_json=as_json):
            if not chosen:
                session.walk(conflicts)
            elif with_file is not None or fields:
                session.take_one(conflicts, with_file, fields)
            elif tool is not None:
                session.take_tool(session.without_own(conflicts), tool)
            elif remembered:
                session.take_remembered(session.without_own(conflicts))
            else:
                session.take_side(session.without_own(conflicts), "theirs" if theirs else "ours")
        return INTERRUPTED if session.interrupted else OK


def _check_usage(chosen: Sequence[str], names: Sequence[str], *, as_json: bool) -> None:
    if len(chosen) > 1:
        raise click.UsageError(f"{chosen[0]} and {chosen[1]} cannot be used together")
    if chosen and chosen[0] in ("--theirs", "--ours", "--with", "--field") and not names:
        everything = "" if chosen[0] in ("--with", "--field") else ", or . for every conflict"
        raise click.UsageError(f"{chosen[0]} needs the path or id of an asset{everything}")
    if not chosen and (as_json or not is_interactive()):
        raise CommandError(
            "not_interactive",
            "resolving conflicts without an option needs a terminal",
            "choose a side with towline resolve PATH --theirs or --ours, or see --help",
            exit_with=USAGE,
        )


@dataclass(kw_only=True)
class _Session:
    """The resolutions that this command saves."""

    project: Project
    found: ProjectConflicts
    asks: bool
    """Whether it warns of a doubtful content, and asks at a terminal."""
    by_pattern: frozenset[AssetId]
    """The assets that folders and globs alone name."""
    warnings: list[str] = field(default_factory=list)
    resolved: list[tuple[OpenConflict, SavedResolution]] = field(default_factory=list)
    unchanged: list[SavedResolution] = field(default_factory=list)
    """The choices made for one asset that a folder or glob does not replace."""
    interrupted: bool = False

    def save(self, conflict: OpenConflict, resolution: SavedResolution) -> None:
        """Save one at once, so that no later failure loses it."""
        self.project.store.save_resolutions([resolution])
        self.resolved.append((conflict, resolution))

    def without_own(self, conflicts: Sequence[OpenConflict]) -> list[OpenConflict]:
        """Return the conflicts without those that a folder or glob leaves as they are settled."""
        taken = []
        for conflict in conflicts:
            own = self.found.own_choice(conflict)
            if own is None or conflict.party.asset_id not in self.by_pattern:
                taken.append(conflict)
            else:
                self.unchanged.append(own)
        return taken

    def walk(self, conflicts: Sequence[OpenConflict]) -> None:
        """Ask for each."""
        from towline_cli.walk import walk

        try:
            walk(self.found, conflicts, self.save)
        except click.Abort:
            echo_err("")
            self.interrupted = True

    def take_side(self, conflicts: Sequence[OpenConflict], side: str) -> None:
        """Resolve all to one side."""
        from towline.options import Side

        chosen = [(each, each.resolution(side=Side(side))) for each in conflicts]
        for conflict, resolution in chosen:
            by_pattern = resolution.asset_id in self.by_pattern
            self.save(conflict, replace(resolution, by_pattern=by_pattern))

    def take_one(
        self, conflicts: Sequence[OpenConflict], with_file: str | None, fields: Sequence[str]
    ) -> None:
        """Resolve one by a content, or a side for each field."""
        from towline.options import Side

        if len(conflicts) > 1:
            raise click.UsageError(
                f"name one asset: {len(conflicts)} of those named are in conflict"
            )
        for conflict in self.without_own(conflicts):
            if with_file is not None:
                self._take_file(conflict, with_file)
                continue
            sides: dict[str, Side] = {}
            for text in fields:
                pointer, _, side = text.rpartition("=")
                if side not in ("theirs", "ours"):
                    raise click.UsageError(f"--field {text}: must end in =theirs or =ours")
                sides[pointer] = Side(side)
            self.save(conflict, conflict.resolution(fields=sides))

    def _take_file(self, conflict: OpenConflict, file: str) -> None:
        """Resolve one by any content; warn of what looks unfinished, and at a terminal ask."""
        from towline_cli.merging import doubts

        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        resolution = conflict.resolution(content=content)
        self.warnings += [f"{file} {doubt}" for doubt in doubts(content, conflict)]
        if self.asks and self.warnings:
            for warning in self.warnings:
                echo_err(f"warning: {warning}")
            if is_interactive() and not click.confirm("Use it anyway?", err=True):
                raise CommandError("declined", "nothing was saved")
        self.save(conflict, resolution)

    def take_tool(self, conflicts: Sequence[OpenConflict], tool: str) -> None:
        """Merge each in this merge tool, or that of git's configuration."""
        from towline_cli.merging import run_merge_tool

        for conflict in conflicts:
            content = run_merge_tool(conflict, tool or None)
            self.save(conflict, conflict.resolution(content=content))

    def take_remembered(self, conflicts: Sequence[OpenConflict]) -> None:
        """Resolve those that are remembered."""
        for conflict in conflicts:
            if (resolution := conflict.remembered(self.found.remembered)) is not None:
                self.save(conflict, resolution)

    @contextmanager
    def reported(self, *, as_json: bool) -> Iterator[None]:
        """Report what was saved, also where a later conflict fails."""
        try:
            yield
        except BaseException:
            if not as_json:
                self._print_resolved()
            raise
        from towline_cli.open_conflicts import plan_with_fetched, resolution_json

        planned = self.found.planned
        if self.resolved:
            # Ctrl-C has ended the processes of the remote that was open.
            remote = self.project.remote() if self.interrupted else self.found.remote
            with watching() as watch:
                planned = plan_with_fetched(self.project, remote, watch)
        if as_json:
            print_json(
                {
                    "resolved": [resolution_json(each) for _, each in self.resolved],
                    "unchanged": [resolution_json(each) for each in self.unchanged],
                    "conflicts_left": len(planned.open),
                    "unused": [asdict(note) for note in planned.unused],
                    "warnings": self.warnings,
                }
            )
            return
        self._print_resolved()
        resolved = {resolution.asset_id for _, resolution in self.resolved}
        _print_left(planned, about=resolved)

    def _print_resolved(self) -> None:
        for conflict, resolution in self.resolved:
            echo(f"Resolved {conflict.path}: {describe(resolution)}")
        for each in self.unchanged:
            echo(
                f"{each.path} is resolved already: {describe(each)}; name its path to replace that"
            )


def _print_left(planned: PlannedConflicts, about: Iterable[AssetId]) -> None:
    """Print what is left, and what is in the way of these assets."""
    print_notes(planned.unused)
    shown = set(about)
    blockers = {
        path
        for conflict in planned.open
        if shown.intersection(party.asset_id for party in conflict.parties)
        for path in conflict.blockers
    }
    for path in sorted(blockers):
        echo(f"in the way: {path}")
    if planned.open:
        echo(f"{pluralize(len(planned.open), 'conflict')} left.")
    elif planned.plan.conflicts:
        echo("No conflicts left; towline pull applies the resolutions.")
    else:
        echo("No conflicts with the last fetched revision.")


def _list(project: Project, found: ProjectConflicts, names: Sequence[str], *, as_json: bool) -> int:
    from towline_cli.open_conflicts import conflict_json

    conflicts = found.named(names, project) if names else found.conflicts
    if as_json:
        print_json(
            {
                "conflicts": [conflict_json(each, found) for each in conflicts],
                "conflicts_left": len(found.planned.open),
                "unused": [asdict(note) for note in found.planned.unused],
            }
        )
        return OK
    if conflicts:
        from towline_cli import tables

        tables.print_resolutions(
            (
                str(each.conflict.kind),
                each.path,
                found.resolution(each),
                each.party.asset_id,
            )
            for each in conflicts
        )
    _print_left(found.planned, about=(each.party.asset_id for each in conflicts))
    return OK


def _clear(project: Project, names: Sequence[str], *, as_json: bool) -> int:
    from towline_cli.open_conflicts import covers, resolution_json

    with project.store.snapshot() as snapshot:
        saved = snapshot.saved_resolutions()
    wanted = [asset_name(name, project.prefix) for name in names]

    def is_named(each: SavedResolution, name: str) -> bool:
        paths = [state.path for state in each.states if state is not None]
        return covers(name, each.asset_id, paths)

    for given, name in zip(names, wanted, strict=True):
        if not any(is_named(each, name) for each in saved):
            problem = f"{given!r} has no saved resolution"
            raise CommandError("no_resolution", problem, "towline resolve --list lists them")
    gone = [each for each in saved if not names or any(is_named(each, name) for name in wanted)]
    if gone:
        project.store.save_resolutions(clear=[each.asset_id for each in gone])
    if as_json:
        print_json({"cleared": [resolution_json(each) for each in gone]})
    else:
        echo(f"{pluralize(len(gone), 'resolution')} cleared.")
    return OK
