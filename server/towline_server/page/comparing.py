"""Differences of one asset, as templates show them: by field, or line by line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any

from starlette.responses import Response

from towline.content.values import ABSENT
from towline.explain import SIDES, Explanation, Format
from towline.frozen import frozen
from towline.model import AssetState, Digest, Revision, ThreeWay
from towline_server.projects.domain import Project

from .visitor import Visitor

AROUND: Mapping[str, str] = {"base": "before", "ours": "after"}
"""The names of the sides where what is compared is before and after a pull."""
_MOST_LINES = 2_000


@frozen(kw_only=True)
class FieldRow:
    """A field that differs, with its value as text on each side; None where it is absent."""

    pointer: str
    clashes: bool
    values: Sequence[str | None]


@frozen(kw_only=True)
class Difference:
    """What differs in one asset; ``sides`` are the names of the columns."""

    format: str
    sides: Sequence[str]
    fields: Sequence[FieldRow]
    lines: Sequence[tuple[str, str]]
    """Each with its class: ``added``, ``removed``, ``place`` or nothing."""
    cut: int
    """How many lines are left out."""
    paths: Sequence[str | None]
    executable: Sequence[bool | None]
    note: str


def difference_of(
    explanation: Explanation, contents: Mapping[Digest, bytes], names: Mapping[str, str] = SIDES
) -> Difference:
    """Return an explanation as it is shown; ``names`` are those of the sides to show.

    Where the sides that have the asset have one content, it is shown itself.
    """
    lines = [
        (_class(line), line)
        for part in explanation.lines
        if part.before in names and part.after in names
        for line in (f"--- {names[part.before]}", f"+++ {names[part.after]}", *part.lines[2:])
    ]
    if not lines and not explanation.fields:
        lines = _only_content(explanation, contents, names)
    return Difference(
        format=str(explanation.format),
        sides=tuple(names.values()),
        fields=[
            FieldRow(
                pointer=field.pointer,
                clashes=field.clashes,
                values=[value_text(value) for value in _in(field.values, names)],
            )
            for field in explanation.fields
        ],
        lines=lines[:_MOST_LINES],
        cut=max(0, len(lines) - _MOST_LINES),
        paths=_in(explanation.paths, names) if explanation.paths else (),
        executable=_in(explanation.executable, names) if explanation.executable else (),
        note=explanation.note,
    )


def _only_content(
    explanation: Explanation, contents: Mapping[Digest, bytes], names: Mapping[str, str]
) -> list[tuple[str, str]]:
    sides = _in(explanation.contents, names)
    digests = {side.digest for side in sides if side is not None}
    content = contents.get(digests.pop()) if len(digests) == 1 else None
    if content is None or explanation.format in (Format.BINARY, Format.DIGESTS_ONLY):
        return []
    kind = ""
    if names is AROUND and None in sides:
        kind = "added" if sides[0] is None else "removed"
    return [(kind, line) for line in content.decode().split("\n")]


def shown_lines(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return the lines of a unified diff, each with its class; at most as many as are shown."""
    return [(_class(line), line) for line in islice(lines, _MOST_LINES)]


def change_page(
    visitor: Visitor,
    project: Project,
    path: str,
    back: str,
    states: Sequence[AssetState | None],
    *,
    revision: Revision | None,
    known: Mapping[Digest, bytes] = MappingProxyType({}),
) -> Response:
    """Return the page of what a pull, or a plan, changes in the asset at a path.

    ``states`` are those before and after, ``known`` the contents that no store has yet.
    """
    before, after = states
    sides = ThreeWay(base=before, ours=after, theirs=before)
    explained, contents = visitor.services.plans.compared(
        project.id, sides, revision=revision, known=known
    )
    return visitor.page(
        "difference.html",
        project=project,
        path_of_asset=path,
        back=back,
        difference=difference_of(explained, contents, AROUND),
    )


def _in(sides: ThreeWay[Any], names: Mapping[str, str]) -> list[Any]:
    return [getattr(sides, side) for side in names]


def _class(line: str) -> str:
    if line.startswith(("--- ", "+++ ", "@@")):
        return "place"
    return {"+": "added", "-": "removed"}.get(line[:1], "")


def value_text(value: Any) -> str | None:
    """Return a value of a field as text; None where it is absent."""
    if value is ABSENT:
        return None
    return json.dumps(value, ensure_ascii=False, indent=1, default=str)
