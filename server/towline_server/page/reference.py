"""``/docs``: the reference of each API, from its OpenAPI document; anyone may read it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from towline.frozen import frozen

from .rendering import page

router = APIRouter()

Json = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_BOUNDS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
}


@frozen(kw_only=True)
class DocumentedField:
    """A parameter, or a field of a body or an answer."""

    name: str
    type: str
    refers_to: str | None
    """The schema that describes it further."""
    is_required: bool
    description: str
    place: str = ""
    """Of a parameter: path, query or header."""


@frozen(kw_only=True)
class DocumentedContent:
    """A body or an answer."""

    status: str
    description: str
    media_type: str = ""
    schema: DocumentedField | None = None
    example: str | None = None


@frozen(kw_only=True)
class Operation:
    """What a method does at a path."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: tuple[DocumentedField, ...]
    body: DocumentedContent | None
    answers: tuple[DocumentedContent, ...]


@frozen(kw_only=True)
class Schema:
    """An object, a list of values, or another type that has a name."""

    name: str
    type: str
    description: str
    values: tuple[str, ...]
    fields: tuple[DocumentedField, ...]


@router.get("/docs")
def index(request: Request) -> Response:
    """List the APIs."""
    tags = request.app.openapi()["tags"]
    return page("reference_index.html", {"tags": tags})


@router.get("/docs/{dialect}")
def reference(request: Request, dialect: str) -> Response:
    """Show the operations and schemas of one API. Raises NotFound."""
    document = request.app.openapi_of(dialect)
    tag = next(each for each in request.app.openapi()["tags"] if each["name"].lower() == dialect)
    values = {
        "tag": tag,
        "dialect": dialect,
        "operations": list(_operations(document)),
        "schemas": list(_schemas(document)),
    }
    return page("reference.html", values)


def _operations(document: Json) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                yield _operation(document, method, path, methods[method])


def _operation(document: Json, method: str, path: str, found: Json) -> Operation:
    answers = sorted(found["responses"].items())
    body = found.get("requestBody")
    return Operation(
        id=found["operationId"],
        method=method.upper(),
        path=path,
        summary=found.get("summary", ""),
        description=found.get("description", ""),
        parameters=tuple(_parameter(document, each) for each in found.get("parameters", ())),
        body=None if body is None else _content(document, "", body),
        answers=tuple(_content(document, status, each) for status, each in answers),
    )


def _parameter(document: Json, found: Json) -> DocumentedField:
    found = _resolved(document, found)
    described = {**found["schema"], "description": found.get("description", "")}
    return _field(found["name"], described, found.get("required", False), found["in"])


def _content(document: Json, status: str, found: Json) -> DocumentedContent:
    found = _resolved(document, found)
    for media_type, content in found.get("content", {}).items():
        # Refusals look alike: their schema says enough.
        example = None if status >= "4" else _example(document, content)
        return DocumentedContent(
            status=status,
            description=found.get("description", ""),
            media_type=media_type,
            schema=_field("", content.get("schema", {}), is_required=True),
            example=None if example is None else json.dumps(example, indent=2, ensure_ascii=False),
        )
    return DocumentedContent(status=status, description=found.get("description", ""))


def _example(document: Json, content: Json) -> Any:
    if "example" in content:
        return content["example"]
    for example in content.get("examples", {}).values():
        return _resolved(document, example).get("value")
    return None


def _schemas(document: Json) -> Iterator[Schema]:
    for name, found in sorted(document.get("components", {}).get("schemas", {}).items()):
        required = found.get("required", ())
        fields = found.get("properties", {}).items()
        yield Schema(
            name=name,
            type=_type(found),
            description=found.get("description", ""),
            values=tuple(map(str, found.get("enum", ()))),
            fields=tuple(_field(field, each, field in required) for field, each in fields),
        )


def _field(name: str, schema: Json, is_required: bool, place: str = "") -> DocumentedField:  # noqa: FBT001
    bounds = [text.format(schema[key]) for key, text in _BOUNDS.items() if key in schema]
    return DocumentedField(
        name=name,
        type=", ".join([_type(schema), *bounds]),
        refers_to=next(_references(schema), None),
        is_required=is_required,
        description=schema.get("description", ""),
        place=place,
    )


def _type(schema: Json) -> str:
    """Return a schema as a short text, such as ``list of AssetModel or null``."""
    if "$ref" in schema:
        return _last(schema["$ref"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(map(_type, schema[several])))
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " or ".join(map(json.dumps, schema["enum"]))
    types = schema.get("type", "any value")
    if isinstance(types, list):
        return " or ".join(types)
    if types == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return f"{types} ({schema['format']})" if "format" in schema else str(types)


def _references(schema: Json) -> Iterator[str]:
    """Yield the names of the schemas that one refers to."""
    if "$ref" in schema:
        yield _last(schema["$ref"])
    for several in ("anyOf", "oneOf", "allOf"):
        for each in schema.get(several, ()):
            yield from _references(each)
    if isinstance(items := schema.get("items"), Mapping):
        yield from _references(items)


def _resolved(document: Json, found: Json) -> Json:
    """Return what a reference names, or what is there itself."""
    while "$ref" in found:
        target: Any = document
        for part in found["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        found = target
    return found


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
