"""What a kind says of merging the contents of its assets: values, read by `towline.content`."""

from __future__ import annotations

from enum import StrEnum

from towline.errors import InvalidValue
from towline.frozen import frozen


class ContentMode(StrEnum):
    """How the contents of an asset are merged."""

    AUTO = "auto"
    """By structure where all sides are parsed, else by lines."""
    STRUCTURE = "structure"
    LINES = "lines"
    NEVER = "never"


class MergedBy(StrEnum):
    """What merged a content."""

    STRUCTURE = "structure"
    LINES = "lines"


class FieldRule(StrEnum):
    """What becomes of a field that both sides changed; or, if guarded, that theirs changed."""

    THEIRS = "theirs"
    OURS = "ours"
    LARGER = "larger"
    """The larger number, or the later text; for versions and times."""
    GUARDED = "guarded"
    """Never merged: a change of theirs is a conflict, even where ours left the field alone."""


@frozen(kw_only=True)
class ContentRules:
    """What is known of the content of a kind of assets.

    Places are JSON pointers (RFC 6901) in which ``*`` is any one name or element.

    ``identity`` names, for a list, the key by which its elements are known. ``unordered`` are lists
    whose order means nothing. ``fields`` settles fields that change with every save. ``mode`` is
    how these assets are merged; None: as the pull says.

    Raises:
        InvalidValue: a place is not a JSON pointer, or is there twice.
    """

    mode: ContentMode | None = None
    identity: tuple[tuple[str, str], ...] = ()
    unordered: tuple[str, ...] = ()
    fields: tuple[tuple[str, FieldRule], ...] = ()

    def __post_init__(self) -> None:
        for name in ("identity", "unordered", "fields"):
            places = [each if isinstance(each, str) else each[0] for each in getattr(self, name)]
            for place in places:
                if place and not place.startswith("/"):
                    raise InvalidValue(field=name, problem=f"{place!r} is not a JSON pointer")
            if len(set(places)) < len(places):
                raise InvalidValue(field=name, problem="lists the same place twice")
