"""Saved resolutions: how a person settled the conflict of one asset, and for which three states."""

from __future__ import annotations

import json

from towline.codec import encode
from towline.errors import InvalidValue
from towline.frozen import frozen
from towline.model import AssetId, AssetPath, AssetState, Digest, ThreeWay, first_path
from towline.options import Side

MAX_CONTENT_BYTES = 5 * 1024 * 1024
"""The largest content of a resolution."""
MAX_REMEMBERED = 100
"""How many resolutions of the past a store offers again."""
MAX_REMEMBERED_BYTES = 5 * 1024 * 1024
"""The most bytes of their contents, all together."""


@frozen(kw_only=True)
class SavedResolution:
    """The choice for one asset: a side, its content, or a side for each field that clashes.

    It holds only while the asset's three ``states`` are these; when one of them moves, it lapses.
    Exactly one of ``side``, ``content`` and ``fields`` is given. A field is a JSON pointer
    (RFC 6901), in which an element known by identity is ``[key=value]``; what clashes nowhere is
    merged as without a resolution. ``by_pattern``: it was chosen for a folder or a glob, not for
    the asset by its name.

    Raises:
        InvalidValue: there is no state, not exactly one choice, a field is no pointer or is there
            twice, or the content is above `MAX_CONTENT_BYTES`.
    """

    asset_id: AssetId
    states: ThreeWay[AssetState | None]
    side: Side | None = None
    content: bytes | None = None
    fields: tuple[tuple[str, Side], ...] = ()
    by_pattern: bool = False

    def __post_init__(self) -> None:
        if all(state is None for state in self.states):
            raise InvalidValue(field="states", problem="must not all be absent")
        if [self.side is not None, self.content is not None, bool(self.fields)].count(True) != 1:
            raise InvalidValue(field="resolution", problem="must be a side, a content, or fields")
        if self.content is not None and len(self.content) > MAX_CONTENT_BYTES:
            problem = f"{len(self.content)} bytes exceed the limit of {MAX_CONTENT_BYTES}"
            raise InvalidValue(field="content", problem=problem)
        pointers = [pointer for pointer, _ in self.fields]
        for pointer in pointers:
            if pointer and not pointer.startswith("/"):
                raise InvalidValue(field="fields", problem=f"{pointer!r} is not a JSON pointer")
        if len(set(pointers)) < len(pointers):
            raise InvalidValue(field="fields", problem="lists the same pointer twice")

    @property
    def path(self) -> AssetPath:
        """The asset's path in ours, else in theirs, else in base."""
        return first_path(self.states.ours, self.states.theirs, self.states.base)

    @property
    def digests(self) -> ThreeWay[Digest | None]:
        """The digests of the three states, by which it is offered again."""
        return self.states.map(lambda state: None if state is None else state.digest)

    @property
    def identity(self) -> Digest:
        """A digest of the whole value, by which a plan names the resolution that it used."""
        return Digest.of(json.dumps(encode(self), sort_keys=True).encode())

    def moved(self, states: ThreeWay[AssetState | None]) -> tuple[str, ...]:
        """Return the names of the sides that are not as they were: base, ours, theirs."""
        now = states.by_side()
        return tuple(name for name, was in self.states.by_side().items() if now[name] != was)
