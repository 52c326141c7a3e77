"""Applies a decided merge to the text of a YAML document.

Theirs' values, members and items are put in place as whole lines, or within one; every other byte
stays as it is in ours. The caller parses the result again: YAML has more forms than are known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from towline.content.decision import Inside, Keep, Merge, Slot, Take
from towline.content.json_text import Piece, TextEdit, TextPart, apply_edits, rearranged
from towline.content.yaml_values import YamlDocument, members
from towline.frozen import frozen


def edit_yaml(ours: YamlDocument, theirs: YamlDocument, merge: Merge) -> bytes | None:
    """Return the bytes of ours with a decided merge applied; None where it cannot be."""
    if ours.shares_nodes or theirs.shares_nodes or len(ours.nodes) != 1 or len(theirs.nodes) != 1:
        return None
    writer = _Writer(ours.text, theirs.text)
    try:
        edits = list(writer.edits(merge, ours.nodes[0], theirs.nodes[0]))
    except _CannotWrite:
        return None
    return ours.encode(apply_edits(ours.text, edits, 0, len(ours.text)))


class _CannotWrite(Exception):
    """The decision takes more than putting values, members and items in place."""


@frozen
class _PartLines:
    """The lines of one member of a block mapping, or one item of a block sequence.

    ``shares_line``: it begins behind the dash of an item that it is the first part of, as in
    ``- - item`` and ``- member: 1``.
    """

    start: int
    end: int
    indent: str
    shares_line: bool


class _Writer:
    def __init__(self, ours: str, theirs: str) -> None:
        self._ours, self._theirs = ours, theirs
        self._newline = "\r\n" if "\r\n" in ours else "\n"
        # PyYAML's nodes are compared by identity.
        self._their_blocks: dict[Any, dict[str | int, _PartLines]] = {}

    def edits(self, merge: Merge, mine: Any, other: Any) -> Iterator[TextEdit]:
        match merge:
            case Keep():
                return
            case Take():
                yield self._value(mine, other)
            case Inside(slots):
                if mine.flow_style:
                    yield from self._inside_flow(slots, mine, other)
                else:
                    yield from self._inside(slots, mine, other)

    def _value(self, mine: Any, other: Any) -> TextEdit:
        """Put theirs' value in the place of ours: what is on one line, in the line."""
        taken = self._theirs[other.start_mark.index : other.end_mark.index]
        replaced = self._ours[mine.start_mark.index : mine.end_mark.index]
        if "\n" in taken or "\n" in replaced or not taken or not replaced:
            raise _CannotWrite
        return TextEdit(mine.start_mark.index, mine.end_mark.index, taken)

    def _inside_flow(self, slots: Sequence[Slot], mine: Any, other: Any) -> Iterator[TextEdit]:
        """Put parts in place between the brackets of ours, each with the spacing that it has."""
        ours, theirs = _parts(mine), _parts(other)
        own, taken = _flow_parts(mine), _flow_parts(other)
        added = [slot.theirs for slot in slots if slot.theirs is not None]
        if not own and any(self._has_lines(taken[key]) for key in added):
            yield self._filled(added, mine, other)
            return
        places = {key: at for at, key in enumerate(own)}
        inner: list[TextEdit] = []
        pieces: list[Piece] = []
        for slot in slots:
            if slot.ours is None:
                assert slot.theirs is not None, "it is from one of the sides"
                pieces.append(Piece(None, self._one_line(taken[slot.theirs])))
                continue
            edits: list[TextEdit] = []
            part = own[slot.ours]
            if slot.theirs is not None:
                try:
                    edits += self.edits(slot.merge, ours[slot.ours], theirs[slot.theirs])
                except _CannotWrite:
                    if not isinstance(slot.merge, Take):
                        raise
                    edits = [TextEdit(part.start, part.end, self._one_line(taken[slot.theirs]))]
            inner += edits
            text = apply_edits(self._ours, edits, part.start, part.end)
            pieces.append(Piece(places[slot.ours], text))
        if [piece.part for piece in pieces] == list(range(len(own))):
            yield from inner
            return
        container = (mine.start_mark.index, mine.end_mark.index)
        yield rearranged(self._ours, container, list(own.values()), pieces, ("", ", ", ""))

    def _one_line(self, part: TextPart) -> str:
        """Return the text of a part of theirs. Raises _CannotWrite where it has several lines."""
        if self._has_lines(part):
            raise _CannotWrite
        return self._theirs[part.start : part.end]

    def _has_lines(self, part: TextPart) -> bool:
        """Whether a part of theirs has several lines."""
        return "\n" in self._theirs[part.start : part.end]

    def _filled(self, added: Sequence[str | int], mine: Any, other: Any) -> TextEdit:
        """Put lines of theirs in the place of empty brackets, below the key of ours."""
        end = int(mine.end_mark.index)
        if other.flow_style or self._ours[end:].partition("\n")[0].strip():
            raise _CannotWrite
        start, column = _key_before(self._ours, mine)
        deeper = _column(self._theirs, other) - _key_before(self._theirs, other)[1]
        place = _PartLines(start, end, " " * (column + deeper), shares_line=False)
        text = "".join(self._block_of(key, other, place) for key in added)
        return TextEdit(start, end, self._newline + text.removesuffix(self._newline))

    def _inside(self, slots: Sequence[Slot], mine: Any, other: Any) -> Iterator[TextEdit]:
        if not slots:
            yield self._emptied(mine)
            return
        ours, theirs = _parts(mine), _parts(other)
        order = [slot.ours for slot in slots if slot.ours is not None]
        blocks = _blocks(self._ours, mine)
        left = set(order)
        if not order or order != [key for key in ours if key in left]:
            yield self._rearranged(slots, mine, other, blocks)
            return
        for key in ours.keys() - left:
            if blocks[key].shares_line:
                raise _CannotWrite
            yield TextEdit(blocks[key].start, blocks[key].end, "")
        before: str | int | None = None
        for slot in slots:
            if slot.ours is None:
                assert slot.theirs is not None, "it is from one of the sides"
                yield self._insertion(slot.theirs, other, before, blocks)
            else:
                before = slot.ours
                if slot.theirs is not None:
                    yield from self._part(slot, ours, theirs, blocks, other)

    def _emptied(self, mine: Any) -> TextEdit:
        """Put brackets in the place of all lines of a block, behind its key or dash."""
        start = _end_before(self._ours, mine)
        if not start or self._ours[start - 1] not in ":-":
            raise _CannotWrite
        brackets = " {}" if mine.id == "mapping" else " []"
        return TextEdit(start, _last_index(mine), brackets)

    def _rearranged(
        self,
        slots: Sequence[Slot],
        mine: Any,
        other: Any,
        blocks: Mapping[str | int, _PartLines],
    ) -> TextEdit:
        """Put the lines of all parts in a new order, each with its edits."""
        ours, theirs = _parts(mine), _parts(other)
        places = list(blocks.values())
        if any(place.shares_line for place in places):
            raise _CannotWrite
        texts = []
        for slot in slots:
            if slot.ours is None:
                assert slot.theirs is not None, "it is from one of the sides"
                texts.append(self._block_of(slot.theirs, other, places[0]))
                continue
            edits = []
            if slot.theirs is not None:
                edits = list(self._part(slot, ours, theirs, blocks, other))
            block = blocks[slot.ours]
            text = apply_edits(self._ours, edits, block.start, block.end)
            texts.append(text if text.endswith("\n") else text + self._newline)
        start, end = places[0].start, places[-1].end
        text = "".join(texts)
        ends = self._ours[start:end].endswith("\n")
        return TextEdit(start, end, text if ends else text.removesuffix(self._newline))

    def _part(
        self,
        slot: Slot,
        ours: Mapping[str | int, Any],
        theirs: Mapping[str | int, Any],
        blocks: Mapping[str | int, _PartLines],
        other: Any,
    ) -> Iterator[TextEdit]:
        assert slot.ours is not None, "both sides have it"
        assert slot.theirs is not None, "both sides have it"
        try:
            # All of it or nothing, as what follows replaces it whole.
            yield from list(self.edits(slot.merge, ours[slot.ours], theirs[slot.theirs]))
        except _CannotWrite:
            if not isinstance(slot.merge, Take):
                raise
            block = blocks[slot.ours]
            yield TextEdit(block.start, block.end, self._block_of(slot.theirs, other, block))

    def _insertion(
        self,
        key: str | int,
        other: Any,
        before: str | int | None,
        blocks: Mapping[str | int, _PartLines],
    ) -> TextEdit:
        beside = next(iter(blocks.values())) if before is None else blocks[before]
        if before is None and beside.shares_line:
            raise _CannotWrite
        at = beside.start if before is None else beside.end
        text = self._block_of(key, other, replace(beside, shares_line=False))
        if at == len(self._ours) and not self._ours.endswith("\n"):
            return TextEdit(at, at, self._newline + text.removesuffix(self._newline))
        return TextEdit(at, at, text)

    def _block_of(self, key: str | int, other: Any, place: _PartLines) -> str:
        """Return the lines of a part of theirs, indented as ours is at a place."""
        if other not in self._their_blocks:
            self._their_blocks[other] = _blocks(self._theirs, other)
        block = self._their_blocks[other][key]
        lines = self._theirs[block.start : block.end].removesuffix("\n").split("\n")
        first = lines[0] if block.shares_line else lines[0].removeprefix(block.indent)
        rest = [line.removeprefix(block.indent) for line in lines[1:]]
        shown = ["" if place.shares_line else place.indent, first]
        text = "".join(shown) + "".join(
            "\n" + (place.indent + line if line.strip() else "") for line in rest
        )
        return "".join(line.rstrip("\r") + self._newline for line in text.split("\n"))


def _end_before(text: str, node: Any) -> int:
    """Return where what is before a node ends."""
    start = int(node.start_mark.index)
    while start and text[start - 1] in " \r\n":
        start -= 1
    return start


def _key_before(text: str, node: Any) -> tuple[int, int]:
    """Return where the key of a node ends, and its column. Raises _CannotWrite without a key."""
    end = _end_before(text, node)
    if not end or text[end - 1] != ":":
        raise _CannotWrite
    line = text[text.rfind("\n", 0, end) + 1 : end]
    return end, len(line) - len(line.lstrip(" -"))


def _column(text: str, node: Any) -> int:
    start = int(node.start_mark.index)
    return start - text.rfind("\n", 0, start) - 1


def _parts(node: Any) -> dict[str | int, Any]:
    if node.id == "mapping":
        return {name: value for name, _, value in members(node)}
    return dict(enumerate(node.value))


def _flow_parts(node: Any) -> dict[str | int, TextPart]:
    """Return where each member or item between brackets is."""
    if node.id == "mapping":
        found: list[tuple[str | int, Any, Any]] = list(members(node))
    else:
        found = [(at, item, item) for at, item in enumerate(node.value)]
    parts: dict[str | int, TextPart] = {}
    for name, first, value in found:
        start, end = first.start_mark.index, max(first.end_mark.index, value.end_mark.index)
        parts[name] = TextPart(str(name), start, value.start_mark.index, end)
    return parts


def _blocks(text: str, node: Any) -> dict[str | int, _PartLines]:
    """Return the lines of each part; comments and blank lines behind one go with the one before."""
    if node.id == "mapping":
        starts: list[tuple[str | int, int]] = [
            (name, key.start_mark.index) for name, key, _ in members(node)
        ]
    else:
        starts = [(at, item.start_mark.index) for at, item in enumerate(node.value)]
    if not starts:
        raise _CannotWrite
    lines = [text.rfind("\n", 0, index) + 1 for _, index in starts]
    if len(set(lines)) < len(lines):
        raise _CannotWrite
    leads = [text[line:index] for line, (_, index) in zip(lines, starts, strict=True)]
    end = text.find("\n", max(_last_index(node), lines[-1]))
    ends = [*lines[1:], len(text) if end < 0 else end + 1]
    blocks: dict[str | int, _PartLines] = {}
    for number, (key, _) in enumerate(starts):
        before = leads[number]
        if node.id == "sequence" and "-" in before:
            before = before.rpartition("-")[0]
        shares = "-" in before
        if before.strip(" -") or (shares and number):
            raise _CannotWrite
        start = lines[number] + len(before) if shares else lines[number]
        blocks[key] = _PartLines(start, ends[number], " " * len(before), shares)
    return blocks


def _last_index(node: Any) -> int:
    """Return the place of the last character of a node; a block's own end lies behind comments."""
    while node.id != "scalar" and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if node.id == "mapping" else last
    index = int(node.end_mark.index)
    is_block = node.id == "scalar" and node.style in ("|", ">")
    return max(index - 1, 0) if is_block else index
