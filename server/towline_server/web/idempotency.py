"""``Idempotency-Key`` on POST: the same request again gets the first answer again.

A router takes part by its ``route_class``. Only answers below 400 are kept: a refusal changed
nothing, so that trying again is right. An answer is kept after what it tells of was committed; a
server that dies between the two leaves a claim that lapses, and the request may then run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from towline.errors import InvalidValue
from towline_server.errors import Forbidden, TooManyRequests, Unauthenticated
from towline_server.services import services_of

from .answers import Answer, Answers, Asked
from .authentication import Form, authenticate

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def idempotent(*forms: Form) -> type[APIRoute]:
    """A route class that honours the header for callers who come with one of these credentials."""
    taken = frozenset(forms)

    class IdempotentRoute(APIRoute):
        """Carries a POST out once for each key of a caller."""

        def __init__(
            self,
            path: str,
            endpoint: Callable[..., Any],
            *,
            methods: set[str] | list[str] | None = None,
            openapi_extra: dict[str, Any] | None = None,
            **rest: Any,
        ) -> None:
            if "POST" in (methods or ()):
                openapi_extra = _with_header(openapi_extra or {})
            super().__init__(path, endpoint, methods=methods, openapi_extra=openapi_extra, **rest)

        def get_route_handler(self) -> Handler:
            """The handler, or the kept answer in its place."""
            handler = super().get_route_handler()

            async def once(request: Request) -> Response:
                try:
                    if request.method != "POST" or HEADER not in request.headers:
                        return await handler(request)
                    return await _once(request, handler, taken)
                except RequestValidationError:
                    # FastAPI refuses what is no JSON before it asks who is calling.
                    await run_in_threadpool(authenticate, request, taken)
                    raise

            return once

    return IdempotentRoute


_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "The same request again with the same key gets the first answer again.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_KEY,
        "pattern": "^[!-~](?:[ -~]*[!-~])?$",
    },
}


def _with_header(extra: dict[str, Any]) -> dict[str, Any]:
    """What a route adds to the document, once it tells of the header; a router may be included."""
    known = extra.get("parameters", [])
    return {**extra, "parameters": known if _PARAMETER in known else [*known, _PARAMETER]}


async def _once(request: Request, handler: Handler, forms: frozenset[Form]) -> Response:
    try:
        asked = await _asked(request, forms)
    except (Unauthenticated, Forbidden, TooManyRequests):
        # The route itself refuses, in its own order.
        return await handler(request)
    services = services_of(request)
    answers = Answers(
        database=services.database,
        sealer=services.sealer,
        keep_for=timedelta(hours=services.settings.idempotency_hours),
    )
    claim = await run_in_threadpool(answers.claim, asked)
    if isinstance(claim, Answer):
        return _again(claim)
    try:
        response = await handler(request)
    except Exception:
        await run_in_threadpool(answers.release, claim)
        raise
    answer = _kept(response)
    if answer is None:
        await run_in_threadpool(answers.release, claim)
    else:
        await run_in_threadpool(answers.keep, claim, answer)
    return response


async def _asked(request: Request, forms: frozenset[Form]) -> Asked:
    key = request.headers[HEADER]
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidValue(field=HEADER, problem=f"needs 1 to {LONGEST_KEY} printable characters")
    caller = await run_in_threadpool(authenticate, request, forms)
    kind = request.headers.get("content-type", "").encode()
    digest = hashlib.sha256(kind + b"\0" + await request.body()).hexdigest()
    route = f"{request.method} {request.url.path}?{request.url.query}"
    return Asked(caller=caller, route=route, key=key, digest=digest)


def _kept(response: Response) -> Answer | None:
    """What is kept of an answer; None for a refusal, and for a stream."""
    body = getattr(response, "body", None)
    if response.status_code >= 400 or not isinstance(body, bytes):
        return None
    return Answer(
        status=response.status_code,
        content_type=response.headers.get("content-type"),
        location=response.headers.get("location"),
        body=body,
    )


def _again(answer: Answer) -> Response:
    headers = {REPLAYED: "true"}
    if answer.content_type is not None:
        headers["content-type"] = answer.content_type
    if answer.location is not None:
        headers["location"] = answer.location
    return Response(content=answer.body, status_code=answer.status, headers=headers)
