"""Generates the parts of `towline.client` that follow from other files; ``make client`` runs it.

Models and operations are made of the OpenAPI document, the asynchronous client of the other one.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

from towline_server.app import create_app
from towline_server.settings import Settings

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "engine/towline/client"
PREFIX = "/api/towline/v1"
HEADER = "# Generated from the OpenAPI document by `make client`; do not edit.\n"
_RENAMED = {
    "FieldModel": "ExplainedField",
    "PullsPullModel": "Pull",
    "RunsCancelBody": "CancelBody",
    "StateModel": "AssetState",
}

_MODELS = '"""What the API takes and answers; what a client does not know of it is left out."""'
_NATIVE = '"""A function for each operation of the native API, which makes its request."""'
_PAGE = {"total", "limit", "offset", "has_next"}
"""What every page of a list has beside its items."""
_LEAST = 6
"""Fields of a model that another one extends; fewer may be alike by chance."""
_SECRETS = ("key", "secret")
"""Answers that have one show it this once."""

Json = Mapping[str, Any]


def generated() -> dict[Path, str]:
    """The files and their texts."""
    document = create_app(Settings.defaults()).openapi()
    operations = list(_operations(document))
    texts = {
        CLIENT / "models.py": _models(document, operations),
        CLIENT / "native.py": _native(document, operations),
        CLIENT / "aio.py": _asynchronous((CLIENT / "sync.py").read_text(encoding="utf-8")),
    }
    return {path: _formatted(path, text) for path, text in texts.items()}


# --- types ----------------------------------------------------------------------------------------


def name_of(schema: str) -> str:
    """The name of a schema's model."""
    return _RENAMED.get(schema, re.sub(r"Model(Page)?$", r"\1", schema))


def type_of(schema: Json, prefix: str = "") -> str:
    """The annotation of a schema; models have a prefix."""
    if reference := schema.get("$ref"):
        return prefix + name_of(reference.rpartition("/")[2])
    for key in ("anyOf", "oneOf"):
        if forms := schema.get(key):
            return " | ".join(dict.fromkeys(type_of(each, prefix) for each in forms))
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return "str"
    match schema.get("type"):
        case "array":
            return f"list[{type_of(schema.get('items', {}), prefix)}]"
        case "object":
            values = schema.get("additionalProperties")
            inner = type_of(values, prefix) if isinstance(values, dict) and values else "Any"
            return f"dict[str, {inner}]"
        case "string":
            formats = {"uuid": "UUID", "date-time": "datetime", "binary": "bytes"}
            return formats.get(schema.get("format", ""), "str")
        case _:
            pass
    simple = {"integer": "int", "number": "float", "boolean": "bool", "null": "None"}
    return simple.get(str(schema.get("type")), "Any")


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(found := value.get("$ref"), str) and "/schemas/" in found:
            yield found.rpartition("/")[2]
        for each in value.values():
            yield from _references(each)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


# --- models ---------------------------------------------------------------------------------------


def _models(document: Json, operations: list[tuple[str, str, Json]]) -> str:
    schemas = document["components"]["schemas"]
    waiting = [name for _, _, each in operations for name in _references(_ends_well(each))]
    wanted: set[str] = {"RunModel", "RunSummary"}
    waiting += list(wanted)
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += [each for each in _references(schemas[name]) if each not in wanted]
    bases = {name: _base(name, {each: schemas[each] for each in wanted}) for name in wanted}
    order = sorted(wanted, key=lambda name: (bases[name] is not None, name))
    bodies = [_model(name, schemas[name], schemas.get(bases[name])) for name in order]
    return f"""{HEADER}{_MODELS}

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", populate_by_name=True, hide_input_in_errors=True)


class _Page(_Model):
    total: int
    limit: int
    offset: int
    has_next: bool


{"".join(bodies)}
"""


def _ends_well(operation: Json) -> Json:
    """An operation with the answers that are no errors."""
    answers = {code: each for code, each in operation["responses"].items() if code < "300"}
    return {**operation, "responses": answers}


def _base(name: str, schemas: Json) -> str | None:
    """The model that another one extends: the largest of which it has every field."""
    mine = schemas[name].get("properties", {})
    extended = [
        each
        for each, other in schemas.items()
        if _LEAST <= len(fields := other.get("properties", {})) < len(mine)
        and fields == {key: mine.get(key) for key in fields}
        and set(other["required"]) == {*schemas[name]["required"]} & fields.keys()
    ]
    return max(extended, key=lambda each: len(schemas[each]["properties"]), default=None)


def _model(name: str, schema: Json, extended: Json | None) -> str:
    text = " ".join(schema.get("description", name_of(name)).split())
    if "enum" in schema:
        words = ", ".join(repr(each) for each in schema["enum"])
        # A server that is newer may have others.
        return f"{name_of(name)}: TypeAlias = Literal[{words}] | str\n{_doc(text, 0)}\n\n"
    properties = schema.get("properties", {})
    base, shared = ("_Page", _PAGE) if properties.keys() >= _PAGE else ("_Model", set())
    if extended is not None:
        base, shared = name_of(extended["title"]), {*extended["properties"]}
    fields = [
        _field(each, declared, required=each in schema.get("required", ()))
        for each, declared in properties.items()
        if each not in shared
    ]
    order = sorted(fields, key=lambda field: "=" in field)
    return f"class {name_of(name)}({base}):\n{_doc(text, 4)}\n{''.join(order)}\n\n"


def _field(name: str, schema: Json, *, required: bool) -> str:
    kind, default = type_of(schema), ""
    forms = (schema, *schema.get("anyOf", ()))
    is_secret = any(each.get("format") == "password" for each in forms)
    is_secret |= name in _SECRETS and kind == "str"
    if not required:
        if kind.startswith(("list[", "dict[")):
            default = f"Field(default_factory={kind[:4]}{_hidden(is_secret)})"
        elif "default" in schema and not isinstance(schema["default"], (dict, list)):
            default = f"Field(default={schema['default']!r}{_hidden(is_secret)})"
        else:
            kind = kind if "None" in kind.split(" | ") else f"{kind} | None"
            default = f"Field(default=None{_hidden(is_secret)})"
    elif is_secret:
        default = "Field(repr=False)"
    elif kind.endswith(" | None"):
        # A server of an earlier version may not have it.
        default = "Field(default=None)"
    if simple := re.fullmatch(r"Field\(default=([^(),]+?|'[^']*')\)", default):
        default = simple[1]
    text = f"    {name}: {kind}{f' = {default}' if default else ''}\n"
    if description := schema.get("description"):
        text += _doc(" ".join(description.split()), 4) + "\n"
    return text


def _hidden(is_secret: bool) -> str:
    return ", repr=False" if is_secret else ""


def _doc(text: str, indent: int) -> str:
    text = text.replace("\\", "\\\\")
    text = text if text.endswith((".", "!", "?")) else f"{text}."
    space = " " * indent
    filled = fill(f'"""{text}"""', 99, initial_indent=space, subsequent_indent=space)
    first, dot, rest = text.partition(". ")
    if "\n" in filled and dot and len(first) < 85:
        rest = fill(rest, 99, initial_indent=space, subsequent_indent=space)
        return f'{space}"""{first}.\n\n{rest}\n{space}"""'
    if "\n" in filled:
        body = fill(text, 99, initial_indent=space, subsequent_indent=space).lstrip()
        return f'{space}"""{body}\n{space}"""'
    return filled


# --- operations -----------------------------------------------------------------------------------


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if path.startswith(f"{PREFIX}/"):
                yield path, method, operation


def _native(document: Json, operations: list[tuple[str, str, Json]]) -> str:
    made = "".join(_function(*each) for each in operations)
    return f"""{HEADER}{_NATIVE}

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from . import models
from .request import Request, part


{made}
"""


def _function(path: str, method: str, operation: Json) -> str:
    name = operation["operationId"].removeprefix("native_")
    declared = operation.get("parameters", [])
    in_path = re.findall(r"{(\w+)}", path)
    arguments = [f"{each}: {_of_path(each, declared)}" for each in in_path]
    extra, body = "", _body(operation)
    if body == "bytes":
        arguments.append("content: bytes")
        extra += ", content=content"
    elif body:
        arguments.append(f"body: {body}")
        extra += ", body=body"
    named = [each for each in declared if each["in"] == "query"]
    # The client makes one of its own for each POST.
    headers = [
        each
        for each in declared
        if each["in"] == "header" and each["name"].lower() != "idempotency-key"
    ]
    if named or headers:
        arguments += ["*", *(_optional(each) for each in (*named, *headers))]
    if named:
        pairs = ", ".join(f"{each['name']!r}: {each['name']}" for each in named)
        extra += f", params={{{pairs}}}"
    if headers:
        pairs = ", ".join(f"{each['name'].title()!r}: {_argument(each)}" for each in headers)
        extra += f", headers={{{pairs}}}"
    result = _result(operation)
    if result != "None":
        extra += f", result={result}"
    below = re.sub(r"{(\w+)}", _quoted, path.removeprefix(PREFIX))
    mark = "f" if in_path else ""
    text = " ".join(operation.get("description", name).split())
    returns = re.sub(r"\b(\w+) \| None$", r"\1 | None", result)
    return (
        f"def {name}({', '.join(arguments)}) -> Request[{returns}]:\n{_doc(text, 4)}\n"
        f"    return Request(method={method.upper()!r}, path={mark}{below!r}{extra})\n\n\n"
    )


def _quoted(found: re.Match[str]) -> str:
    safe = ', safe="/"' if found[1] == "path" else ""
    return f"{{part({found[1]}{safe})}}"


def _of_path(name: str, declared: list[Json]) -> str:
    [schema] = [
        each["schema"] for each in declared if each["name"] == name and each["in"] == "path"
    ]
    kind = type_of(schema, "models.")
    return "UUID | str" if kind == "UUID" else kind


def _argument(parameter: Json) -> str:
    return str(parameter["name"]).lower().replace("-", "_")


def _optional(parameter: Json) -> str:
    kind = type_of(parameter["schema"], "models.").replace("list[", "Sequence[")
    kind = kind.replace("UUID", "UUID | str")
    kind = kind if "None" in kind.split(" | ") else f"{kind} | None"
    return f"{_argument(parameter)}: {kind} = None"


def _body(operation: Json) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    if "application/octet-stream" in content:
        return "bytes"
    if "application/json" not in content:
        return ""
    kind = type_of(content["application/json"]["schema"], "models.")
    return f"{kind} = None" if "None" in kind.split(" | ") else kind


def _result(operation: Json) -> str:
    found: dict[str, None] = {}
    for code, answer in operation["responses"].items():
        if code >= "300":
            continue
        content = answer.get("content", {})
        if "application/json" in content:
            found[type_of(content["application/json"]["schema"], "models.")] = None
        elif "application/octet-stream" in content:
            found["bytes"] = None
        elif not content:
            found["None"] = None
    return " | ".join(sorted(found, key=lambda each: each == "None")) or "None"


# --- the asynchronous client ----------------------------------------------------------------------

_AWAITED = (
    ("The client for code that waits.", "The client for asyncio."),
    ("import time\n", "import asyncio\nimport time\n"),
    ("Callable, Iterator", "AsyncIterator, Awaitable, Callable"),
    ("Iterator[", "AsyncIterator["),
    ("httpx2.Client(", "httpx2.AsyncClient("),
    ("httpx2.BaseTransport", "httpx2.AsyncBaseTransport"),
    ("class Client:", "class AsyncClient:"),
    ('f"Client(', 'f"AsyncClient('),
    ("Callable[[float], None] = time.sleep", "Callable[[float], Awaitable[None]] = asyncio.sleep"),
    ("A client may be used by several threads; it is closed", "It is closed"),
    ("``with``", "``async with``"),
    ("__enter__", "__aenter__"),
    ("__exit__", "__aexit__"),
    ("self.close()", "await self.aclose()"),
    ("def close(", "def aclose("),
    ("self._http.close()", "await self._http.aclose()"),
    ("self._sleep(pause)", "await self._sleep(pause)"),
    ("self._send_once(request)\n", "await self._send_once(request)\n"),
    ("self.send(", "await self.send("),
    ("self.wait(", "await self.wait("),
    ("self._http.request(", "await self._http.request("),
    ("for run in self.", "async for run in self."),
    ("with self._http.stream", "async with self._http.stream"),
    ("answer.read()", "await answer.aread()"),
    ("for line in answer.iter_lines", "async for line in answer.aiter_lines"),
)
_SYNCHRONOUS = ("__init__", "__repr__")


def _asynchronous(text: str) -> str:
    for before, after in _AWAITED:
        text = text.replace(before, after)
    method = rf"^    def (?!(?:{'|'.join(_SYNCHRONOUS)})\()"
    text = re.sub(method, "    async def ", text, flags=re.MULTILINE)
    return f"# Generated from sync.py by `make client`; do not edit.\n{text}"


def _formatted(path: Path, text: str) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(path), "-"]
    fixed = subprocess.run(
        [*ruff, "check", "--fix", "--exit-zero", "--quiet", *name],
        input=text,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    done = subprocess.run(
        [*ruff, "format", "--quiet", *name],
        input=fixed.stdout,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return done.stdout


if __name__ == "__main__":
    for file, made in generated().items():
        file.write_text(made, encoding="utf-8")
        sys.stdout.write(f"{file.relative_to(ROOT)}\n")
