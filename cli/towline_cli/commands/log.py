"""``log`` and ``undo``: the pulls that were applied here, and their reversal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from towline_cli.options import completes, confirm, json_option, verbose_option, yes_option
from towline_cli.output import LISTS, echo, print_json
from towline_cli.progress import watching
from towline_cli.project import open_project
from towline_cli.reporting import Wording, show_report

if TYPE_CHECKING:
    from towline.ports import LoggedPull


number_argument = click.argument(
    "number",
    metavar="[NUMBER]",
    type=click.IntRange(min=1),
    required=False,
    shell_complete=completes("pull_numbers"),
)


@click.command()
@number_argument
@json_option
def log(number: int | None, as_json: bool) -> None:
    """Show the pulls of this project.

    The newest comes first. With NUMBER, shows the report of that pull.
    """
    with open_project() as project:
        if number is not None:
            _print_pull(project.logged(number), as_json=as_json)
            return
        entries = project.store.log()
    if as_json:
        print_json({"pulls": [_pull_json(entry) for entry in entries]})
    elif entries:
        from towline_cli import tables

        tables.print_log([(entry, _counts(entry)) for entry in entries])
    else:
        echo("No pulls yet.")


def _print_pull(entry: LoggedPull, *, as_json: bool) -> None:
    from dataclasses import replace

    from towline.report import report_of

    number = entry.number
    report = replace(report_of(entry.plan), pull=number)
    wording = Wording(done=f"Pull {number}:", nothing=f"Pull {number} changed nothing")
    if (undoes := entry.summary.undoes) is not None:
        wording = Wording(done=f"Undo {number} reverted {undoes}", is_undo=True)
    show_report(report, wording, as_json=as_json, everything=True)


def _counts(entry: LoggedPull) -> dict[str, int]:
    return dict(zip(LISTS, entry.summary.counts, strict=True))


def _pull_json(entry: LoggedPull) -> dict[str, object]:
    return {
        "number": entry.number,
        "at": entry.at.isoformat() if entry.at is not None else None,
        "kind": str(entry.summary.kind),
        "undoes": entry.summary.undoes,
        "undone": entry.undone,
        "base": entry.summary.base,
        "revision": entry.summary.revision,
        "counts": _counts(entry),
    }


@click.command()
@number_argument
@click.option("--dry-run", is_flag=True, help="Show what would be done, without doing it.")
@verbose_option
@json_option
@yes_option
def undo(number: int | None, dry_run: bool, verbose: bool, as_json: bool, yes: bool) -> int:
    """Revert a pull.

    Reverts the last pull, or the one with this number in `towline log`. After undoing the last
    pull, the next pull offers the same changes again. Undoing an older pull changes contents
    only. An undo can be undone too, by its number. Edits made since are never overwritten.
    """
    from towline.apply import apply
    from towline.report import report_of
    from towline.undo import plan_undo

    with open_project() as project:
        made = plan_undo(project.store, number)
        what = next(
            f"{entry.summary.kind} {entry.number}"
            for entry in project.store.log()
            if entry.number == made.undoes
        )
        if dry_run:
            wording = Wording(f"Would revert {what}", is_undo=True)
            return show_report(report_of(made), wording, as_json=as_json, everything=verbose)
        lines = (f"  {item.disposition}  {item.path}" for item in made.items)
        confirm(f"This reverts {what}:", lines, unasked=yes or as_json)
        with watching() as watch:
            report = apply(made, project.store, watch=watch)
    wording = Wording(f"Reverted {what}", is_undo=True)
    return show_report(report, wording, as_json=as_json, everything=verbose)
