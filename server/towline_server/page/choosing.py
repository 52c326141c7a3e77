"""The choices of a conflict's form: read, checked, and what comes of each."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.datastructures import FormData

from towline.content.formats import formats_of
from towline.content.values import NotParsed, TooDeep
from towline.errors import InvalidResolution, InvalidValue
from towline.explain import is_text
from towline.frozen import frozen
from towline.options import Side
from towline.resolutions import SavedResolution
from towline_server.runs.conflicts import Choice, ExplainedParty

from .comparing import shown_lines, value_text
from .paging import ROWS
from .visitor import text_of

MOST_EDITED_BYTES = 256 * 1024
"""The largest content that a page lets edit, and shows as a result."""


@frozen(kw_only=True)
class ChoiceOutcome:
    """What a choice makes of an asset: its content, and how it differs from ours.

    ``lines`` are None where they cannot be shown; ``is_absent``: the asset is deleted.
    """

    size: int | None = None
    """None: its bytes are not at hand."""
    is_absent: bool = False
    renamed_to: str | None = None
    lines: tuple[tuple[str, str], ...] | None = None
    text: str | None = None


def digests_of(party: ExplainedParty) -> Mapping[str, str]:
    """Return the digests of the three sides, empty where one lacks the asset."""
    states = party.open.party.states
    return states.map(lambda state: state.digest if state is not None else "").by_side()


def moved_sides(party: ExplainedParty, form: FormData) -> tuple[str, ...]:
    """Return the sides that are not as they were when the form was made."""
    return tuple(
        name
        for name, digest in digests_of(party).items()
        if text_of(form, f"digest-{name}") != digest
    )


def given_values(party: ExplainedParty, form: FormData) -> Mapping[str, str]:
    """Return the choices of a form by the names of its fields, to show it again."""
    edited = text_of(form, "content") if "content" in form else starting_text(party)
    given = {name: text_of(form, name) for name in (*choice_names(party), "rest") if name in form}
    return {"how": text_of(form, "how"), "content": edited, **given}


def saved_values(party: ExplainedParty, saved: SavedResolution | None) -> Mapping[str, str]:
    """Return the fields of a form that has not been sent: what is saved, else nothing chosen."""
    values = {"how": "", "content": starting_text(party)}
    if saved is None:
        return values
    if saved.side is not None:
        return {**values, "how": str(saved.side)}
    if saved.content is not None:
        return {**values, "how": "content", "content": _text(saved.content)}
    sides = dict(saved.fields)
    named = {
        f"choice-{number}": str(sides[clash.pointer])
        for number, clash in enumerate(party.open.fields)
        if clash.pointer in sides
    }
    beyond = {named.get(name) for name in choice_names(party)[ROWS:]}
    rest = {"rest": side} if len(beyond) == 1 and (side := beyond.pop()) is not None else {}
    return {**values, "how": "each", **named, **rest}


def choice_names(party: ExplainedParty) -> list[str]:
    """Return the names of the fields that have a side, one for each place that clashes."""
    return [f"choice-{number}" for number in range(len(party.open.fields or party.open.lines))]


def rows_of(party: ExplainedParty) -> list[dict[str, Any]]:
    """Return the places that clash, each with the text of its sides; None where one is absent."""
    if party.open.fields:
        return [
            {
                "number": number,
                "place": clash.pointer or "(all)",
                **clash.values.map(value_text).by_side(),
            }
            for number, clash in enumerate(party.open.fields)
        ]
    return [
        {
            "number": number,
            "place": f"line {clash.starts.ours}",
            **clash.lines.map(_text).by_side(),
        }
        for number, clash in enumerate(party.open.lines)
    ]


def starting_text(party: ExplainedParty) -> str:
    """Return the merged text with ours where it clashes: what one starts to edit from."""
    found = party.open
    content = found.contents.ours if found.contents.ours is not None else found.contents.theirs
    try:
        if found.fields:
            content = found.merged({each.pointer: Side.OURS for each in found.fields})
        elif found.lines:
            content = found.merged_lines([each.lines.ours for each in found.lines])
    except InvalidResolution:
        pass
    return _text(content or b"")


def may_edit(party: ExplainedParty) -> bool:
    """Whether its content can be edited as text here."""
    contents = (party.open.contents.ours, party.open.contents.theirs)
    there = [each for each in contents if each is not None]
    return (
        party.open.takes_content
        and bool(there)
        and all(len(each) <= MOST_EDITED_BYTES and is_text(each) for each in there)
    )


def settling(party: ExplainedParty, form: FormData) -> Choice:
    """Return what a form chooses.

    Raises:
        InvalidValue: nothing is chosen, or the content is not of the asset's format.
        InvalidResolution: a place that clashes has no side.
    """
    how = text_of(form, "how")
    if how in (Side.OURS, Side.THEIRS):
        return Choice(side=Side(how))
    if how == "content":
        return Choice(content=_edited(party, text_of(form, "content")))
    if how != "each" or not choice_names(party):
        raise InvalidValue(field="choice", problem="is missing: choose how to resolve the conflict")
    sides = [_side(form, name, number) for number, name in enumerate(choice_names(party), 1)]
    if party.open.fields:
        named = zip(party.open.fields, sides, strict=True)
        return Choice(fields={clash.pointer: side for clash, side in named})
    texts = [
        clash.lines.theirs if side is Side.THEIRS else clash.lines.ours
        for clash, side in zip(party.open.lines, sides, strict=True)
    ]
    return Choice(content=party.open.merged_lines(texts))


def _side(form: FormData, name: str, number: int) -> Side:
    text = text_of(form, name)
    if number > ROWS:  # it is not on the page
        text = text or text_of(form, "rest")
    if text not in (Side.OURS, Side.THEIRS):
        raise InvalidValue(field=f"place {number}", problem="has no side yet: choose one")
    return Side(text)


def outcome_of(
    party: ExplainedParty, choice: Choice, check_size: Callable[[bytes], None]
) -> ChoiceOutcome:
    """Return what comes of a choice. Raises as `towline.resolve.OpenConflict.resolution`."""
    found = party.open
    found.resolution(side=choice.side, content=choice.content, fields=choice.fields)
    renamed_to: str | None = None
    if choice.side is not None:
        state = getattr(found.party.states, choice.side)
        if state is None:
            return ChoiceOutcome(is_absent=True)
        content = party.contents.get(state.digest)
        ours_state = found.party.states.ours
        if ours_state is not None and state.path != ours_state.path:
            renamed_to = state.path
    elif choice.fields is not None:
        content = found.merged(choice.fields)
    else:
        content = choice.content
    if content is None:
        return ChoiceOutcome(renamed_to=renamed_to)
    check_size(content)
    ours = found.contents.ours or b""
    if max(len(content), len(ours)) > MOST_EDITED_BYTES or not (is_text(content + ours)):
        return ChoiceOutcome(size=len(content), renamed_to=renamed_to)
    lines = difflib.unified_diff(
        _text(ours).split("\n"), _text(content).split("\n"), "ours", "result", lineterm=""
    )
    return ChoiceOutcome(
        size=len(content),
        renamed_to=renamed_to,
        lines=tuple(shown_lines(lines)),
        text=_text(content),
    )


def _edited(party: ExplainedParty, text: str) -> bytes:
    """Return an edited content, with line ends as the asset has them. Raises InvalidValue."""
    before = party.open.contents.ours
    if before is None:
        before = party.open.contents.theirs or b""
    content = _with_line_ends(starting_text(party), text).encode()
    for form in formats_of(party.open.path, before):
        try:
            form.parse(before)
        except (NotParsed, TooDeep):
            continue
        try:
            form.parse(content)
        except (NotParsed, TooDeep) as error:
            problem = f"is no longer valid {form.name.upper()}: {error}"
            raise InvalidValue(field="merged content", problem=problem) from None
        break
    return content


def _with_line_ends(before: str, text: str) -> str:
    """Return an edited text with the line ends of what was edited.

    Browsers send every line end as CRLF: a line that stays has the end that it had, a new one that
    of the line before it.
    """
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+$", before)
    texts = [line.rstrip("\r\n") for line in lines]
    ends = [line[len(text) :] for line, text in zip(lines, texts, strict=True)]
    if not texts or ends[-1]:  # what follows the last line end, as in the edited text
        texts.append("")
        ends.append("")
    known = [end for end in ends if end]
    edited = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(set(known)) <= 1:
        return (known[0] if known else "\n").join(edited)
    found: list[str | None] = [None] * len(edited)
    head = _same(texts, edited)
    tail = _same(texts[head:][::-1], edited[head:][::-1])
    found[:head] = ends[:head]
    if tail:
        found[-tail:] = ends[-tail:]
    # What is left is matched; lines that occur often only beside others, or it takes too long.
    between = difflib.SequenceMatcher(
        None, texts[head : len(texts) - tail], edited[head : len(edited) - tail]
    )
    for block in between.get_matching_blocks():
        first, begin = head + block.b, head + block.a
        found[first : first + block.size] = ends[begin : begin + block.size]
    made, last = "", known[0]
    for line, end in zip(edited[:-1], found[:-1], strict=True):
        last = end or last
        made += line + last
    return made + edited[-1]


def _same(some: Sequence[str], others: Sequence[str]) -> int:
    """Return how many lines are the same at the beginning."""
    pairs = zip(some, others, strict=False)
    return next(
        (at for at, (one, other) in enumerate(pairs) if one != other), min(len(some), len(others))
    )


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
