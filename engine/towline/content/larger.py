"""Which of two values is the larger: the larger number, the later date or time, the later text."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from towline.content.values import Value

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)?[Tt ]?(\d\d:\d\d)?(:\d\d)?(\.\d+)?(Z|[-+]\d\d:\d\d)?")
"""A date, a time, or both, as TOML and YAML write them."""


def is_larger(one: Value, other: Value) -> bool | None:
    """Whether one value is larger than another; None where they cannot be compared.

    So it is for values of two types, and for times in two time zones.
    """
    if isinstance(one, str) and isinstance(other, str):
        return one > other
    numbers = _decimal(one), _decimal(other)
    if numbers[0] is not None and numbers[1] is not None:
        return numbers[0] > numbers[1]
    moments = _moment(one), _moment(other)
    if moments[0] is None or moments[1] is None or moments[0][0] != moments[1][0]:
        return None
    return moments[0][1] > moments[1][1]


def _decimal(value: Value) -> Decimal | None:
    match value:
        case ("whole", digits):
            return Decimal(digits)
        case ("fraction", sign, digits, power):
            try:
                return Decimal(f"{sign}{digits}E{power}")
            except InvalidOperation:  # An exponent of more digits than any use has.
                return None
        case _:
            return None


def _moment(value: Value) -> tuple[object, list[str]] | None:
    """Return of which kind and time zone a date or time is, and its parts in their order."""
    match value:
        case (("plain" | "date" | "time" | "datetime"), str(text)):
            found = _MOMENT.fullmatch(text)
        case _:
            return None
    if found is None or not any(found.groups()):
        return None
    date, hour, second, fraction, zone = found.groups(default="")
    return (bool(date), bool(hour), zone.replace("Z", "+00:00")), [date, hour, second, fraction]
