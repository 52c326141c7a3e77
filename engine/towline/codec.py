"""Encode values as JSON and decode them, strictly, by their annotations: plans, records, requests.

Supports dataclasses, ``X | None`` and other unions of dataclasses with different fields, tuples,
pairs, StrEnum, str and its subclasses, int, bool, bytes (base64). An absent field has its default.
A field whose metadata has ``formerly`` is also decoded from that name.
"""

from __future__ import annotations

import types
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from towline.errors import InvalidValue, TowlineError

T = TypeVar("T")


def encode(value: Any) -> Any:
    """Return the JSON form of a value, without the fields that have their default."""
    if is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: encode(getattr(value, f.name))
            for f in fields(value)
            if f.compare and getattr(value, f.name) != f.default
        }
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(encode(item) for item in value)
    if isinstance(value, bytes):
        return b64encode(value).decode("ascii")
    if isinstance(value, str):
        return str(value)
    return value


def decode(kind: type[T], data: Any, where: str = "value") -> T:
    """Return the value that `encode` encoded as this.

    Raises:
        InvalidValue: it has another form; ``field`` names the place, starting with ``where``.
    """
    return cast(T, _decode(kind, data, where))


def _decode(kind: Any, data: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), data, where)
    if origin in (tuple, frozenset):
        return _decode_sequence(origin, get_args(kind), data, where)
    if is_dataclass(origin or kind):
        return _decode_dataclass(kind, data, where)
    return _decode_scalar(kind, data, where)


def _decode_scalar(kind: Any, data: Any, where: str) -> Any:
    kind = getattr(kind, "__supertype__", kind)
    if kind is bytes:
        try:
            return b64decode(_checked(str, data, where), validate=True)
        except Base64Error:
            raise InvalidValue(field=where, problem="is not base64") from None
    if kind in (int, bool):
        return _checked(kind, data, where)
    text = _checked(str, data, where)
    try:
        if issubclass(kind, StrEnum):
            return kind(text)
        return kind.parse(text) if hasattr(kind, "parse") else kind(text)
    except TowlineError as error:
        raise InvalidValue(field=where, problem=str(error)) from None
    except ValueError:
        raise InvalidValue(field=where, problem=f"{text[:40]!r} is not known here") from None


def _checked(kind: type, data: Any, where: str) -> Any:
    if type(data) is not kind:
        found = type(data).__name__
        raise InvalidValue(field=where, problem=f"takes {kind.__name__}, got {found}")
    return data


def _decode_union(kinds: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in kinds:
        return None
    choices = [kind for kind in kinds if kind is not type(None)]
    if len(choices) > 1:
        keys = set(data) if isinstance(data, dict) else set()
        choices = [kind for kind in choices if _required(kind) <= keys <= set(_shape(kind))]
    if not choices:
        raise InvalidValue(field=where, problem="has none of the forms that it may have")
    return _decode(choices[0], data, where)


def _decode_sequence(origin: Any, kinds: tuple[Any, ...], data: Any, where: str) -> Any:
    items = _checked(list, data, where)
    if origin is frozenset or kinds[-1] is Ellipsis:
        return origin(
            _decode(kinds[0], item, f"{where}[{number}]") for number, item in enumerate(items)
        )
    if len(items) != len(kinds):
        raise InvalidValue(field=where, problem=f"takes {len(kinds)} values, got {len(items)}")
    return tuple(
        _decode(kind, item, f"{where}[{number}]")
        for number, (kind, item) in enumerate(zip(kinds, items, strict=True))
    )


def _decode_dataclass(kind: Any, data: Any, where: str) -> Any:
    former = {f.metadata["formerly"]: f.name for f in _stored(kind) if "formerly" in f.metadata}
    values = {former.get(name, name): item for name, item in _checked(dict, data, where).items()}
    shape = _shape(kind)
    if unknown := sorted(set(values) - set(shape)):
        raise InvalidValue(field=where, problem=f"has unknown fields {', '.join(unknown)}")
    if missing := sorted(_required(kind) - set(values)):
        raise InvalidValue(field=where, problem=f"lacks {', '.join(missing)}")
    try:
        return (get_origin(kind) or kind)(
            **{name: _decode(shape[name], item, f"{where}.{name}") for name, item in values.items()}
        )
    except InvalidValue:
        raise
    except TowlineError as error:
        raise InvalidValue(field=where, problem=str(error)) from None


@lru_cache(maxsize=64)
def _shape(kind: Any) -> dict[str, Any]:
    """Return the type of each field, a generic's parameters replaced by its arguments."""
    origin = get_origin(kind) or kind
    hints = get_type_hints(origin)
    bound = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
    return {f.name: bound.get(hints[f.name], hints[f.name]) for f in _stored(kind)}


@lru_cache(maxsize=64)
def _required(kind: Any) -> frozenset[str]:
    return frozenset(
        f.name for f in _stored(kind) if f.default is MISSING and f.default_factory is MISSING
    )


def _stored(kind: Any) -> list[Field[Any]]:
    return [f for f in fields(get_origin(kind) or kind) if f.compare and f.init]
