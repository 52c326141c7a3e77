"""Applies a decided merge to the text of a JSON document.

What theirs changed is put in place as theirs spells it, laid out as ours is; every other byte
stays as it is in ours.
"""

from __future__ import annotations

from towline.content.json_text import (
    Layout,
    Part,
    Piece,
    TextEdit,
    apply_edits,
    indent_at,
    parts,
    rearranged,
    relaid,
    root,
    value_end,
)
from towline.content.structure import Inside, Keep, Merge, Slot, Take
from towline.content.values import JsonDocument


def edit_json(ours: JsonDocument, theirs: JsonDocument, merge: Merge) -> bytes:
    """Return the bytes of ours with a decided merge applied."""
    writer = _Writer(ours.text, theirs.text)
    edits = writer.edits(merge, root(ours.text), root(theirs.text))
    return ours.encode(apply_edits(ours.text, edits, 0, len(ours.text)))


class _Writer:
    def __init__(self, ours: str, theirs: str) -> None:
        self._ours, self._theirs = ours, theirs
        self._layout, self._their_layout = Layout.of(ours), Layout.of(theirs)

    def edits(self, merge: Merge, at: int, there: int) -> list[TextEdit]:
        """Return the edits of ours' text for the value that begins ``at``, ``there`` in theirs."""
        match merge:
            case Keep():
                return []
            case Take():
                end = value_end(self._ours, at)
                taken = self._taken(there, value_end(self._theirs, there), at)
                return [TextEdit(at, end, taken)]
            case Inside(slots):
                return self._inside(slots, at, there)

    def _inside(self, slots: tuple[Slot, ...], at: int, there: int) -> list[TextEdit]:
        mine, other = parts(self._ours, at), parts(self._theirs, there)
        by_key = self._ours[at] == "{"
        ours_at = _positions(mine, by_key=by_key)
        theirs_at = _positions(other, by_key=by_key)
        inner: dict[int, list[TextEdit]] = {}
        order: list[int | None] = []
        for slot in slots:
            place = None if slot.ours is None else ours_at[slot.ours]
            order.append(place)
            if place is not None and slot.theirs is not None:
                source = other[theirs_at[slot.theirs]]
                inner[place] = self.edits(slot.merge, mine[place].value, source.value)
        if order == list(range(len(mine))):
            return [edit for edits in inner.values() for edit in edits]
        pieces = []
        for slot, place in zip(slots, order, strict=True):
            if place is not None:
                part = mine[place]
                text = apply_edits(self._ours, inner.get(place, ()), part.start, part.end)
                pieces.append(Piece(place, text))
            else:
                assert slot.theirs is not None, "it is from one of the sides"
                source = other[theirs_at[slot.theirs]]
                pieces.append(Piece(None, self._new_part(source, mine, at)))
        return [rearranged(self._ours, at, mine, pieces, self._spacing(at, there))]

    def _new_part(self, source: Part, mine: list[Part], at: int) -> str:
        """Return the text of a member or element of theirs, as it is laid out in ours."""
        value = self._theirs[source.value : source.end]
        beside = mine[0].start if mine else at
        after = indent_at(self._ours, beside)
        if not mine and self._layout.indent:
            after += self._layout.indent
        before = indent_at(self._theirs, source.start)
        laid = relaid(
            value, before=before, source=self._their_layout, after=after, target=self._layout
        )
        if source.value == source.start:
            return laid
        key = self._theirs[source.start : source.value].partition('"')[2].rpartition('"')[0]
        colon = self._ours[mine[0].start : mine[0].value].rpartition('"')[2] if mine else None
        return f'"{key}"{colon or ":" + self._layout.colon}{laid}'

    def _taken(self, there: int, end: int, at: int) -> str:
        return relaid(
            self._theirs[there:end],
            before=indent_at(self._theirs, there),
            source=self._their_layout,
            after=indent_at(self._ours, at),
            target=self._layout,
        )

    def _spacing(self, at: int, there: int) -> tuple[str, str, str]:
        """Return the text around and between the parts of a container that was empty in ours."""
        layout = self._layout
        spread = "\n" in self._theirs[there : value_end(self._theirs, there)]
        if not (spread and layout.indent):
            return "", "," + layout.comma, ""
        outer = layout.newline + indent_at(self._ours, at)
        return outer + layout.indent, "," + outer + layout.indent, outer


def _positions(found: list[Part], *, by_key: bool) -> dict[str | int, int]:
    return {part.key if by_key else at: at for at, part in enumerate(found)}
