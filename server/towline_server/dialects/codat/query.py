"""Owns the query language of lists: a recursive-descent parser to SQL expressions.

::

    either     = both ("||" both)*
    both       = term ("&&" term)*
    term       = "{" either "}" | comparison
    comparison = field operator value
    operator   = "=" | "!=" | "~" | ">" | ">=" | "<" | "<="

A value reaches to the next ``&&``, ``||``, ``{`` or ``}``; blanks around it, and around a field,
do not count. ``~`` finds text in strings, as it is written; numbers and times alone have an order.
What is null equals nothing, and is unequal to everything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Float, and_, cast, func, literal, or_

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline_server.db.base import ExactText, UtcDateTime

LONGEST = 2047
"""Characters of a query."""
_DEEPEST = 64
"""Groups within each other."""


class FieldType(StrEnum):
    """What sort of value a field has."""

    STRING = "a string"
    NUMBER = "a number"
    TIME = "a time"
    FLAG = "true or false"


@frozen
class QueryField:
    """A field that queries may name: its type, and its value in SQL."""

    type: FieldType
    expression: ColumnElement[Any]


@frozen
class QueryFields:
    """The fields of a list."""

    by_name: Mapping[str, QueryField]
    not_queryable: frozenset[str] = frozenset()
    """QueryFields of the response that queries may not name."""

    def get(self, name: str, where: str) -> QueryField:
        """Return the field of this name.

        Raises:
            InvalidValue: there is none, or queries may not name it.
        """
        if name in self.not_queryable:
            raise InvalidValue(field=where, problem=f"the field {name} is not queryable")
        if name not in self.by_name:
            raise InvalidValue(field=where, problem=f"there is no field called {_shown(name)}")
        return self.by_name[name]


Parse: TypeAlias = Callable[[], ColumnElement[bool]]
Comparison: TypeAlias = Callable[[ColumnElement[Any], ColumnElement[Any]], ColumnElement[bool]]

_ORDERED: Final = (FieldType.NUMBER, FieldType.TIME)
# The longer ones first: "<" begins "<=", too.
_OPERATORS: Final[Mapping[str, tuple[Comparison, tuple[FieldType, ...]]]] = {
    "!=": (lambda left, right: or_(left.is_(None), left != right), tuple(FieldType)),
    ">=": (lambda left, right: left >= right, _ORDERED),
    "<=": (lambda left, right: left <= right, _ORDERED),
    "=": (lambda left, right: left == right, tuple(FieldType)),
    # LIKE would ignore case on SQLite, and has signs of its own.
    "~": (lambda left, right: func.replace(left, right, "") != left, (FieldType.STRING,)),
    ">": (lambda left, right: left > right, _ORDERED),
    "<": (lambda left, right: left < right, _ORDERED),
}
_FIELD: Final = re.compile(r"(?:(?!&&|\|\|)[^{}=!~<>])+")
_VALUE: Final = re.compile(r"(?![=!~<>])(?:(?!&&|\|\|)[^{}])+")


def parse_query(text: str, fields: QueryFields) -> ColumnElement[bool]:
    """Return the condition that a query expresses.

    Raises:
        InvalidValue: it is malformed, too long, or compares what cannot be compared.
    """
    if len(text) > LONGEST:
        raise _refused(f"has {len(text)} characters; {LONGEST} are allowed")
    if any(not letter.isprintable() for letter in text):
        raise _refused("holds a character that cannot be printed")
    return _Parser(text, fields).parse()


def parse_order(text: str, fields: QueryFields) -> ColumnElement[Any]:
    """Return the order by a field, descending with ``-`` before its name; null is lowest.

    Raises:
        InvalidValue: there is no such field, or queries may not name it.
    """
    descends = text.startswith("-")
    field = fields.get(text.removeprefix("-"), "orderBy")
    # Strings in the order of their bytes, on every database.
    of_text = field.type is FieldType.STRING
    found = cast(field.expression, ExactText()) if of_text else field.expression
    return found.desc().nulls_last() if descends else found.asc().nulls_first()


class _Parser:
    """One query, read from left to right."""

    def __init__(self, text: str, fields: QueryFields) -> None:
        self._text = text
        self._fields = fields
        self._at = 0
        self._depth = 0

    def parse(self) -> ColumnElement[bool]:
        found = self._either()
        if self._at < len(self._text):
            raise self._unexpected("&& or ||")
        return found

    def _either(self) -> ColumnElement[bool]:
        return self._joined("||", self._both, or_)

    def _both(self) -> ColumnElement[bool]:
        return self._joined("&&", self._term, and_)

    def _joined(self, sign: str, term: Parse, join: Callable[..., Any]) -> ColumnElement[bool]:
        terms = [term()]
        while self._takes(sign):
            terms.append(term())
        return terms[0] if len(terms) == 1 else join(*terms)

    def _term(self) -> ColumnElement[bool]:
        if not self._takes("{"):
            return self._comparison()
        if self._depth == _DEEPEST:
            raise _refused(f"has more than {_DEEPEST} groups within each other")
        self._depth += 1
        found = self._either()
        if not self._takes("}"):
            raise self._unexpected("}")
        self._depth -= 1
        return found

    def _comparison(self) -> ColumnElement[bool]:
        name = self._word(_FIELD, "a field")
        field = self._fields.get(name, "query")
        operator = self._operator()
        compare, types = _OPERATORS[operator]
        if field.type not in types:
            raise _refused(f"{operator} cannot be used with {name}, which is {field.type}")
        self._skip_blanks()
        raw = self._word(_VALUE, "a value")
        return compare(field.expression, _value(name, field.type, raw))

    def _operator(self) -> str:
        for operator in _OPERATORS:
            if self._text.startswith(operator, self._at):
                self._at += len(operator)
                return operator
        raise self._unexpected(f"one of {' '.join(_OPERATORS)}")

    def _word(self, pattern: re.Pattern[str], wanted: str) -> str:
        found = pattern.match(self._text, self._at)
        if found is None or not found[0].strip():
            raise self._unexpected(wanted)
        self._at = found.end()
        return found[0].strip()

    def _takes(self, sign: str) -> bool:
        self._skip_blanks()
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        self._skip_blanks()
        return True

    def _skip_blanks(self) -> None:
        while self._text.startswith(" ", self._at):
            self._at += 1

    def _unexpected(self, wanted: str) -> InvalidValue:
        return _refused(f"needs {wanted} at character {self._at + 1}")


# --- values -----------------------------------------------------------------------------------


def _value(name: str, kind: FieldType, raw: str) -> ColumnElement[Any]:
    try:
        match kind:
            case FieldType.STRING:
                return literal(raw, ExactText())
            case FieldType.NUMBER:
                # Wider than any integer that a database would take.
                return literal(_number(raw), Float())
            case FieldType.TIME:
                return literal(_time(raw), UtcDateTime())
            case FieldType.FLAG:
                return literal(_flag(raw))
    except (ValueError, OverflowError):
        raise _refused(f"{name} needs {kind}, not {_shown(raw)}") from None


def _number(raw: str) -> float:
    digits = raw.removeprefix("-").replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError(raw)
    return float(raw)


def _time(raw: str) -> datetime:
    found = datetime.fromisoformat(raw)
    if found.tzinfo is None:
        return found.replace(tzinfo=UTC)
    return found.astimezone(UTC)


def _flag(raw: str) -> bool:
    words = {"true": True, "false": False}
    if raw.lower() not in words:
        raise ValueError(raw)
    return words[raw.lower()]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")


def _refused(problem: str) -> InvalidValue:
    return InvalidValue(field="query", problem=problem)
