"""How a report is told: as JSON, or in a line and a table, with what to do about conflicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .exits import CONFLICTS, OK
from .output import note, print_json, say

if TYPE_CHECKING:
    from towline.plan import Item
    from towline.report import Report

LISTS = ("overwritten", "updated", "created", "deleted", "ignored")


@dataclass(frozen=True, slots=True)
class Wording:
    """How the first line begins: what was done, that there was nothing to do, or was refused."""

    done: str
    nothing: str = ""
    refused: str = "Nothing was changed"
    is_undo: bool = False


def answer(report: Report, wording: Wording, *, as_json: bool, everything: bool = True) -> int:
    """Print a report, of long lists a screenful unless everything is wanted; its exit code."""
    from towline.report import Status, report_json

    refused = report.status is Status.CONFLICTS
    if as_json:
        print_json(report_json(report))
    else:
        _tell(report, wording, refused=refused, everything=everything)
    return CONFLICTS if refused else OK


def _tell(report: Report, wording: Wording, *, refused: bool, everything: bool) -> None:
    say(_headline(report, wording, refused=refused))
    if report.history_rewritten:
        say("The branch's history does not hold the revision pulled before: it was rewritten, or")
        say("the ref or URL was changed.")
    if report.listed or report.conflicts:
        from .tables import print_report

        print_report(report, everything=everything)
    for message in report.error_msgs[len(report.conflicts) :]:
        note(message)
    for about in report.notes:
        note(f"{about.path}: {about.text}")
    _say_behind(report.behind)
    if report.conflicts:
        note("hint: towline diff shows what differs; towline pull --use-theirs PATH or")
        note("      --use-ours PATH chooses a side, --on-conflict skip leaves them for later")
        if any(conflict.kind == "path collision" for conflict in report.conflicts):
            note("      a path collision takes a choice for each asset, so that one keeps the path")


def _headline(report: Report, wording: Wording, *, refused: bool) -> str:
    if refused:
        return f"{wording.refused}: {counted(len(report.conflicts), 'conflict')} left."
    counts = [f"{len(getattr(report, name))} {name}" for name in LISTS if getattr(report, name)]
    if wording.is_undo:
        now = f"at {short(report.revision)}" if report.revision else "as before the first pull"
        return f"{wording.done}: {', '.join(counts) or 'no asset changed'}; now {now}."
    if not counts:
        return f"{wording.nothing} at {short(report.revision)}."
    return f"{wording.done} {_moved(report)}: {', '.join(counts)}."


def _say_behind(items: Sequence[Item]) -> None:
    """Print how many changes a selection left out, and how many assets are behind otherwise."""
    from towline.plan import BehindReason
    from towline.report import reason_message

    left_out = sum(item.behind is BehindReason.LEFT_OUT for item in items)
    if left_out:
        say(f"{counted(left_out, 'change')} left out; a pull without --only takes them.")
    counts = Counter(
        reason_message(item.behind, item.path)
        for item in items
        if item.behind not in (None, BehindReason.LEFT_OUT)
    )
    if counts:
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        say(f"{counted(counts.total(), 'asset')} behind the repository: {why}.")


def _moved(report: Report) -> str:
    before, after = short(report.base), short(report.revision)
    return after if report.base in (None, report.revision) else f"{before}..{after}"


def short(digest: str | None) -> str:
    """The first 12 digits of a revision or a content's digest."""
    return digest[:12] if digest else "nothing"


def counted(count: int, noun: str) -> str:
    """A count with its noun."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
