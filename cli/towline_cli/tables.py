"""Tables of reports, status, logs and differences on stdout.

Every text from outside goes through `cell`: no control characters, no markup, nothing cut off.
A table that is wider than the terminal becomes entries of two lines, with every path and id whole
on its line, to be copied.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from towline.content.pointers import format_pointer
from towline.content.values import ABSENT
from towline.explain import SIDES, renamed_lines
from towline.report import reason_message

from .output import LISTS, describe, pluralize, printable, short

if TYPE_CHECKING:
    from towline.conflicts import Conflict, Party
    from towline.content.structure import FieldMerge
    from towline.explain import Explanation, FieldDifference
    from towline.model import AssetState, ThreeWay
    from towline.plan import Item
    from towline.ports import LoggedPull
    from towline.remotes.objects import Commit
    from towline.report import Report
    from towline.resolve import FieldClash, LineClash
    from towline.status import AssetStatus

    from .commands.diff import PulledAsset

_STYLES = {
    "overwritten": "magenta",
    "updated": "yellow",
    "created": "green",
    "deleted": "red",
    "ignored": "dim",
    "conflict": "bold red",
    "modified-here": "cyan",
    "deleted-here": "cyan",
    "local-only": "dim",
    "modified-there": "yellow",
    "added-there": "green",
    "deleted-there": "red",
    "behind": "yellow",
}
_WIDE = 100_000
"""Columns where no terminal sets them: a file or a pipe gets every line whole."""
_LONGEST_VALUE = 200
_LONGEST_CLASH = 12
"""Lines of one side."""
_SIDE_STYLES = {"base": "dim", "ours": "cyan", "theirs": "yellow"}
_SCREENFUL = 20
"""Rows, where no terminal has a height."""


def cell(text: object, style: str = "") -> Text:
    """Return text from outside as it is: markup in it is no markup."""
    return Text(printable(str(text)), style=style, overflow="fold")


def _asset_row(state: str, *texts: object, style: str | None = None) -> list[Text]:
    """Return the row of an asset; the last text is its id."""
    *others, asset_id = texts
    first = cell(state, _STYLES.get(state, "") if style is None else style)
    return [first, *map(cell, others), cell(asset_id, "dim")]


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Text]]) -> None:
    """Print a table as wide as its content, or where that is too wide, entries of two lines.

    An entry's first line holds the first two columns.
    """
    console = _console()
    rows = list(rows)
    if not _fits(columns, rows, console.width):
        _print_entries(rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    if console.is_terminal:
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    # The last column is padded too, which in a file is only noise.
    print(*(line.rstrip() for line in captured.get().splitlines()), sep="\n")


def _fits(columns: Sequence[str], rows: Sequence[Sequence[Text]], width: int) -> bool:
    cells = [columns, *((each.plain for each in row) for row in rows)]
    widths = [max(map(cell_len, column)) for column in zip(*cells, strict=True)]
    return sum(widths) + 2 * len(widths) <= width


def _print_entries(rows: Sequence[Sequence[Text]]) -> None:
    indent = max((row[0].cell_len for row in rows), default=0) + 2
    for first, second, *others in rows:
        padding = " " * (indent - first.cell_len)
        print_lines([Text.assemble(first, padding, second)])
        if rest := [each for each in others if each.plain]:
            print_lines([Text.assemble(" " * indent, Text("  ").join(rest))])


def print_lines(lines: Iterable[Text]) -> None:
    """Print lines, wrapped by the terminal alone."""
    console = _console()
    for line in lines:
        console.print(line, soft_wrap=True)


def print_cut(lines: Iterable[str]) -> None:
    """Print lines, each cut off at the width of the terminal."""
    console = _console()
    for line in lines:
        console.print(cell(line), no_wrap=True, overflow="ellipsis")


def _console() -> Console:
    width = None if sys.stdout.isatty() else _WIDE
    return Console(width=width, markup=False, emoji=False, highlight=False)


# --- reports ----------------------------------------------------------------------------------


def print_report(report: Report, *, everything: bool) -> None:
    """Print the conflicts, then the five lists, cut to a screenful unless ``everything``."""
    if report.conflicts:
        print_conflicts(report.conflicts)
    items = [(name, item) for name in LISTS for item in getattr(report, name)]
    left = 0
    if not everything:
        room = _room()
        items, left = items[:room], len(items[room:])
    if items:
        print_table(
            ["", "path", "kind", "", "id"],
            [
                _asset_row(name, item.path, item.kind, _remark(item), item.asset_id or "")
                for name, item in items
            ],
        )
    if left:
        lister = "--verbose" if report.pull is None else f"towline log {report.pull}"
        print_lines([cell(f"and {left} more; {lister} lists all")])


def _room() -> int:
    """Return how many rows a list may have on one screen."""
    return max(_console().height - 5, 10) if sys.stdout.isatty() else _SCREENFUL


def print_conflicts(conflicts: Sequence[Conflict]) -> None:
    """Print each party of each conflict, with both sides."""
    rows = [
        _asset_row(
            conflict.kind,
            party.path,
            party.kind,
            f"here {_side(party, party.states.ours)}",
            f"there {_side(party, party.states.theirs)}",
            party.asset_id,
            style=_STYLES["conflict"],
        )
        for conflict in conflicts
        for party in conflict.parties
    ]
    print_table(["conflict", "path", "kind", "", "", "id"], rows)
    blockers = sorted({path for conflict in conflicts for path in conflict.blockers})
    print_lines(cell(f"in the way: {path}") for path in blockers)


def _side(party: Party, state: AssetState | None) -> str:
    if state is None:
        return "absent" if party.states.base is None else "deleted"
    digest = short(state.digest)
    return digest if state.path == party.path else f"{digest} {state.path}"


def _remark(item: Item) -> str:
    remarks = []
    if item.renamed_from is not None:
        remarks.append(f"renamed from {item.renamed_from}")
    if item.merged:
        by = f", by {item.merged_by}" if item.merged_by is not None else ""
        remarks.append(f"merged with local edits{by}")
    if item.resolved:
        remarks.append("by a saved resolution")
    if item.discarded:
        remarks.append("local edits discarded")
    if item.reason is not None:
        remarks.append(reason_message(item.reason, item.path))
    return ", ".join(remarks)


# --- status and log ---------------------------------------------------------------------------


def print_commits(commits: Sequence[Commit]) -> None:
    """Print the id and the subject of each commit, at most a screenful."""
    room = _room()
    print_cut(f"  {short(commit.id)} {commit.subject}" for commit in commits[:room])
    if left := len(commits[room:]):
        print_lines([cell(f"  and {left} more")])


def print_status(assets: Sequence[AssetStatus]) -> None:
    """Print the state of each asset."""
    rows = [
        _asset_row(asset.state, asset.path, asset.kind, _state_remark(asset), asset.asset_id)
        for asset in assets
    ]
    print_table(["state", "path", "kind", "", "id"], rows)


def _state_remark(asset: AssetStatus) -> str:
    remarks = []
    if asset.is_edited_here and asset.state == "modified-there":
        remarks.append("modified here too: a pull merges them")
    if asset.renamed_from is not None:
        remarks.append(f"renamed: {asset.renamed_from} -> {asset.path}")
    if asset.renamed_there is not None:
        remarks.append(f"renamed there: {asset.renamed_there[0]} -> {asset.renamed_there[1]}")
    if asset.resolution is not None:
        remarks.append(f"resolved: {describe(asset.resolution)}")
    elif asset.behind is not None:
        remarks.append(reason_message(asset.behind, asset.path))
    return ", ".join(remarks)


def print_log(entries: Sequence[tuple[LoggedPull, dict[str, int]]]) -> None:
    """Print the applied plans, with how many assets each listed, each on one line."""
    columns = ["number", "at", "what", "from", "to", ""]
    rows = [_logged(entry, counts) for entry, counts in entries]
    if not _fits(columns, rows, _console().width):
        columns = ["number", "at", "what", "to", ""]
        rows = [
            [number, at[:16], what, to, cell(pluralize(sum(counts.values()), "asset"))]
            for (number, at, what, _, to, _), (_, counts) in zip(rows, entries, strict=True)
        ]
    print_table(columns, rows)


def _logged(entry: LoggedPull, counts: dict[str, int]) -> list[Text]:
    return [
        cell(entry.number),
        cell(entry.at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if entry.at else ""),
        cell(_what(entry)),
        cell(short(entry.summary.base) if entry.summary.base else "-"),
        cell(short(entry.summary.revision) if entry.summary.revision else "-"),
        cell(", ".join(f"{count} {name}" for name, count in counts.items() if count)),
    ]


def _what(entry: LoggedPull) -> str:
    what = "pull" if entry.summary.undoes is None else f"undo of {entry.summary.undoes}"
    return f"{what} (undone)" if entry.undone else what


# --- differences ------------------------------------------------------------------------------


def print_difference(
    asset: AssetStatus | PulledAsset, explanation: Explanation, sides: Mapping[str, str] = SIDES
) -> None:
    """Print an asset on these sides, field by field or line by line."""
    style = _STYLES.get(asset.state, "")
    print_lines([cell(f"{asset.state}  {asset.path}  ({asset.asset_id})", style or "bold")])
    print_explanation(explanation, sides)
    print_lines([Text()])


def print_explanation(
    explanation: Explanation, sides: Mapping[str, str] = SIDES, most_lines: int | None = None
) -> None:
    """Print what differs on these sides, field by field or line by line."""
    print_lines(_facts(explanation, sides))
    if explanation.fields:
        _print_fields([_field(field, sides) for field in explanation.fields], sides)
    print_lines(
        cell(f"  {format_pointer(each.pointer) or '(all)'}: taken from theirs{_rule(each)}")
        for each in explanation.taken
    )
    for difference in explanation.lines:
        lines = renamed_lines(difference, sides)
        print_lines(cell(f"  {line}", _line_style(line)) for line in lines[:most_lines])
        if left := len(lines) - len(lines[:most_lines]):
            print_lines([cell(f"  and {left} more lines; towline diff shows all")])


def print_field_clashes(fields: Sequence[FieldClash]) -> None:
    """Print the fields that clash, with their values on the three sides."""
    rows = [
        [
            cell(f"  {field.pointer or '(all)'}"),
            *(cell(_value(getattr(field.values, side))) for side in SIDES),
            cell("guarded" if field.reason == "guarded" else ""),
        ]
        for field in fields
    ]
    _print_fields(rows, SIDES)


def print_line_clash(clash: LineClash) -> None:
    """Print the lines of each side of one place, a few of many."""
    print_lines([cell(f"  @@ line {clash.starts.ours} @@", "cyan")])
    for side in SIDES:
        lines = getattr(clash.lines, side).decode("utf-8", "replace").splitlines()
        shown = [*lines[:_LONGEST_CLASH], *["…"] * (len(lines) > _LONGEST_CLASH)]
        print_lines(
            cell(f"  {side:8}{line}", _SIDE_STYLES[side]) for line in shown or ["(nothing)"]
        )


def print_resolutions(rows: Iterable[tuple[str, str, str, str]]) -> None:
    """Print conflicts, each with its path, its resolution and its id."""
    print_table(
        ["conflict", "path", "resolution", "id"],
        [_asset_row(kind, *others, style=_STYLES["conflict"]) for kind, *others in rows],
    )


def print_difference_counts(
    explained: Sequence[tuple[AssetStatus | PulledAsset, Explanation]],
) -> None:
    """Print how many fields or lines of each asset differ."""
    rows = [
        _asset_row(asset.state, asset.path, _difference_count(found), asset.asset_id)
        for asset, found in explained
    ]
    print_table(["state", "path", "", "id"], rows)


def _difference_count(found: Explanation) -> str:
    if found.fields:
        clashes = sum(field.clashes for field in found.fields)
        text = pluralize(len(found.fields), "field")
        return f"{text}, {clashes} in both" if clashes else text
    # The first two lines of a unified diff name its sides.
    lines = [line for difference in found.lines for line in difference.lines[2:]]
    if lines:
        added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
        return f"{added} lines added, {removed} removed"
    base, ours = found.contents.base, found.contents.ours
    only = ours if base is None else base if ours is None else None
    if only is not None and only.size is not None and not found.note:
        return f"{only.size} bytes"
    return found.note or str(found.format).replace("_", " ")


def _print_fields(rows: Sequence[Sequence[Text]], sides: Mapping[str, str]) -> None:
    columns = ["  field", *sides.values(), ""]
    if _fits(columns, rows, _console().width):
        print_table(columns, rows)
        return
    for field, *values, clash in rows:
        print_lines([Text("  ").join([field, clash])])
        for side, value in zip(sides.values(), values, strict=True):
            print_lines([Text.assemble(f"    {side:8}", value)])


def _rule(taken: FieldMerge) -> str:
    return "" if taken.rule is None else f", by the rule {taken.rule}"


def _facts(explanation: Explanation, sides: Mapping[str, str]) -> Iterable[Text]:
    if explanation.paths is not None:
        yield cell(f"  path: {_on_sides(explanation.paths, sides)}")
    if explanation.executable is not None:
        modes = explanation.executable.map(lambda on: "yes" if on else "no")
        yield cell(f"  executable: {_on_sides(modes, sides)}")
    differs = bool(explanation.fields or explanation.lines)
    for side, name in sides.items():
        content = getattr(explanation.contents, side)
        if content is None:
            yield cell(f"  {name}: absent")
        elif not differs:
            size = "" if content.size is None else f", {content.size} bytes"
            yield cell(f"  {name}: {short(content.digest)}{size}")
    if explanation.note:
        yield cell(f"  ({explanation.note})")


def _on_sides(values: ThreeWay[Any], sides: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {getattr(values, side)}" for side, name in sides.items())


def _field(field: FieldDifference, sides: Mapping[str, str]) -> list[Text]:
    values = [_value(getattr(field.values, side)) for side in sides]
    clash = cell("clash", _STYLES["conflict"]) if field.clashes else cell("")
    return [cell(f"  {field.pointer or '(all)'}"), *map(cell, values), clash]


def _value(value: object) -> str:
    if value is ABSENT:
        return "-"
    written = json.dumps(value, ensure_ascii=False)
    return written if len(written) <= _LONGEST_VALUE else f"{written[:_LONGEST_VALUE]}…"


def _line_style(line: str) -> str:
    if line.startswith("+"):
        return "green"
    return "red" if line.startswith("-") else ""
