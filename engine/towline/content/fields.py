"""What a structural merge reports of the fields inside a document."""

from __future__ import annotations

from enum import StrEnum

from towline.content.pointers import Pointer
from towline.content.values import Value
from towline.content_rules import FieldRule
from towline.frozen import frozen
from towline.model import ThreeWay


class Reason(StrEnum):
    """Why a field is in conflict."""

    BOTH_CHANGED = "both_changed"
    BOTH_ADDED = "both_added"
    DELETED_HERE = "deleted_here"
    DELETED_THERE = "deleted_there"
    REORDERED = "reordered"
    GUARDED = "guarded"


@frozen(kw_only=True)
class FieldConflict:
    """A place where the two sides cannot both be had."""

    pointer: Pointer
    reason: Reason
    values: ThreeWay[Value]


@frozen(kw_only=True)
class FieldMerge:
    """A place where something of theirs was taken."""

    pointer: Pointer
    rule: FieldRule | None = None
