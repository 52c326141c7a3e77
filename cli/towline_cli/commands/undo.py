"""``undo``: revert a pull, by a plan."""

from __future__ import annotations

import click

from towline_cli.options import completes, confirm, json_option, yes_option
from towline_cli.output import echo_err, is_interactive
from towline_cli.progress import watching
from towline_cli.project import open_project
from towline_cli.reporting import Wording, show_report


@click.command()
@click.argument(
    "number",
    metavar="[NUMBER]",
    type=click.IntRange(min=1),
    required=False,
    shell_complete=completes("pull_numbers"),
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and stop there.")
@json_option
@yes_option
def undo(number: int | None, dry_run: bool, as_json: bool, yes: bool) -> int:
    """Revert a pull.

    The last one, or the one of this number in `towline log`. Undoing the last pull returns to
    before it, and the next pull offers the same again. Undoing an older one changes contents
    alone. An undo can be undone by its number. Edits made since are never overwritten.
    """
    from towline.apply import apply
    from towline.report import report_of
    from towline.undo import plan_undo

    with open_project() as project:
        made = plan_undo(project.store, number)
        what = next(
            f"{entry.plan.kind} {entry.number}"
            for entry in project.store.log()
            if entry.number == made.undoes
        )
        if dry_run:
            wording = Wording(f"Would revert {what}", is_undo=True)
            return show_report(report_of(made), wording, as_json=as_json)
        if not (yes or as_json) and is_interactive():
            echo_err(f"This reverts {what}:")
            for item in made.items:
                echo_err(f"  {item.disposition}  {item.path}")
            confirm("Continue?")
        with watching() as watch:
            report = apply(made, project.store, watch=watch)
    return show_report(report, Wording(f"Reverted {what}", is_undo=True), as_json=as_json)
