"""``plan``, ``pull`` and ``apply``: make a plan, and apply it."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from towline_cli.options import (
    choice_options,
    confirm,
    json_option,
    pull_options,
    verbose_option,
    yes_option,
)
from towline_cli.progress import watching
from towline_cli.project import Project, open_project
from towline_cli.reporting import Wording, show_report, show_up_to_date

if TYPE_CHECKING:
    from towline.model import Revision
    from towline.options import PullOptions
    from towline.plan import Plan
    from towline.ports import Watch
    from towline.remotes.credentials import Credential
    from towline.remotes.git import GitRemote

_PLANNED = Wording(done="Would pull", nothing="Up to date", refused="Would change nothing")
_PULLED = Wording(done="Pulled", nothing="Up to date")
_APPLIED = Wording(done="Applied", nothing="Nothing to do")
_FOR_A_PLAN = (
    *("apply", "content", "content.similarity", "merge", "pull", "report", "selection"),
    *("remotes.compare", "remotes.objects", "stores.directory.transaction"),
)
"""The modules of the library that a plan needs, with what they load."""


@click.command()
@choice_options
@verbose_option
@json_option
def plan(verbose: bool, as_json: bool, **choices: Any) -> int:
    """Show what a pull would do.

    Fetches from the repository, and changes nothing here. Lists the conflicts first, then what a
    pull does once they are resolved. Name an asset by its id, or by its path in this folder or
    else in the repository; ./NAME is relative to the working folder. The exit code is 3 if
    conflicts would remain.
    """
    from towline.report import report_of

    with open_project() as project:
        made = _plan(_fetch(project, choices), choices)
        report = report_of(made, preview=True)
        return show_report(report, _PLANNED, as_json=as_json, everything=verbose)


@click.command()
@choice_options
@click.option("--dry-run", is_flag=True, help="Show what would be done, without doing it.")
@verbose_option
@json_option
@yes_option
def pull(dry_run: bool, verbose: bool, as_json: bool, yes: bool, **choices: Any) -> int:
    """Apply the repository's changes to this folder.

    A pull is all or nothing: if conflicts remain, nothing changes and the exit code is 3. Choose a
    side with --use-theirs or --use-ours, for one asset (by its id, or by its path in this folder
    or else in the repository; ./NAME is relative to the working folder) or for the conflicts in a
    folder or a glob, or with --on-conflict for all that remain. Local work is discarded only if
    you ask for it, and `towline undo` brings it back.
    """
    with open_project() as project:
        fetched = _fetch(project, choices)
        if not as_json and choices["plan_out"] is None and fetched.is_up_to_date():
            return show_up_to_date(fetched.revision, _PULLED)
        from towline.report import report_of

        made = _plan(fetched, choices)
        if dry_run or made.refused:
            wording = _PLANNED if dry_run else _PULLED
            report = report_of(made, preview=dry_run)
            return show_report(report, wording, as_json=as_json, everything=verbose)
        return _apply(made, project, _PULLED, verbose=verbose, as_json=as_json, yes=yes)


@click.command()
@click.argument(
    "file", metavar="PLAN.json", type=click.Path(exists=True, dir_okay=False, allow_dash=True)
)
@verbose_option
@json_option
@yes_option
def apply(file: str, verbose: bool, as_json: bool, yes: bool) -> int:
    """Apply a plan from a file.

    PLAN.json is a file that --plan-out wrote; - reads standard input. The revision in the plan is
    pulled, even if the branch has moved since. If the project's kinds or the assets that the plan
    touches have changed since, nothing is done.
    """
    from towline.apply import check_kinds
    from towline.planfile import load_plan
    from towline.records import PlanKind

    made = load_plan(_text_of(file))
    with open_project() as project:
        if made.kind is PlanKind.PULL:
            check_kinds(made, project.store.kinds)
        return _apply(made, project, _APPLIED, verbose=verbose, as_json=as_json, yes=yes)


class _Fetched(NamedTuple):
    """What the remote has, before it is compared with the project."""

    project: Project
    remote: GitRemote
    revision: Revision
    options: PullOptions

    def is_up_to_date(self) -> bool:
        """Whether the pull would do nothing; most do, and load nothing of a plan."""
        from towline.up_to_date import is_up_to_date

        with self.project.store.snapshot() as snapshot:
            state = snapshot.state()
            return is_up_to_date(snapshot, self.remote, state, self.revision, self.options)

    def plan(self, watch: Watch) -> Plan:
        """Return what the pull would do."""
        from towline.pull import plan_at

        with self.project.store.snapshot() as snapshot:
            return plan_at(snapshot, self.remote, self.revision, self.options, watch=watch)


def load_for_a_plan() -> None:
    """Load what compares, merges and applies, which takes as long as git takes to receive."""
    for name in _FOR_A_PLAN:
        import_module(f"towline.{name}")


def _fetch(project: Project, choices: dict[str, Any]) -> _Fetched:
    with watching(load_for_a_plan) as watch:
        return _fetch_for(project, choices, watch, None)


def _fetch_for(
    project: Project, choices: dict[str, Any], watch: Watch, given: Credential | None
) -> _Fetched:
    # Before the fetch, so that a wrong option is reported at once.
    options = pull_options(choices, project)
    remote = project.remote(given)
    revision = project.fetch(remote, options.limits, watch)
    return _Fetched(project=project, remote=remote, revision=revision, options=options)


def _plan(fetched: _Fetched, choices: dict[str, Any]) -> Plan:
    with watching() as watch:
        made = fetched.plan(watch)
    if choices["plan_out"] is not None:
        from towline.planfile import dump_plan

        Path(choices["plan_out"]).write_text(dump_plan(made), encoding="utf-8")
    return made


def plan_pull(
    project: Project, choices: dict[str, Any], watch: Watch, given: Credential | None = None
) -> Plan:
    """Return what a pull with these choices of the command line would do."""
    return _fetch_for(project, choices, watch, given).plan(watch)


def _apply(
    made: Plan, project: Project, wording: Wording, *, verbose: bool, as_json: bool, yes: bool
) -> int:
    from towline.apply import apply as apply_plan
    from towline.plan import Disposition

    lines = [
        f"  {item.path}"
        for item in made.items
        if item.discarded or item.disposition is Disposition.OVERWRITTEN
    ]
    confirm("Local edits will be discarded:", lines, unasked=yes or as_json or not lines)
    with watching() as watch:
        contents = project.contents_for(made, watch)
        report = apply_plan(made, project.store, contents=contents, watch=watch)
    return show_report(report, wording, as_json=as_json, everything=verbose)


def _text_of(file: str) -> str:
    from towline.errors import InvalidPlan

    content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise InvalidPlan(problem="it is not UTF-8") from None
