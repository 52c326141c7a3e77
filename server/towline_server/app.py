"""The application: every dialect over one set of services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from towline import __version__

from . import page
from .dialects import DIALECTS
from .errors import NotFound
from .problems import Render, failure_of
from .runs.runtime import Runtime
from .services import Services
from .settings import Settings
from .web import openapi, operations
from .web.deprecation import add_dates
from .web.dialect import Dialect, render_of
from .web.limits import BodyLimit, RateLimit, RequestLimits, add_rate_limits
from .web.middleware import (
    DecodablePath,
    Failures,
    HeadAsGet,
    RequestLog,
    ResponseHeaders,
    add_security,
    with_methods,
)

SERVED: tuple[Dialect, ...] = (*DIALECTS, page.DIALECT)
"""What a server answers: every API, and browsers."""


def create_app(
    settings: Settings,
    *,
    services: Services | None = None,
    dialects: Sequence[Dialect] = SERVED,
    runtime: Runtime | None = None,
) -> Application:
    """Return the control plane as an ASGI application over services that the caller closes.

    Without them it describes itself and serves nothing. A ``runtime`` starts and stops with the
    application.
    """
    app = Application(
        title="towline",
        summary="Bring projects up to date with their Git repositories, asset by asset.",
        version=__version__,
        openapi_tags=[
            {"name": d.tag, "description": d.description} for d in dialects if d.is_documented
        ],
        # The pages of documentation load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=openapi.operation_id,
        lifespan=_lifespan(services, runtime),
    )
    render = render_of(dialects)
    _handle_failures(app, render)
    work: frozenset[str] = frozenset().union(*(dialect.work for dialect in dialects))
    streamed = [dialect.streamed for dialect in dialects if dialect.streamed is not None]
    limits = RequestLimits(settings, work, streamed)
    tags = {prefix: dialect.tag for dialect in dialects for prefix in dialect.prefixes}
    app.state.head = {prefix: True for dialect in dialects for prefix in dialect.head}
    app.state.head |= dict.fromkeys(("/healthz", "/readyz", "/metrics", "/openapi.json"), True)
    _add_middleware(app, limits, render, tags)
    app.state.limits = limits
    app.state.gauges = [dialect.gauges for dialect in dialects if dialect.gauges is not None]
    app.get("/openapi/{dialect}.json", include_in_schema=False)(_openapi_of)
    app.include_router(operations.router)
    for dialect in dialects:
        app.include_router(dialect.router, tags=[dialect.tag])
    return app


class Application(FastAPI):
    """The application, and the OpenAPI documents that describe it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request through the middleware, and the lifespan without it."""
        if scope["type"] == "http":
            await super().__call__(scope, receive, send)
        else:
            scope["app"] = self
            await self.router(scope, receive, send)

    def exact_openapi(self) -> dict[str, Any]:
        """Return the document with every bound that schemas can express, without examples."""
        document = super().openapi()
        self.openapi_schema = None
        openapi.complete(document)
        return document

    def openapi(self) -> dict[str, Any]:
        """Return the document as generators of clients accept it, with examples."""
        if self.openapi_schema is None:
            document = openapi.for_generators(self.exact_openapi())
            openapi.with_examples(document)
            self.openapi_schema = document
        return self.openapi_schema

    def openapi_of(self, dialect: str) -> dict[str, Any]:
        """Return the document of one dialect. Raises NotFound."""
        document = self.openapi()
        for tag in document["tags"]:
            if tag["name"].lower() == dialect:
                return openapi.part_of(document, tag["name"])
        raise NotFound(what="dialect")


def _openapi_of(request: Request, dialect: str) -> JSONResponse:
    """Serve the document of one dialect."""
    return JSONResponse(request.app.openapi_of(dialect))


def _lifespan(
    services: Services | None, runtime: Runtime | None
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            if runtime is not None:
                await run_in_threadpool(runtime.start)
                stack.push_async_callback(run_in_threadpool, runtime.stop)
            if services is not None:
                await run_in_threadpool(services.passwords.prepare)
            app.state.services = services
            yield
            app.state.services = None

    return lifespan


def _handle_failures(app: FastAPI, render: Render) -> None:
    def handle(request: Request, error: Exception) -> Response:
        return render(request, with_methods(request, failure_of(error)))

    # FastAPI would render these itself; all others reach `Failures`.
    for kind in (RequestValidationError, HTTPException):
        app.add_exception_handler(kind, handle)


def _add_middleware(
    app: FastAPI, limits: RequestLimits, render: Render, tags: Mapping[str, str]
) -> None:
    # Added last is outermost.
    app.add_middleware(BodyLimit, allowed=limits.body, streams=limits.streams)
    app.add_middleware(DecodablePath)
    app.add_middleware(RateLimit, credentials=limits.credentials, addresses=limits.addresses)
    app.add_middleware(Failures, render=render)
    app.add_middleware(ResponseHeaders, add_dates, add_rate_limits, add_security)
    app.add_middleware(HeadAsGet, head=app.state.head)
    app.add_middleware(RequestLog, dialects=tags)
