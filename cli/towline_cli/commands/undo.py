"""``undo``: a pull taken back, as a plan like any other."""

from __future__ import annotations

import click

from towline_cli.options import completes, confirm, json_option, yes_option
from towline_cli.output import is_interactive, note
from towline_cli.progress import watching
from towline_cli.project import open_project
from towline_cli.reporting import Wording, answer


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
    """Take a pull back.

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
            wording = Wording(f"Would take back {what}", is_undo=True)
            return answer(report_of(made), wording, as_json=as_json)
        if not (yes or as_json) and is_interactive():
            note(f"This takes back {what}.")
            for item in made.items:
                note(f"  {item.disposition}  {item.path}")
            confirm("Go on?")
        with watching() as watch:
            report = apply(made, project.store, watch=watch)
    return answer(report, Wording(f"Took back {what}", is_undo=True), as_json=as_json)
