"""The output of a report: JSON, or a summary and a table, with hints about conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .exit_codes import CONFLICTS, OK
from .output import LISTS, echo, echo_err, pluralize, print_json, print_notes, short

if TYPE_CHECKING:
    from towline.plan import Item
    from towline.report import Report


class Wording(NamedTuple):
    """The beginnings of the first line: changes, no changes, and a refusal."""

    done: str
    nothing: str = ""
    refused: str = "Nothing was changed"
    is_undo: bool = False


def show_report(report: Report, wording: Wording, *, as_json: bool, everything: bool) -> int:
    """Print a report, cut to a screenful unless ``everything``; return its exit code."""
    from towline.report import Status, report_json

    refused = report.status is Status.CONFLICTS
    if as_json:
        print_json(report_json(report))
    else:
        _print_report(report, wording, refused=refused, everything=everything)
    return CONFLICTS if refused else OK


def show_up_to_date(revision: str | None, wording: Wording) -> int:
    """Print that there is nothing to do; return the exit code."""
    echo(_nothing(revision, wording))
    return OK


def _nothing(revision: str | None, wording: Wording) -> str:
    return f"{wording.nothing} at {short(revision)}."


def _print_report(report: Report, wording: Wording, *, refused: bool, everything: bool) -> None:
    echo(_headline(report, wording, refused=refused))
    if refused and report.listed:
        echo(f"Once resolved: {', '.join(_counts(report))}.")
    if report.history_rewritten:
        echo("The last pulled revision is not in the branch's history: it was rewritten, or the")
        echo("ref or the URL changed.")
    if report.listed or report.conflicts:
        from .tables import print_report

        print_report(report, everything=everything)
    for message in report.error_msgs[len(report.conflicts) :]:
        echo_err(message)
    print_notes(report.notes)
    _print_behind(report.behind)
    if report.conflicts:
        echo_err("hint: towline resolve goes through them; towline pull --use-theirs PATH or")
        echo_err("      --use-ours PATH chooses a side, --on-conflict skip leaves them for later")
        if any(conflict.kind == "path collision" for conflict in report.conflicts):
            echo_err("      for a path collision, choose a side for each asset, and move what is")
            echo_err("      in the way")


def _headline(report: Report, wording: Wording, *, refused: bool) -> str:
    counts = _counts(report)
    if refused:
        return f"{wording.refused}: {pluralize(len(report.conflicts), 'conflict')} left."
    if wording.is_undo:
        now = f"at {short(report.revision)}" if report.revision else "as before the first pull"
        return f"{wording.done}: {', '.join(counts) or 'no asset changed'}; now {now}."
    if not counts:
        return _nothing(report.revision, wording)
    return f"{wording.done} {_moved(report)}: {', '.join(counts)}."


def _counts(report: Report) -> list[str]:
    return [f"{len(getattr(report, name))} {name}" for name in LISTS if getattr(report, name)]


def _print_behind(items: Sequence[Item]) -> None:
    """Print how many changes ``--only`` left out, and how many assets are behind otherwise."""
    from towline.plan import BehindReason
    from towline.report import reason_message

    left_out = sum(item.behind is BehindReason.LEFT_OUT for item in items)
    if left_out:
        echo(f"{pluralize(left_out, 'change')} left out; a pull without --only applies them.")
    counts = Counter(
        reason_message(item.behind, item.path)
        for item in items
        if item.behind not in (None, BehindReason.LEFT_OUT)
    )
    if counts:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        echo(f"{pluralize(counts.total(), 'asset')} behind the repository: {why}.")


def _moved(report: Report) -> str:
    before, after = short(report.base), short(report.revision)
    return after if report.base in (None, report.revision) else f"{before}..{after}"
