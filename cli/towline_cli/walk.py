"""The walk through open conflicts at a terminal: shows each, asks for a choice, and saves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING

import click

from towline.content.lines import is_binary
from towline.errors import TowlineError
from towline.options import Side

from . import cells, difference_tables
from .errors import CommandError
from .git_config import configured_merge_tool
from .merging import edit_merged, run_merge_tool, with_sides
from .output import describe, echo, echo_err, printable, short

if TYPE_CHECKING:
    from towline.resolutions import SavedResolution
    from towline.resolve import OpenConflict

    from .open_conflicts import ProjectConflicts

_MOST_LINES = 20
"""Of each diff in the walk."""
_HELP = {
    "r": "use the remembered resolution",
    "t": "take theirs, the repository's version",
    "o": "keep ours, this folder's version",
    "m": "merge: choose a side for each place that clashes",
    "e": "edit the merged file",
    "g": "merge in git's merge tool",
    "s": "skip this conflict",
    "q": "quit; choices made so far are saved",
    "?": "show this help",
}
_PLACE_HELP = {
    "t": "take theirs here",
    "o": "keep ours here",
    "b": "go back, and choose for the whole asset",
    **{key: _HELP[key] for key in ("s", "q", "?")},
}


class _Step(Enum):
    """What follows an answer that is neither a resolution nor a side."""

    AGAIN = "again"
    SKIP = "skip"
    QUIT = "quit"


_STEPS = {"b": _Step.AGAIN, "s": _Step.SKIP, "q": _Step.QUIT}


def walk(
    found: ProjectConflicts,
    conflicts: Sequence[OpenConflict],
    save: Callable[[OpenConflict, SavedResolution], None],
) -> None:
    """Ask for each conflict in turn; ``save`` is called with each choice."""
    tool = configured_merge_tool()
    for number, conflict in enumerate(conflicts, 1):
        before = conflict.remembered(found.remembered)
        _show(found, conflict, before, f"({number}/{len(conflicts)})")
        while True:
            answer = _ask(conflict, before, tool)
            if answer is _Step.QUIT:
                return
            if isinstance(answer, _Step):
                if answer is _Step.SKIP:
                    break
                continue
            save(conflict, answer)
            break


def _show(
    found: ProjectConflicts, conflict: OpenConflict, before: SavedResolution | None, position: str
) -> None:
    echo()
    echo(f"{position} {conflict.conflict.kind} conflict: {conflict.path}")
    if (commit := found.last_change(conflict)) is not None:
        done = "deleted" if conflict.party.states.theirs is None else "changed"
        when = f", {commit.time.astimezone():%Y-%m-%d %H:%M}" if commit.time else ""
        cells.print_cut(
            [
                f"  {done} there in {short(commit.id)} by {commit.author}{when}",
                f"    {commit.subject}",
            ]
        )
    if conflict.fields:
        difference_tables.print_field_clashes(conflict.fields)
    elif conflict.lines:
        for clash in conflict.lines:
            difference_tables.print_line_clash(clash)
    else:
        from towline.explain import explain

        explained = explain(conflict.party.states, found.read, conflict.rules)
        difference_tables.print_explanation(explained, most_lines=_MOST_LINES)
    for path in conflict.conflict.blockers:
        echo(f"  in the way: {path}; move it before you take theirs")
    if before is not None:
        echo(f"  remembered: {describe(before)}")


def _ask(
    conflict: OpenConflict, before: SavedResolution | None, tool: str | None
) -> SavedResolution | _Step:
    """Ask for a choice, and return the resolution or what follows."""
    takes_text = conflict.takes_content and not any(
        is_binary(content or b"") for content in conflict.contents
    )
    keys = [
        *(["r"] if before is not None else []),
        *["t", "o"],
        *(["m"] if conflict.fields or conflict.lines else []),
        *(["e"] if takes_text else []),
        *(["g"] if takes_text and tool is not None else []),
        *["s", "q", "?"],
    ]
    key = _key("Resolve it", keys, _HELP, default="r" if before is not None else None)
    if key in _STEPS:
        return _STEPS[key]
    if key == "r" and before is not None:
        return before
    try:
        return _resolution(conflict, key)
    except (CommandError, TowlineError) as error:
        echo_err(error.message)
        return _Step.AGAIN


def _resolution(conflict: OpenConflict, key: str) -> SavedResolution | _Step:
    """Return what a key chooses, or what follows where it chooses nothing.

    Raises:
        CommandError, InvalidResolution: it does not settle the conflict.
    """
    if key in ("t", "o"):
        return conflict.resolution(side=Side.THEIRS if key == "t" else Side.OURS)
    if key == "m":
        return _merge(conflict)
    content = edit_merged(conflict) if key == "e" else run_merge_tool(conflict)
    if content is None:
        echo_err("The file was not saved in the editor; nothing was chosen.")
        return _Step.AGAIN
    return conflict.resolution(content=content)


def _merge(conflict: OpenConflict) -> SavedResolution | _Step:
    """Ask for a side of each field or place."""
    sides: list[Side] = []
    single = len(conflict.fields or conflict.lines) == 1
    for number in range(len(conflict.fields or conflict.lines)):
        if conflict.fields:
            what = conflict.fields[number].pointer
        else:
            what = f"line {conflict.lines[number].starts.ours}"
            if not single:
                difference_tables.print_line_clash(conflict.lines[number])
        key = _key(what, ["t", "o", "b", "s", "q", "?"], _PLACE_HELP)
        if key in _STEPS:
            return _STEPS[key]
        sides.append(Side.THEIRS if key == "t" else Side.OURS)
    if conflict.fields:
        pointers = [field.pointer for field in conflict.fields]
        return conflict.resolution(fields=dict(zip(pointers, sides, strict=True)))
    return conflict.resolution(content=with_sides(conflict, sides))


def _key(
    question: str, keys: Sequence[str], texts: Mapping[str, str], default: str | None = None
) -> str:
    """Ask for one of these keys, until it is another than ``?``, which explains them."""
    while True:
        answer: str = click.prompt(
            f"{printable(question)} [{','.join(keys)}]",
            default=default,
            type=click.Choice(list(keys), case_sensitive=False),
            show_choices=False,
            show_default=False,
            prompt_suffix="? ",
            err=True,
        )
        if answer != "?":
            return answer
        for each in keys:
            echo(f"{each} - {texts[each]}")
