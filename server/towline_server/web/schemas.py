"""Types of requests and responses: what they validate, and what the OpenAPI document says of them.

The formats are towline's own, for grammars that a regular expression does not express; each
docstring names its owner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
)
from pydantic.config import JsonDict, JsonValue
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

ASSET_ID = "asset-id"
"""`towline.model.AssetId`"""
ASSET_PATH = "asset-path"
"""`towline.names.path_problem`"""
BUCKET_URL = "bucket-url"
"""A `HTTP_URL` with a bucket in it."""
CRON = "cron"
"""`towline_server.runs.schedules.Rhythm`, which leaves it to croniter."""
DATABASE_URL = "database-url"
"""A `GIT_URL`, but of PostgreSQL, with a database in it."""
FOLDER = "folder"
"""The same, or nothing, with slashes around it or without."""
GIT_BRANCH = "git-branch"
"""The short name of a branch: `towline_server.projects.service.Projects.by_branch`."""
GIT_REF = "git-ref"
"""`towline.remotes.url.WantedRef`"""
GIT_URL = "git-url"
"""`towline.remotes.url.RemoteUrl`"""
HTTP_URL = "http-url"
"""The same, of http or https alone."""
GLOB = "glob"
"""`towline.globs`"""
NAME = "path-name"
"""`towline.names.name_problem`"""
PLAN = "towline-plan"
"""`towline.planfile`"""
PROJECT_PATH = "project-path"
"""`towline_server.projects.domain.ProjectPath`"""
SFTP_URL = "sftp-url"
"""A `GIT_URL`, but of SFTP."""
TAG_OR_ANY = "digest-tag-or-any"
"""A digest as HTTP has it, 40 lower-case hex digits between double quotes; or ``*``."""
TIME_ZONE = "time-zone"
"""A name of the IANA's, or nothing: `towline_server.runs.schedules.Rhythm`"""


def of_format(name: str, **bounds: int) -> WithJsonSchema:
    """Return the schema of a string of a format, instead of the schema of its type.

    A format whose grammar bounds the length has no bounds here.
    """
    return WithJsonSchema({"type": "string", "format": name, **bounds})


def accepting(*words: str) -> WithJsonSchema:
    """Return the schema of an enumeration of which only these words are accepted for now."""
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in words]})


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


def one_of(**schemas: JsonValue) -> JsonDict:
    """Return what the schema of a model has beside, if exactly one of these fields is given."""
    null: JsonDict = {"type": "null"}
    return {
        "oneOf": [
            {
                "required": [name],
                "properties": {
                    each: schema if each == name else null for each, schema in schemas.items()
                },
            }
            for name in schemas
        ]
    }


def omittable() -> Any:
    """Return the default of a field that may be left out, and is never null in the document."""
    # The result of a factory is not in the document.
    return Field(default_factory=lambda: None)


def _no_word(value: object) -> object:
    """JSON has numbers: what is a word, or true, is none; 1.0 is 1."""
    if isinstance(value, (str, bool)):
        raise ValueError("must be a number")
    return value


WHOLE = BeforeValidator(_no_word)
"""Makes an ``int`` a whole number of a JSON document; it comes after the bounds."""
PlainText: TypeAlias = Annotated[
    str, AfterValidator(_plain_text), Field(json_schema_extra={"pattern": PLAIN})
]
"""Text that every database can hold."""


class Described:
    """Changes the schema that a type has in the OpenAPI document."""

    def __init__(self, change: Callable[[JsonSchemaValue], JsonSchemaValue]) -> None:
        self._change = change

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return self._change(handler(core_schema))


_PLAIN_NAMES = Described(lambda schema: {**schema, "propertyNames": {"pattern": PLAIN}})
# All but the depth, which a schema cannot express.
PlainJson = TypeAliasType(
    "PlainJson",
    "bool | Annotated[float, Field(gt=-_TOO_LARGE, lt=_TOO_LARGE)] | PlainText"
    " | list[PlainJson] | Annotated[dict[str, PlainJson], _PLAIN_NAMES] | None",
)


class _OfPlainJson:
    """Describes an object in the OpenAPI document; `_plain` validates one."""

    def __get_pydantic_json_schema__(
        self, _core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(TypeAdapter(Annotated[dict[str, PlainJson], _PLAIN_NAMES]).core_schema)


JsonObject: TypeAlias = Annotated[dict[str, Any], AfterValidator(_plain), _OfPlainJson()]
"""A JSON object whose keys mean nothing here, or not all of them."""


Model = TypeVar("Model", bound=BaseModel)


async def raw_body(request: Request) -> bytes:
    """Return the body of a request as it came, as a dependency."""
    return await request.body()


def parse(model: type[Model], body: bytes) -> Model:
    """Parse a JSON body; a missing one is ``{}``.

    Raises:
        RequestValidationError: it is no JSON, or not of this form.
    """
    try:
        return model.model_validate_json(body.strip() or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        issues = [{**issue, "loc": ("body", *issue["loc"])} for issue in found]
        raise RequestValidationError(issues) from None


def body_schema(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    """Return the body's part of the OpenAPI document, for a route's ``openapi_extra``."""
    schema = model.model_json_schema()
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}
    }


async def known_query(request: Request) -> None:
    """Check, as a dependency, that the operation has every parameter of the query.

    Raises:
        RequestValidationError: it lacks one.
    """
    route: APIRoute = request.scope["route"]
    taken = set(_parameters(route.dependant))
    unknown = [name for name in request.query_params if name not in taken]
    if unknown:
        words = f"it takes {', '.join(sorted(taken))}" if taken else "it takes none"
        msg = f"is not a parameter of this operation; {words}"
        raise RequestValidationError(
            [{"loc": ("query", name), "msg": msg, "type": "extra_forbidden"} for name in unknown]
        )


def _parameters(dependant: Dependant) -> Iterator[str]:
    """Yield the query parameters of an operation and of all that it depends on."""
    for parameter in dependant.query_params:
        yield parameter.alias
    for each in dependant.dependencies:
        yield from _parameters(each)


class Problem(BaseModel):
    """RFC 9457 problem details; the error's own attributes are beside these."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    """The library's stable error code."""
    request_id: str


_MEDIA = {"application/problem+json": {"schema": Problem.model_json_schema()}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the refusals of a route, for its part of the OpenAPI document."""
    return refusals(400, 401, 403, 404, 413, 422, 429, *statuses)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the refusals of exactly these statuses."""
    return {status: {"description": "refused", "content": _MEDIA} for status in {*statuses}}
