"""The JSON Schemas of the five public pages, and which parts of one the answers of a test show."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID

from jsonschema import Draft202012Validator, FormatChecker

Point: TypeAlias = tuple[str, str]
"""A place in an answer, and what may be found there: a value, a type, ``present``, ``absent``."""

_TYPES: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    str: "string",
    list: "array",
    dict: "object",
}


@dataclass
class PageSchema:
    """The schemas of one page, by name, and what the validated answers showed of them."""

    name: str
    seen: dict[str, set[Point]] = field(default_factory=dict)

    def check(self, definition: str, value: Any) -> None:
        """Validate an answer against a definition of the page."""
        _validator(self.name, definition).validate(value)
        self.seen.setdefault(definition, set()).update(self._found(definition, value))

    def unseen(self, *definitions: str) -> set[Point]:
        """What the schemas allow, and no answer has shown.

        Every field, there and left out; every word of an enum; null, and not null; both truths.
        """
        return {
            point
            for definition in definitions
            for point in _points({"$ref": f"#/$defs/{definition}"}, definition, self._defs)
            if point not in self.seen.get(definition, ())
        }

    @property
    def _defs(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = _document(self.name)["$defs"]
        return found

    def _found(self, definition: str, value: Any) -> set[Point]:
        return set(_seen(value, {"$ref": f"#/$defs/{definition}"}, definition, self._defs))


# --- what a schema allows, and what a value shows of it -----------------------------------------


def _points(schema: Any, at: str, defs: Mapping[str, Any]) -> Iterator[Point]:
    parts = list(_parts(schema, defs))
    required = {name for part in parts for name in part.get("required", ())}
    for part in parts:
        for word in _words(part):
            yield at, word
        for name, inner in part.get("properties", {}).items():
            yield f"{at}.{name}", "present"
            if name not in required:
                yield f"{at}.{name}", "absent"
            yield from _points(inner, f"{at}.{name}", defs)
        for place, inner in _within(part):
            yield f"{at}{place}", "present"
            yield from _points(inner, f"{at}{place}", defs)
        for inner in _alternatives(part):
            yield from _points(inner, at, defs)


def _seen(value: Any, schema: Any, at: str, defs: Mapping[str, Any]) -> Iterator[Point]:
    yield at, _word(value)
    yield at, _TYPES[type(value)]
    for part in _parts(schema, defs):
        named = part.get("properties", {}) if isinstance(value, dict) else {}
        for name, inner in named.items():
            yield f"{at}.{name}", "present" if name in value else "absent"
            if name in value:
                yield from _seen(value[name], inner, f"{at}.{name}", defs)
        for place, inner in _within(part):
            for each in _elements(value, named):
                yield f"{at}{place}", "present"
                yield from _seen(each, inner, f"{at}{place}", defs)
        for inner in _alternatives(part):
            if Draft202012Validator({**inner, "$defs": defs}).is_valid(value):
                yield from _seen(value, inner, at, defs)


def _parts(schema: Any, defs: Mapping[str, Any]) -> Iterator[Any]:
    """A schema, and those that hold beside it."""
    if "$ref" in schema:
        yield from _parts(defs[schema["$ref"].rsplit("/", 1)[1]], defs)
    for inner in schema.get("allOf", ()):
        yield from _parts(inner, defs)
    yield schema


def _alternatives(schema: Any) -> Sequence[Any]:
    return [*schema.get("anyOf", ()), *schema.get("oneOf", ())]


def _within(schema: Any) -> Iterator[tuple[str, Any]]:
    """The schema of every element of an array, or of what any name of an object has."""
    for place, keyword in (("[]", "items"), (".*", "additionalProperties")):
        if isinstance(schema.get(keyword), Mapping):
            yield place, schema[keyword]


def _elements(value: Any, named: Mapping[str, Any]) -> list[Any]:
    if isinstance(value, dict):
        return [each for name, each in value.items() if name not in named]
    return value if isinstance(value, list) else []


def _words(schema: Any) -> Iterator[str]:
    """The values and types among which there is a choice."""
    kind = schema.get("type")
    yield from (_word(each) for each in schema.get("enum", ()))
    if "const" in schema:
        yield _word(schema["const"])
    if kind == "boolean":
        yield from ("true", "false")
    if isinstance(kind, Sequence) and not isinstance(kind, str):
        yield from kind
    if kind == "null":
        yield "null"


def _word(value: Any) -> str:
    return json.dumps(value) if not isinstance(value, (list, dict)) else _TYPES[type(value)]


# --- the documents ----------------------------------------------------------------------------


@cache
def _document(name: str) -> Any:
    return json.loads((Path(__file__).parent / "schemas" / f"{name}.json").read_text())


@cache
def _validator(name: str, definition: str) -> Draft202012Validator:
    schema = {"$ref": f"#/$defs/{definition}", "$defs": _document(name)["$defs"]}
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema, format_checker=_formats())


def _formats() -> FormatChecker:
    """Formats without a further library: what is a time, and what a UUID."""
    checker = FormatChecker(formats=())

    @checker.checks("date-time", raises=ValueError)
    def is_time(value: object) -> bool:
        if not isinstance(value, str):
            return True
        return value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None

    @checker.checks("uuid", raises=ValueError)
    def is_uuid(value: object) -> bool:
        return not isinstance(value, str) or str(UUID(value)) == value

    return checker
