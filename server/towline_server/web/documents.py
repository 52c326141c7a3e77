"""JSON from outside that is kept as it came: only what every database can hold, and give back."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

_DEEPEST = 32
_TOO_LARGE = 2**63
PLAIN = r"^[^\x00]*$"
"""The pattern of text that every database can hold."""


def _plain_text(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not hold U+0000")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("must be Unicode")
    return text


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"must not be nested deeper than {_DEEPEST}")
    match value:
        case str():
            _plain_text(value)
        case bool():
            pass
        # However it is spelled: to JSON 1e30 is a whole number, too.
        case int() | float() if not -_TOO_LARGE < value < _TOO_LARGE:
            raise ValueError("must hold numbers of 64 bits")
        case list():
            for each in value:
                _plain(each, depth + 1)
        case dict():
            for name, each in value.items():
                _plain_text(name)
                _plain(each, depth + 1)
        case _:
            pass  # null, and numbers
    return value


def left_out() -> Any:
    """The default of a field that may be left out, and is never null in the document."""
    # What a factory makes does not stand in the document.
    return Field(default_factory=lambda: None)


def _no_word(value: object) -> object:
    """JSON has numbers: what is a word, or true, is none; 1.0 is 1."""
    if isinstance(value, (str, bool)):
        raise ValueError("must be a number")
    return value


WHOLE = BeforeValidator(_no_word)
"""Makes an ``int`` a whole number of a JSON document; it stands behind the bounds."""
PlainText: TypeAlias = Annotated[
    str, AfterValidator(_plain_text), Field(json_schema_extra={"pattern": PLAIN})
]
"""Text that every database can hold."""


class _PlainNames:
    """Tells of an object's names in the OpenAPI document."""

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(core_schema), "propertyNames": {"pattern": PLAIN}}


# All but the depth, which a schema cannot tell.
PlainJson = TypeAliasType(
    "PlainJson",
    "bool | Annotated[float, Field(gt=-_TOO_LARGE, lt=_TOO_LARGE)] | PlainText"
    " | list[PlainJson] | Annotated[dict[str, PlainJson], _PlainNames()] | None",
)


class _OfPlainJson:
    """Tells of an object in the OpenAPI document; `_plain` finds what is wrong with one."""

    def __get_pydantic_json_schema__(
        self, _core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(TypeAdapter(Annotated[dict[str, PlainJson], _PlainNames()]).core_schema)


JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(_plain), _OfPlainJson()]
"""A JSON object whose keys mean nothing here, or not all of them."""
