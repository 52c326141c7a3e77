"""Differences of an asset on stdout, field by field or line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from towline.content.pointers import format_pointer
from towline.content.values import ABSENT
from towline.explain import SIDES, renamed_lines

from .cells import Cell, cell, fits, joined, print_folded, print_line, print_lines, print_table
from .output import pluralize, short
from .tables import STYLES, asset_row

if TYPE_CHECKING:
    from towline.content.differences import FieldDifference
    from towline.content.fields import FieldMerge
    from towline.explain import Explanation
    from towline.model import ThreeWay
    from towline.resolve import LineClash
    from towline.status import AssetStatus

    from .commands.diff import PulledAsset

_LONGEST_VALUE = 200
_LONGEST_CLASH = 12
"""Lines of one side."""
_SIDE_STYLES = {"base": "dim", "ours": "cyan", "theirs": "yellow"}


def print_difference(
    asset: AssetStatus | PulledAsset, explanation: Explanation, sides: Mapping[str, str] = SIDES
) -> None:
    """Print an asset on these sides, field by field or line by line."""
    style = STYLES.get(asset.state, "")
    print_lines([cell(f"{asset.state}  {asset.path}  ({asset.asset_id})", style or "bold")])
    print_explanation(explanation, sides)
    print_line()


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
        for line in lines[:most_lines]:
            print_folded(f"  {line[:1]}", cell(line[1:], _line_style(line)))
        if left := len(lines) - len(lines[:most_lines]):
            print_lines([cell(f"  and {left} more lines; towline diff shows all")])


def print_field_clashes(fields: Sequence[FieldDifference]) -> None:
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
        for line in shown or ["(nothing)"]:
            print_folded(f"  {side:8}", cell(line, _SIDE_STYLES[side]))


def print_difference_counts(
    explained: Sequence[tuple[AssetStatus | PulledAsset, Explanation]],
) -> None:
    """Print how many fields or lines of each asset differ."""
    rows = [
        asset_row(asset.state, asset.path, _difference_count(found), asset.asset_id)
        for asset, found in explained
    ]
    print_table(["state", "path", "", "id"], rows)


def _difference_count(found: Explanation) -> str:
    if found.fields:
        clashes = sum(field.clashes for field in found.fields)
        text = pluralize(len(found.fields), "field")
        return f"{text}, {clashes} clashing" if clashes else text
    # The first two lines of a unified diff name its sides.
    lines = [line for difference in found.lines for line in difference.lines[2:]]
    if lines:
        added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
        return f"{pluralize(added, 'line')} added, {removed} removed"
    if found.paths is not None and not found.note:
        return "renamed"
    base, ours = found.contents.base, found.contents.ours
    only = ours if base is None else base if ours is None else None
    if only is not None and only.size is not None and not found.note:
        return f"{only.size} bytes"
    return found.note or str(found.format).replace("_", " ")


def _print_fields(rows: Sequence[Sequence[Cell]], sides: Mapping[str, str]) -> None:
    columns = ["  field", *sides.values(), ""]
    if fits(columns, rows):
        print_table(columns, rows)
        return
    for field, *values, clash in rows:
        print_line(*joined([field, *([clash] if clash.text else [])]))
        for side, value in zip(sides.values(), values, strict=True):
            print_folded(f"    {side:8}", value)


def _rule(taken: FieldMerge) -> str:
    return "" if taken.rule is None else f", by the rule {taken.rule}"


def _facts(explanation: Explanation, sides: Mapping[str, str]) -> Iterable[Cell]:
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


def _field(field: FieldDifference, sides: Mapping[str, str]) -> list[Cell]:
    values = [_value(getattr(field.values, side)) for side in sides]
    mark = "guarded" if field.reason == "guarded" else "clash" if field.clashes else ""
    clash = cell(mark, STYLES["conflict"])
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
