"""Forms drawn from the models that the native API takes: their fields, and what is filled in.

A model's JSON Schema says what its form asks; the model itself checks what comes back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field, replace
from functools import cache
from hashlib import sha256
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError
from starlette.datastructures import FormData
from starlette.responses import Response

from towline.errors import CallerError, InvalidValue
from towline.frozen import frozen
from towline_server.auth.keys import new_token
from towline_server.errors import Forbidden, IdempotentRequestRunning, NotFound
from towline_server.web.idempotency import KeyedRequest, ResponseStore

from .rendering import HEADERS
from .visitor import Visitor, text_of

T = TypeVar("T")

_PASSWORDS = "password"
TOP = ""
"""Where a problem is that no field has."""


@frozen(kw_only=True)
class FormField:
    """What a form asks: a property of a model."""

    name: str
    """Its place, such as ``config.region``."""
    label: str
    hint: str = ""
    widget: str = "text"
    """``text``, ``password``, ``number``, ``checkbox``, ``select``, ``lines`` (a text in each),
    ``pairs`` (a name and a value in each line) or ``document``."""
    options: tuple[tuple[str, str], ...] = ()
    """What a ``select`` offers: the values, with their labels."""
    required: bool = False
    default: str = ""
    is_asked_by_page: bool = False
    """Whether the model has no such field: the page makes something of it."""

    @property
    def element_id(self) -> str:
        """The id of its element; that of its hint and problem begin with it."""
        return f"f-{self.name.replace('.', '-')}"


@frozen(kw_only=True)
class ShownForm:
    """A form as a page shows it: what is in each field, and what is wrong with it."""

    fields: tuple[FormField, ...]
    values: Mapping[str, str]
    problems: Mapping[str, str] = field(default_factory=dict)
    once: str = field(default_factory=new_token)
    """What makes it one form, however often it is sent (see `once`)."""

    def value(self, name: str) -> str:
        """Return what a field has, empty where it has nothing."""
        return self.values.get(name, "")

    def field_of(self, name: str) -> FormField | None:
        """Return the field of a name; None where a problem is about none."""
        return next((each for each in self.fields if each.name == name), None)

    @property
    def status(self) -> int:
        """The status of a page that shows it."""
        return 422 if self.problems else 200


def fields_of(
    model: Any,
    *,
    without: Collection[str] = (),
    labels: Mapping[str, str] | None = None,
    hints: Mapping[str, str] | None = None,
) -> tuple[FormField, ...]:
    """Return what the form of a model asks; ``without`` names what the page asks itself."""
    labels, hints = labels or {}, hints or {}
    return tuple(
        replace(
            each,
            label=labels.get(each.name, each.label),
            hint=hints.get(each.name, each.hint),
        )
        for each in _fields_of(model)
        if each.name not in without
    )


@cache
def _fields_of(model: Any) -> tuple[FormField, ...]:
    schema = TypeAdapter(model).json_schema()
    return tuple(_fields(schema, schema.get("$defs", {}), "", required=True))


def shown_form(fields: tuple[FormField, ...], values: Mapping[str, Any] | None = None) -> ShownForm:
    """Return a form that no one has sent yet; ``values`` are what is in its fields already."""
    shown = {each.name: each.default for each in fields}
    for name, value in (values or {}).items():
        shown[name] = _shown(value)
    return ShownForm(fields=fields, values=shown)


def submitted(
    model: type[T],
    fields: tuple[FormField, ...],
    form: FormData,
    save: Callable[[T], Response],
    again: Callable[[ShownForm], Response],
    *,
    more: Callable[[], Mapping[str, Any]] = dict,
) -> Response:
    """Save what a form says; where that is refused, return the page that shows it ``again``.

    ``more`` returns what the model needs beside its fields. Secrets are not shown again. What the
    caller may not do, and what is not there, is raised: no field is wrong.

    Raises:
        Forbidden, NotFound: by ``save``.
    """
    values = {each.name: text_of(form, each.name) for each in fields}
    visible = {each.name: values[each.name] for each in fields if each.widget != _PASSWORDS}
    try:
        given = {**_given(fields, values), **more()}
        return save(TypeAdapter(model).validate_python(given))
    except ValidationError as error:
        problems = _problems(error, fields)
    except InvalidValue as error:
        names = {each.name for each in fields}
        known = error.field in names
        problems = {error.field: error.problem} if known else {TOP: str(error)}
    except (Forbidden, NotFound):
        raise
    except CallerError as error:
        problems = {TOP: str(error)}
    except IdempotentRequestRunning:
        problems = {TOP: "The form is already being processed; try again in a moment."}
    sent = text_of(form, "once") or new_token()
    return again(ShownForm(fields=fields, values=visible, problems=problems, once=sent))


def once(
    visitor: Visitor, form: FormData, save: Callable[[T], Response]
) -> Callable[[T], Response]:
    """Return what saves a form once: sent again, it has the answer that it had, with its secret."""

    def save_once(body: T) -> Response:
        if not text_of(form, "once"):
            return save(body)
        sent = sha256(repr(form.multi_items()).encode("utf-8", "backslashreplace")).hexdigest()
        route = f"POST {visitor.request.url.path}"
        request = KeyedRequest(caller=visitor.caller, route=route, key=sent, digest=sent)
        store = ResponseStore.of(visitor.services)
        lock = store.acquire(request)
        if isinstance(lock, Response):
            lock.headers.update(HEADERS)
            return lock
        try:
            response = save(body)
        except Exception:
            store.release(lock)
            raise
        store.finish(lock, response)
        return response

    return save_once


def _fields(
    schema: Mapping[str, Any], defs: Mapping[str, Any], prefix: str, *, required: bool
) -> Iterator[FormField]:
    needed = frozenset(schema.get("required", ()))
    for name, declared in schema["properties"].items():
        at, found = f"{prefix}{name}", _resolved(declared, defs)
        if "const" in found:
            continue
        if "properties" in found:
            is_optional = name not in needed and found.get("nullable", False)
            yield from _fields(found, defs, f"{at}.", required=required and not is_optional)
            continue
        default = found.get("default")
        yield FormField(
            name=at,
            label=_label(found.get("title"), name),
            hint=found.get("description", "").partition("\n\n")[0],
            widget=_widget(found),
            options=tuple((str(each), str(each)) for each in found.get("enum", ())),
            required=required and name in needed,
            default=_shown(default),
        )


def _resolved(declared: Mapping[str, Any], defs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema without references, and without null among its forms."""
    found = dict(declared)
    forms = [each for each in found.pop("anyOf", ()) if each.get("type") != "null"]
    if forms:
        found = {"nullable": True, **forms[0], **found}
    if (reference := found.pop("$ref", None)) is not None:
        # What is beside the reference is about this very property.
        named = defs[reference.rpartition("/")[2]]
        rest = {key: value for key, value in named.items() if key not in ("title", "description")}
        found = {**rest, **found}
    return found


def _widget(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "select"
    if schema.get("format") == _PASSWORDS:
        return _PASSWORDS
    by_type = {"boolean": "checkbox", "integer": "number", "array": "lines", "object": "pairs"}
    return by_type.get(str(schema.get("type")), "text")


def _label(title: str | None, name: str) -> str:
    generated = name.replace("_", " ").title()
    words = name.replace("_", " ") if title in (None, generated) else str(title)
    return words[:1].upper() + words[1:]


def _shown(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else ""
        case list() | tuple():
            return "\n".join(map(str, value))
        case Mapping():
            return "\n".join(f"{name}={each}" for name, each in value.items())
        case _:
            return str(value)


def _given(fields: tuple[FormField, ...], values: Mapping[str, str]) -> dict[str, Any]:
    """Return the values as the model takes them; a text field without a text is left out."""
    made: dict[str, Any] = {}
    for each in fields:
        value = _parsed(each, values[each.name])
        if value is None or each.is_asked_by_page:
            continue
        place, parts = made, each.name.split(".")
        for part in parts[:-1]:
            place = place.setdefault(part, {})
        place[parts[-1]] = value
    return {
        name: value
        for name, value in made.items()
        if not _is_default_of_optional(name, value, fields)
    }


def _is_default_of_optional(name: str, value: Any, fields: tuple[FormField, ...]) -> bool:
    """Whether a part that may be missing has nothing but what its fields began with."""
    inner = [each for each in fields if each.name.startswith(f"{name}.")]
    if not inner or not isinstance(value, dict) or any(each.required for each in inner):
        return False
    began = {each.name.partition(".")[2]: _parsed(each, each.default) for each in inner}
    return all(began.get(key) == each for key, each in value.items())


def _parsed(field: FormField, text: str) -> Any:
    if field.widget == "checkbox":
        return text != ""
    if field.widget == _PASSWORDS:
        return text or None
    text = text.replace("\r\n", "\n")
    if field.widget == "lines":
        return [line.strip() for line in text.split("\n") if line.strip()]
    if field.widget == "pairs":
        pairs = (line.partition("=") for line in text.split("\n") if line.strip())
        return {name.strip(): value.strip() for name, _, value in pairs}
    if field.widget == "number" and re.fullmatch(r"\s*-?[0-9]{1,18}\s*", text):
        # Some models take no text for a number.
        return int(text)
    # A field with a default may be empty on purpose.
    return text.strip() or ("" if field.default and field.widget == "text" else None)


def _problems(error: ValidationError, fields: tuple[FormField, ...]) -> dict[str, str]:
    names = {each.name: each for each in fields}
    problems: dict[str, str] = {}
    for each in error.errors(include_url=False, include_input=False):
        place = [str(part) for part in each["loc"]]
        while place and ".".join(place) not in names:
            place.pop()
        name, text = ".".join(place), str(each["msg"]).removeprefix("Value error, ")
        if each["type"] == "too_short" and name in names and names[name].widget == _PASSWORDS:
            text = f"needs {each['ctx']['min_length']} characters or more"
        if name == TOP and each["loc"]:
            text = f"{'.'.join(map(str, each['loc']))}: {text}"
        problems.setdefault(name, text)
    return problems


def read_json(text: str, field: str) -> Any:
    """Return the JSON that someone typed. Raises InvalidValue."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidValue(field=field, problem=f"is not valid JSON: {error}") from None
