"""The entries of a report as a list: by disposition, filtered, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import Depends, Query, Request

from towline.frozen import frozen
from towline.model import AssetPath
from towline.plan import LISTED, BehindReason, IgnoredReason
from towline.report import reason_message

from .paging import PageNumber, Pages

_BEHIND = "behind"
RULES: Mapping[int, str] = MappingProxyType(
    {
        0: "It is the same on all three sides.",
        1: "Only the repository changed it.",
        2: "The repository deleted it, and it was not changed here.",
        3: "It is new in the repository.",
        4: "It was changed here only.",
        5: "It was deleted here only.",
        6: "It exists here only, and was never in the repository.",
        7: "Both sides changed it in the same way.",
        8: "Both sides changed the same part of it.",
        9: "Both sides changed different parts of it: the changes merge.",
        10: "Both sides added another asset at this path.",
        11: "It was changed here, and the repository deleted it.",
        12: "It was deleted here, and the repository changed it.",
        13: "Another asset would be at the same path.",
        14: "The repository has it, but it is not an asset of the project.",
    }
)
"""What each rule of docs/semantics.md means."""


@frozen
class EntryFilter:
    """Which entries are shown: those of one list, those whose path has a text."""

    request: Request
    listed: Annotated[str, Query(alias="list", max_length=40)] = ""
    q: Annotated[str, Query(max_length=255)] = ""
    page: PageNumber = 1


Wanted = Annotated[EntryFilter, Depends()]


@frozen(kw_only=True)
class ReportEntry:
    """One asset of a report; ``why`` explains what became of it."""

    listed: str
    asset_id: str | None
    path: str
    kind: str
    rule: int | None
    why: tuple[str, ...]
    renamed_from: str | None
    has_content: bool
    """Whether its content before and after can be compared."""


@frozen(kw_only=True)
class ReportEntries:
    """A page of a report's entries."""

    wanted: EntryFilter
    shown: Sequence[ReportEntry]
    counts: Mapping[str, int]
    """How many each list has, filter aside."""
    pages: Pages


def entries_of(report: Mapping[str, Any], wanted: EntryFilter) -> ReportEntries:
    """Return the entries of a report, as `towline.report.report_json` gives it."""
    names = [*map(str, LISTED), _BEHIND]
    counts = {name: len(report.get(name, ())) for name in names}
    found = [
        (name, item)
        for name in names
        # What is behind is in another list too, unless it is asked for.
        if name == wanted.listed or (not wanted.listed and name != _BEHIND)
        for item in report.get(name, ())
        if wanted.q.casefold() in item["path"].casefold()
    ]
    pages = Pages(request=wanted.request, number=wanted.page, total=len(found))
    return ReportEntries(
        wanted=wanted,
        shown=[_entry(name, item) for name, item in pages.of(found)],
        counts=counts,
        pages=pages,
    )


def _entry(listed: str, item: Mapping[str, Any]) -> ReportEntry:
    before, after = item["before"], item["after"]
    return ReportEntry(
        listed=listed,
        asset_id=item["asset_id"],
        path=item["path"],
        kind=item["kind"],
        rule=item["rule"],
        why=tuple(_why(item)),
        renamed_from=item["renamed_from"],
        has_content=item["asset_id"] is not None and before != after,
    )


def _why(item: Mapping[str, Any]) -> Iterator[str]:
    """Yield why the entry is as it is, the rule first."""
    undoes = "The pull that is undone had changed it."
    yield undoes if item["rule"] is None else RULES[item["rule"]]
    if reason := item["reason"] or item.get("behind"):
        known = IgnoredReason if item["reason"] else BehindReason
        text = reason_message(known(reason), AssetPath(item["path"]))
        yield text[0].upper() + text[1:] + "."
    if item["merged"]:
        by = f" by {item['merged_by']}" if item.get("merged_by") else ""
        yield f"Merged with local edits{by}."
    if item["discarded"]:
        yield "Local edits were discarded."
    if item.get("resolved"):
        yield "A saved resolution decided it."
