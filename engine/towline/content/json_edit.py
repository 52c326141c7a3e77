"""Applies a decided merge to the text of a JSON document.

What theirs changed is put in place as theirs spells it, laid out as ours is; every other byte
stays as it is in ours.
"""

from __future__ import annotations

from towline.content.decision import Inside, Keep, Merge, Slot, Take
from towline.content.json_text import (
    Layout,
    Piece,
    Places,
    TextEdit,
    TextPart,
    apply_edits,
    indent_at,
    rearranged,
    relaid,
    root,
)
from towline.content.json_values import JsonDocument
from towline.content.recursion import Steps, run


def edit_json(ours: JsonDocument, theirs: JsonDocument, merge: Merge) -> bytes:
    """Return the bytes of ours with a decided merge applied."""
    writer = _Writer(ours, theirs)
    edits = run(writer.edits(merge, root(ours.text), root(theirs.text)))
    return ours.encode(apply_edits(ours.text, edits, 0, len(ours.text)))


class _Writer:
    def __init__(self, ours: JsonDocument, theirs: JsonDocument) -> None:
        self._ours, self._theirs = ours.text, theirs.text
        self._layout, self._their_layout = Layout.of(ours.text), Layout.of(theirs.text)
        self._places = Places(ours.text, ours.depth)
        self._their_places = Places(theirs.text, theirs.depth)

    def edits(self, merge: Merge, at: int, there: int) -> Steps[list[TextEdit]]:
        """Return the edits of ours' text for the value that begins ``at``, ``there`` in theirs."""
        match merge:
            case Keep():
                return []
            case Take():
                return [TextEdit(at, self._places.end(at), self._taken(there, at))]
            case Inside(slots):
                return (yield from self._inside(slots, at, there))

    def _inside(self, slots: tuple[Slot, ...], at: int, there: int) -> Steps[list[TextEdit]]:
        mine, other = self._places.parts(at), self._their_places.parts(there)
        by_key = self._ours[at] == "{"
        ours_at = _positions(mine, by_key=by_key)
        theirs_at = _positions(other, by_key=by_key)
        inner: dict[int, list[TextEdit]] = {}
        order: list[int | None] = []
        for slot in slots:
            place = None if slot.ours is None else ours_at[slot.ours]
            order.append(place)
            if place is not None and slot.theirs is not None and not isinstance(slot.merge, Keep):
                source = other[theirs_at[slot.theirs]]
                inner[place] = yield self.edits(slot.merge, mine[place].value, source.value)
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
        container = (at, self._places.end(at))
        return [rearranged(self._ours, container, mine, pieces, self._spacing(at, there))]

    def _new_part(self, source: TextPart, mine: list[TextPart], at: int) -> str:
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

    def _taken(self, there: int, at: int) -> str:
        return relaid(
            self._theirs[there : self._their_places.end(there)],
            before=indent_at(self._theirs, there),
            source=self._their_layout,
            after=indent_at(self._ours, at),
            target=self._layout,
        )

    def _spacing(self, at: int, there: int) -> tuple[str, str, str]:
        """Return the text around and between the parts of a container that was empty in ours."""
        layout = self._layout
        spread = "\n" in self._theirs[there : self._their_places.end(there)]
        if not (spread and layout.indent):
            return "", "," + layout.comma, ""
        outer = layout.newline + indent_at(self._ours, at)
        return outer + layout.indent, "," + outer + layout.indent, outer


def _positions(found: list[TextPart], *, by_key: bool) -> dict[str | int, int]:
    return {part.key if by_key else at: at for at, part in enumerate(found)}
