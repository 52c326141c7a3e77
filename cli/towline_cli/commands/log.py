"""``log``: the pulls that were applied here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from towline_cli.options import completes, json_option
from towline_cli.output import LISTS, echo, print_json
from towline_cli.project import open_project
from towline_cli.reporting import Wording, show_report

if TYPE_CHECKING:
    from towline.ports import LoggedPull


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
    """Show the pulls of this project.

    Newest first; with a number, the report of that one.
    """
    with open_project() as project:
        entries = project.store.log()
    if number is not None:
        _print_pull(entries, number, as_json=as_json)
    elif as_json:
        print_json({"pulls": [_pull_json(entry) for entry in entries]})
    elif entries:
        from towline_cli import tables

        tables.print_log([(entry, _counts(entry)) for entry in entries])
    else:
        echo("No pulls yet.")


def _print_pull(entries: Iterable[LoggedPull], number: int, *, as_json: bool) -> None:
    from dataclasses import replace

    from towline.errors import UnknownPull
    from towline.report import report_of

    for entry in entries:
        if entry.number == number:
            report = replace(report_of(entry.plan), pull=number)
            wording = Wording(done=f"Pull {number}:", nothing=f"Pull {number} changed nothing")
            if (undoes := entry.plan.undoes) is not None:
                wording = Wording(done=f"Undo {number} reverted {undoes}", is_undo=True)
            show_report(report, wording, as_json=as_json)
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
