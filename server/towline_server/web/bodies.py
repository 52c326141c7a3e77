"""Bodies that a route parses itself, once it knows that the caller may ask at all.

A body that FastAPI parses is judged before the credential. Here who is refused learns nothing
of the form, and a body that is left out is an empty object.
"""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

Model = TypeVar("Model", bound=BaseModel)


async def raw_body(request: Request) -> bytes:
    """A dependency: the request's body as it came."""
    return await request.body()


def parse(model: type[Model], body: bytes) -> Model:
    """What a JSON body says; a missing one is ``{}``.

    Raises:
        RequestValidationError: it is no JSON, or not of this form.
    """
    try:
        return model.model_validate_json(body.strip() or b"{}")
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        issues = [{**issue, "loc": ("body", *issue["loc"])} for issue in found]
        raise RequestValidationError(issues) from None


def described(model: type[BaseModel], *, required: bool) -> dict[str, Any]:
    """The body's part of the OpenAPI document, for a route's ``openapi_extra``."""
    schema = model.model_json_schema()
    return {
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}
    }
