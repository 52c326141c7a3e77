"""The OpenAPI document: completed, with examples, whole or of one dialect."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from http import HTTPStatus
from importlib.resources import files
from typing import Any, TypeAlias

from fastapi.routing import APIRoute

Json: TypeAlias = dict[str, Any]

LICENCE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}
SERVER = "/"
"""Relative to where the document comes from."""
_SCHEMAS = "#/components/schemas/"
_RESPONSES = "#/components/responses/"
_FASTAPIS = ("HTTPValidationError", "ValidationError")
"""The schemas of FastAPI's own answer to what is malformed."""
_ANY_JSON = {"$ref": f"{_SCHEMAS}PlainJson"}


def operation_id(route: APIRoute) -> str:
    """Return the dialect and the route's own name: ``codat_list_companies``."""
    tag = str(route.tags[0]).lower() if route.tags else "other"
    return f"{tag}_{route.name}"


def complete(document: Json) -> None:
    """Complete the document that FastAPI makes: nothing inline twice, nothing that is not so."""
    document["info"]["license"] = LICENCE
    document["servers"] = [{"url": SERVER}]
    _remove_foreign_answers(document)
    for operation in operations_of(document).values():
        operation.setdefault("security", [])
        for holder in _media_of(operation):
            _lift(document, holder)
    _rename_schemas(document)
    _share_refusals(document)


def for_generators(document: Json) -> Json:
    """Return the document without what generators of clients cannot process.

    What may be any JSON is without bounds. An object that has one set of properties or another
    has all of them, none required. Patterns of the names of properties are left out.
    """
    document = deepcopy(document)
    document["components"]["schemas"].pop("PlainJson", None)
    for node in _nodes(document):
        if node.get("additionalProperties") == _ANY_JSON:
            node["additionalProperties"] = True
            node.pop("propertyNames", None)
        if patterns := node.pop("patternProperties", None):
            [node["additionalProperties"]] = patterns.values()
        if node.get("type") == "object":
            _merge(node, [*node.pop("oneOf", ()), *node.pop("anyOf", ())])
        if node.get("in") == "header" and "const" in node.get("schema", ()):
            node["schema"]["enum"] = [node["schema"].pop("const")]
    return document


def with_examples(document: Json) -> None:
    """Add the examples that were recorded (``examples``, a file a dialect)."""
    known: dict[str, Any] = {}
    refusals: dict[str, Any] = {}
    for tag in {operation["tags"][0] for operation in operations_of(document).values()}:
        recorded = examples_of(tag)
        known |= recorded.get("operations", {})
        refusals |= recorded.get("refusals", {})
    for name, operation in operations_of(document).items():
        if name in known:
            _exemplify(operation, known[name])
    for name, response in document["components"].get("responses", {}).items():
        for media in response["content"].values():
            if name in refusals:
                media["example"] = refusals[name]


def examples_of(tag: str) -> Json:
    """Return what was recorded for a dialect; empty, if nothing was."""
    file = files(__package__).joinpath("examples", f"{tag.lower()}.json")
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def part_of(document: Json, tag: str) -> Json:
    """Return the document of one dialect alone, with only the components that it uses."""
    paths: Json = {}
    for path, methods in document["paths"].items():
        of_tag = {name: each for name, each in methods.items() if tag in each["tags"]}
        if of_tag:
            paths[path] = of_tag
    part = {**document, "paths": paths, "tags": [t for t in document["tags"] if t["name"] == tag]}
    part["info"] = {**document["info"], "title": f"towline: {tag}"}
    part["components"] = _used(paths, document["components"])
    return part


def operations_of(document: Json) -> dict[str, Json]:
    """Return the operations by their id."""
    return {
        operation["operationId"]: operation
        for methods in document["paths"].values()
        for operation in methods.values()
    }


def _remove_foreign_answers(document: Json) -> None:
    """Remove FastAPI's own 422 from a document: no dialect responds with it."""
    foreign = {"$ref": f"{_SCHEMAS}{_FASTAPIS[0]}"}
    for operation in operations_of(document).values():
        content = operation["responses"].get("422", {}).get("content", {})
        if content.get("application/json", {}).get("schema") == foreign:
            del operation["responses"]["422"]
    for name in _FASTAPIS:
        document["components"]["schemas"].pop(name, None)


def _media_of(operation: Json) -> Iterator[Json]:
    for holder in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from holder.get("content", {}).values()


def _lift(document: Json, media: Json) -> None:
    """Move a model's inline schema to the components."""
    schema = media.get("schema", {})
    if "title" not in schema or "properties" not in schema:
        return
    known = document["components"]["schemas"]
    schema = json.loads(json.dumps(schema).replace('"#/$defs/', f'"{_SCHEMAS}'))
    for name, each in {**schema.pop("$defs", {}), schema["title"]: schema}.items():
        if known.setdefault(name, each) != each:
            raise ValueError(f"two schemas are called {name}")
    media["schema"] = {"$ref": f"{_SCHEMAS}{schema['title']}"}


def _rename_schemas(document: Json) -> None:
    """Replace the names that FastAPI and pydantic make of modules and of parameters of types."""
    names = {name: _plain_name(name) for name in document["components"]["schemas"]}
    if len(set(names.values())) != len(names):
        raise ValueError("two schemas have one name")
    for node in _nodes(document):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith(_SCHEMAS):
            node["$ref"] = _SCHEMAS + names[reference.removeprefix(_SCHEMAS)]
    schemas = document["components"]["schemas"]
    document["components"]["schemas"] = {
        names[name]: {**each, "title": names[name]} for name, each in schemas.items()
    }


def _plain_name(name: str) -> str:
    parts = name.split("__")
    if len(parts) > 1:
        # towline_server, the package, the module or dialect, …, the class.
        return parts[2].capitalize() + parts[-1]
    found = re.fullmatch(r"(\w+?)_(\w+)_", name)
    return found[2] + found[1] if found else name


def _share_refusals(document: Json) -> None:
    """Make a component of each refusal: one for each dialect and status."""
    shared = document["components"].setdefault("responses", {})
    for operation in operations_of(document).values():
        for status, response in operation["responses"].items():
            if int(status) < 400 or "content" not in response:
                continue
            phrase = HTTPStatus(int(status)).phrase
            tag = operation["tags"][0]
            name = tag[0].upper() + tag[1:] + re.sub(r"\W", "", phrase)
            if response["description"] == "refused":
                response["description"] = phrase
            if shared.setdefault(name, response) != response:
                name += "Of" + operation["operationId"].title().replace("_", "")
                shared[name] = response
            operation["responses"][status] = {"$ref": f"{_RESPONSES}{name}"}


def _merge(node: Json, choices: list[Json]) -> None:
    found: dict[str, list[Any]] = {}
    for choice in choices:
        for name, schema in choice.get("properties", {}).items():
            several = found.setdefault(name, [])
            several += [each for each in schema.get("anyOf", [schema]) if each not in several]
    for name, several in found.items():
        if name not in node.setdefault("properties", {}):
            node["properties"][name] = several[0] if len(several) == 1 else {"anyOf": several}


def _exemplify(operation: Json, recorded: Json) -> None:
    for parameter in operation.get("parameters", ()):
        if parameter["name"] in recorded.get("parameters", {}):
            parameter["example"] = recorded["parameters"][parameter["name"]]
    if "request" in recorded:
        for media in operation["requestBody"]["content"].values():
            media["example"] = recorded["request"]
    for name, answer in recorded.get("answers", {}).items():
        # Of every form that has no example of its own.
        status, _, form = name.partition(" ")
        for known, media in operation["responses"].get(status, {}).get("content", {}).items():
            if form in ("", known):
                media["example"] = answer


def _used(paths: Json, components: Json) -> Json:
    used: dict[str, Json] = {}
    waiting: list[Any] = [paths]
    while waiting:
        for node in _nodes(waiting.pop()):
            reference = node.get("$ref")
            if not isinstance(reference, str):
                continue
            _, _, section, name = reference.split("/")
            if name not in used.setdefault(section, {}):
                used[section][name] = components[section][name]
                waiting.append(components[section][name])
    schemes = {
        name
        for methods in paths.values()
        for operation in methods.values()
        for choice in operation["security"]
        for name in choice
    }
    known = components.get("securitySchemes", {})
    used["securitySchemes"] = {name: each for name, each in known.items() if name in schemes}
    return {section: dict(sorted(each.items())) for section, each in sorted(used.items())}


def _nodes(value: Any) -> Iterator[Json]:
    """Yield every object in a document."""
    if isinstance(value, dict):
        yield value
        for each in list(value.values()):
            yield from _nodes(each)
    elif isinstance(value, list):
        for each in value:
            yield from _nodes(each)
