"""Encode values as JSON and decode them, strictly, by their annotations: plans, records, requests.

Supports dataclasses, ``X | None`` and other unions of dataclasses with different fields, tuples,
pairs, StrEnum, int, bool, bytes (base64), and what is made of text, such as str and UUID. An absent
field has its default. A field whose metadata has ``formerly`` is also decoded from that name.

A type's annotations are read once: each type has a function that encodes or decodes its values.
"""

from __future__ import annotations

import types
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from typing import (
    Any,
    NamedTuple,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from towline.errors import InvalidValue, TowlineError

T = TypeVar("T")
_JSON = (dict, int, float, bool, type(None))
"""What is JSON as it is."""
_Convert: TypeAlias = Callable[[Any], Any]


class _Mismatch(Exception):
    """A value of another form: the problem, and the place in the value, as ``.field[number]``."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem
        self.place = ""


# --- encoding ---------------------------------------------------------------------------------


def encode(value: Any) -> Any:
    """Return the JSON form of a value, without the fields that have their default."""
    kind = type(value)
    return (_ENCODERS.get(kind) or _encoder(kind))(value)


_ENCODERS: dict[type, _Convert] = {}
"""By type; a plan of a large project has hundreds of thousands of values."""


def _encoder(kind: Any) -> _Convert:
    _ENCODERS[kind] = made = _make_encoder(kind)
    return made


def _make_encoder(kind: Any) -> _Convert:
    if is_dataclass(kind):
        return _dataclass_encoder(kind)
    if issubclass(kind, (tuple, list)):
        return lambda items: [encode(item) for item in items]
    if issubclass(kind, (set, frozenset)):
        return lambda items: sorted(encode(item) for item in items)
    if issubclass(kind, bytes):
        return lambda content: b64encode(content).decode("ascii")
    return _same if kind in _JSON else str


def _dataclass_encoder(kind: Any) -> _Convert:
    defaults = [(f.name, f.default) for f in fields(kind) if f.compare]

    def encode_fields(value: Any) -> dict[str, Any]:
        encoded = {}
        for name, default in defaults:
            item = getattr(value, name)
            if item is not default and (default is MISSING or item != default):
                of = type(item)
                encoded[name] = (_ENCODERS.get(of) or _encoder(of))(item)
        return encoded

    return encode_fields


def _same(value: Any) -> Any:
    return value


# --- decoding ---------------------------------------------------------------------------------


def decode(kind: type[T], data: Any, where: str = "value") -> T:
    """Return the value that `encode` encoded as this.

    Raises:
        InvalidValue: it has another form; ``field`` names the place, starting with ``where``.
    """
    return cast(T, _decode(kind, data, where, parses=True))


def decode_trusted(kind: type[T], data: Any, where: str = "value") -> T:
    """Decode what a store wrote where only it writes; raises as `decode`.

    Paths, ids and digests were parsed when they came from outside, and are not parsed again.
    """
    return cast(T, _decode(kind, data, where, parses=False))


def _decode(kind: Any, data: Any, where: str, *, parses: bool) -> Any:
    try:
        return _decoder(kind, parses)(data)
    except _Mismatch as error:
        raise InvalidValue(field=where + error.place, problem=error.problem) from None


@lru_cache(maxsize=256)
def _decoder(kind: Any, parses: bool) -> _Convert:  # noqa: FBT001 - a key of the cache
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _union_decoder(get_args(kind), parses=parses)
    if origin in (tuple, frozenset):
        return _sequence_decoder(origin, get_args(kind), parses=parses)
    if is_dataclass(origin or kind):
        return _dataclass_decoder(kind, parses=parses)
    return _scalar_decoder(getattr(kind, "__supertype__", kind), parses=parses)


def _scalar_decoder(kind: Any, *, parses: bool) -> _Convert:
    if kind is bytes:
        return _decode_bytes
    if kind in (int, bool, str):
        return lambda data: _checked(kind, data)
    make = kind
    if parses and not issubclass(kind, StrEnum):
        make = getattr(kind, "parse", kind)

    def decode_text(data: Any) -> Any:
        text = _checked(str, data)
        try:
            return make(text)
        except TowlineError as error:
            raise _Mismatch(str(error)) from None
        except ValueError:
            raise _Mismatch(f"{text[:40]!r} is not a known value") from None

    return decode_text


def _decode_bytes(data: Any) -> bytes:
    try:
        return b64decode(_checked(str, data), validate=True)
    except Base64Error:
        raise _Mismatch("is not base64") from None


def _checked(kind: type, data: Any) -> Any:
    if type(data) is not kind:
        raise _Mismatch(f"must be {kind.__name__}, not {type(data).__name__}")
    return data


def _union_decoder(kinds: tuple[Any, ...], *, parses: bool) -> _Convert:
    choices = [kind for kind in kinds if kind is not type(None)]
    optional = len(choices) < len(kinds)

    def decode_choice(data: Any) -> Any:
        if data is None and optional:
            return None
        kind = choices[0] if len(choices) == 1 else _fitting(choices, data)
        return _decoder(kind, parses)(data)

    return decode_choice


def _fitting(choices: list[Any], data: Any) -> Any:
    """Return the first of these dataclasses that may have these fields."""
    keys = set(data) if isinstance(data, dict) else set()
    for kind in choices:
        form = _form(kind)
        if form.required <= keys <= form.types.keys():
            return kind
    raise _Mismatch("has none of the allowed forms")


def _sequence_decoder(origin: Any, kinds: tuple[Any, ...], *, parses: bool) -> _Convert:
    alike = origin is frozenset or kinds[-1] is Ellipsis

    def decode_items(data: Any) -> Any:
        items = _checked(list, data)
        if not alike and len(items) != len(kinds):
            raise _Mismatch(f"must have {len(kinds)} values, not {len(items)}")
        each = [kinds[0]] * len(items) if alike else kinds
        decoded = []
        for kind, item in zip(each, items, strict=True):
            try:
                decoded.append(_decoder(kind, parses)(item))
            except _Mismatch as error:
                error.place = f"[{len(decoded)}]{error.place}"
                raise
        return origin(decoded)

    return decode_items


def _dataclass_decoder(kind: Any, *, parses: bool) -> _Convert:
    make = get_origin(kind) or kind
    decoders: dict[str, _Convert] = {}

    def decode_fields(data: Any) -> Any:
        nonlocal decoders
        form = _form(kind)
        values = _checked(dict, data)
        if form.former:
            values = {form.former.get(name, name): item for name, item in values.items()}
        if not form.required <= values.keys() <= form.types.keys():
            raise _Mismatch(_field_problem(form, values))
        if not decoders:
            # At once: another thread uses them as soon as there are any.
            decoders = {name: _decoder(of, parses) for name, of in form.types.items()}
        decoded = {}
        for name, item in values.items():
            try:
                decoded[name] = decoders[name](item)
            except _Mismatch as error:
                error.place = f".{name}{error.place}"
                raise
        try:
            return make(**decoded)
        except InvalidValue:
            raise
        except TowlineError as error:
            raise _Mismatch(str(error)) from None

    return decode_fields


class _Form(NamedTuple):
    """The fields of a dataclass: their types, which are required, former names and their new."""

    types: dict[str, Any]
    required: frozenset[str]
    former: dict[str, str]


@lru_cache(maxsize=128)
def _form(kind: Any) -> _Form:
    """Return the form of a dataclass, a generic's parameters replaced by its arguments."""
    origin = get_origin(kind) or kind
    stored: list[Field[Any]] = [f for f in fields(origin) if f.compare and f.init]
    hints = get_type_hints(origin)
    bound = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    return _Form(
        types={f.name: bound.get(hints[f.name], hints[f.name]) for f in stored},
        required=frozenset(
            f.name for f in stored if f.default is MISSING and f.default_factory is MISSING
        ),
        former={f.metadata["formerly"]: f.name for f in stored if "formerly" in f.metadata},
    )


def _field_problem(form: _Form, values: dict[str, Any]) -> str:
    if unknown := sorted(values.keys() - form.types.keys()):
        return f"has unknown fields {', '.join(unknown)}"
    return f"lacks {', '.join(sorted(form.required - values.keys()))}"
