"""``Idempotency-Key`` on POST: the same request with the same key returns the first response.

A router opts in by its ``route_class``. Only responses below 400 are stored: a refused request
changed nothing, so a retry is right. A response is stored after the change that it reports is
committed; if the server dies between the two, the key's lock expires and the request may run
again. Stored responses are sealed, as one may be the only place that shows a new secret.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from sqlalchemy import ColumnElement, ForeignKey, Index, and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column
from starlette.concurrency import run_in_threadpool

from towline.errors import InvalidValue
from towline.frozen import frozen
from towline_server.auth.roles import Principal, PrincipalKind
from towline_server.auth.sealing import Sealer
from towline_server.db import Database
from towline_server.db.base import Base, ExactText
from towline_server.errors import (
    Forbidden,
    IdempotencyKeyReused,
    IdempotentRequestRunning,
    TooManyRequests,
    Unauthenticated,
)
from towline_server.services import Services, services_of

from .authentication import Form, authenticate

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
LONGEST_KEY = 255
LOCK_TIMEOUT = timedelta(minutes=10)
"""A lock older than this, without a response, is of a request that died."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class IdempotentResponseRow(Base):
    """The first response to a POST with an Idempotency-Key; a lock until there is one."""

    __tablename__ = "idempotent_answers"
    __table_args__ = (Index("ix_idempotent_answers_claimed_at", "claimed_at"),)

    identity_id: Mapped[UUID] = mapped_column(
        ForeignKey("identities.id", ondelete="CASCADE"), primary_key=True
    )
    """The caller: a response may hold what another caller must not see."""
    route: Mapped[str] = mapped_column(ExactText(), primary_key=True)
    key: Mapped[str] = mapped_column(ExactText(), primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"))
    request_sha256: Mapped[str]
    claimed_at: Mapped[datetime]
    status: Mapped[int | None]
    content_type: Mapped[str | None]
    location: Mapped[str | None]
    body: Mapped[bytes | None]
    """Sealed (`towline_server.auth.sealing`)."""


@frozen(kw_only=True)
class KeyedRequest:
    """A request that must run once."""

    caller: Principal
    route: str
    """Method, path and query."""
    key: str
    digest: str
    """SHA-256 of the content type and the body."""

    @property
    def row(self) -> ColumnElement[bool]:
        """The condition that selects its row."""
        return and_(
            IdempotentResponseRow.identity_id == self.caller.id,
            IdempotentResponseRow.route == self.route,
            IdempotentResponseRow.key == self.key,
        )


@frozen(kw_only=True)
class KeyLock:
    """The right to run a request."""

    request: KeyedRequest
    acquired_at: datetime

    @property
    def row(self) -> ColumnElement[bool]:
        """The condition that selects its row while it holds the lock."""
        return self.request.row & (IdempotentResponseRow.claimed_at == self.acquired_at)


@frozen(kw_only=True)
class ResponseStore:
    """The locks and responses of a database."""

    database: Database
    sealer: Sealer
    retention: timedelta = timedelta(hours=24)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    @classmethod
    def of(cls, services: Services) -> Self:
        """Return the locks and responses of a server."""
        hours = services.settings.idempotency_hours
        retention = timedelta(hours=hours)
        return cls(database=services.database, sealer=services.sealer, retention=retention)

    def acquire(self, request: KeyedRequest) -> KeyLock | Response:
        """Return the right to run the request, or the response that it got before.

        Raises:
            IdempotencyKeyReused: the key was sent with another request.
            CredentialUnreadable: the key that the response was sealed with is missing.
            IdempotentRequestRunning: the first request has no response yet.
        """
        lock = KeyLock(request=request, acquired_at=self.now())
        with self.database.writing() as session:
            expired = IdempotentResponseRow.claimed_at < lock.acquired_at - self.retention
            session.execute(delete(IdempotentResponseRow).where(expired))
            if self._insert(session, lock):
                return lock
            row = session.scalar(select(IdempotentResponseRow).where(request.row).with_for_update())
            if row is None:
                raise IdempotentRequestRunning
            if row.request_sha256 != request.digest:
                raise IdempotencyKeyReused
            if row.status is not None:
                return self._replay(row, row.status)
            if lock.acquired_at - row.claimed_at < LOCK_TIMEOUT:
                raise IdempotentRequestRunning
            row.claimed_at = lock.acquired_at
            return lock

    def finish(self, lock: KeyLock, response: Response) -> None:
        """Store the response, unless it is a refusal, or a stream: that has no body yet."""
        if response.status_code < 400 and hasattr(response, "body"):
            self.save(lock, response)
        else:
            self.release(lock)

    def save(self, lock: KeyLock, response: Response) -> None:
        """Store the response."""
        # One character per byte: the sealer takes text.
        body = bytes(response.body).decode("latin-1")
        values = {
            "status": response.status_code,
            "content_type": response.headers.get("content-type"),
            "location": response.headers.get("location"),
            "body": self.sealer.seal(body, _purpose(lock.request.caller.id, lock.request.route)),
        }
        with self.database.writing() as session:
            session.execute(update(IdempotentResponseRow).where(lock.row).values(values))

    def release(self, lock: KeyLock) -> None:
        """Delete the lock: the request changed nothing, and may be retried."""
        with self.database.writing() as session:
            session.execute(delete(IdempotentResponseRow).where(lock.row))

    def _replay(self, row: IdempotentResponseRow, status: int) -> Response:
        assert row.body is not None, "it is stored with the status"
        body = self.sealer.open(row.body, _purpose(row.identity_id, row.route)).encode("latin-1")
        headers = {REPLAYED: "true", "content-type": row.content_type, "location": row.location}
        present = {name: value for name, value in headers.items() if value is not None}
        return Response(content=body, status_code=status, headers=present)

    @staticmethod
    def _insert(session: Session, lock: KeyLock) -> bool:
        row = IdempotentResponseRow(
            identity_id=lock.request.caller.id,
            tenant_id=lock.request.caller.tenant_id,
            route=lock.request.route,
            key=lock.request.key,
            request_sha256=lock.request.digest,
            claimed_at=lock.acquired_at,
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            return False
        return True


def reseal_responses(session: Session, sealer: Sealer) -> int:
    """Reseal every stored response with the first key, and return how many were not.

    Raises:
        CredentialUnreadable: the key of one is missing; nothing was changed.
    """
    changed = 0
    for row in session.scalars(select(IdempotentResponseRow)):
        purpose = _purpose(row.identity_id, row.route)
        if (again := sealer.resealed(row.body, purpose)) is not None:
            row.body, changed = again, changed + 1
    session.flush()
    return changed


def _purpose(identity_id: UUID, route: str) -> str:
    return f"answer {identity_id} {route}"


def idempotent(*forms: Form) -> type[APIRoute]:
    """Return a route class that honours the header for callers with one of these credentials."""
    taken = frozenset(forms)

    class IdempotentRoute(APIRoute):
        """Runs a POST once for each key of a caller."""

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
            """Return the handler, wrapped to replay stored responses."""
            handler = super().get_route_handler()

            async def once(request: Request) -> Response:
                try:
                    if request.method != "POST" or HEADER not in request.headers:
                        return await handler(request)
                    return await _once(request, handler, taken)
                except RequestValidationError:
                    # FastAPI rejects malformed JSON before it resolves the caller.
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
    """Document the header, once: a router may be included in another."""
    known = extra.get("parameters", [])
    return {**extra, "parameters": known if _PARAMETER in known else [*known, _PARAMETER]}


async def _once(request: Request, handler: Handler, forms: frozenset[Form]) -> Response:
    try:
        keyed = await _keyed(request, forms)
    except (Unauthenticated, Forbidden, TooManyRequests):
        # The route itself refuses, in its own order.
        return await handler(request)
    store = ResponseStore.of(services_of(request))
    lock = await run_in_threadpool(store.acquire, keyed)
    if isinstance(lock, Response):
        return lock
    try:
        response = await handler(request)
    except Exception:
        await run_in_threadpool(store.release, lock)
        raise
    await run_in_threadpool(store.finish, lock, response)
    return response


async def _keyed(request: Request, forms: frozenset[Form]) -> KeyedRequest:
    key = request.headers[HEADER]
    if not 0 < len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise InvalidValue(field=HEADER, problem=f"needs 1 to {LONGEST_KEY} printable characters")
    caller = await run_in_threadpool(authenticate, request, forms)
    if caller.kind is PrincipalKind.OPERATOR:
        # Answers are stored with the identity that they are for, and this is none.
        raise InvalidValue(field=HEADER, problem="cannot be used with the operator's token")
    content_type = request.headers.get("content-type", "").encode()
    digest = hashlib.sha256(content_type + b"\0" + await request.body()).hexdigest()
    route = f"{request.method} {request.url.path}?{request.url.query}"
    return KeyedRequest(caller=caller, route=route, key=key, digest=digest)
