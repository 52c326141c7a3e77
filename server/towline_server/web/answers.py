"""The first answers to requests with an Idempotency-Key, kept for a while in the database.

Sealed: an answer may be the one place where a new secret is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, and_, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from towline_server.auth.roles import Principal
from towline_server.auth.sealing import Sealer
from towline_server.db import Database
from towline_server.errors import IdempotencyKeyReused, IdempotentRequestRunning

from .tables import IdempotentAnswer

LAPSE = timedelta(minutes=10)
"""After this a claim without an answer is void: whoever held it has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it was given."""

    status: int
    content_type: str | None
    location: str | None
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that must be carried out once."""

    caller: Principal
    route: str
    """Method, path and query."""
    key: str
    digest: str
    """SHA-256 of what else makes the request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right to carry a request out."""

    asked: Asked
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Claims and answers in a database."""

    database: Database
    sealer: Sealer
    keep_for: timedelta = timedelta(hours=24)
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def claim(self, asked: Asked) -> Claim | Answer:
        """The right to carry the request out, or the answer that it got before.

        Raises:
            IdempotencyKeyReused: the key came with another request.
            CredentialUnreadable: it was answered, but the key that the answer was sealed with is
                gone.
            IdempotentRequestRunning: the first one has not been answered yet.
        """
        with self.database.writing() as session:
            self._forget_old(session)
            claim = Claim(asked=asked, at=self.now())
            if self._insert(session, claim):
                return claim
            row = session.scalar(select(IdempotentAnswer).where(_of(asked)))
            if row is None:
                raise IdempotentRequestRunning
            if row.request_sha256 != asked.digest:
                raise IdempotencyKeyReused
            if row.status is not None:
                return self._answer(row, row.status)
            return self._take_over(session, claim, row.claimed_at)

    def keep(self, claim: Claim, answer: Answer) -> None:
        """Remember the answer."""
        with self.database.writing() as session:
            session.execute(
                update(IdempotentAnswer)
                .where(_of(claim.asked), IdempotentAnswer.claimed_at == claim.at)
                .values(
                    status=answer.status,
                    content_type=answer.content_type,
                    location=answer.location,
                    body=self._sealed(claim.asked, answer.body),
                )
            )

    def release(self, claim: Claim) -> None:
        """Forget the claim: the request changed nothing, and may be tried again."""
        with self.database.writing() as session:
            mine = IdempotentAnswer.claimed_at == claim.at
            session.execute(delete(IdempotentAnswer).where(_of(claim.asked), mine))

    def _sealed(self, asked: Asked, body: bytes) -> bytes:
        # A character a byte: what is sealed is text.
        return self.sealer.seal(body.decode("latin-1"), _purpose(asked.caller.id, asked.route))

    def _answer(self, row: IdempotentAnswer, status: int) -> Answer:
        body = b""
        if row.body is not None:
            purpose = _purpose(row.identity_id, row.route)
            body = self.sealer.open(row.body, purpose).encode("latin-1")
        return Answer(
            status=status, content_type=row.content_type, location=row.location, body=body
        )

    def _insert(self, session: Session, claim: Claim) -> bool:
        row = IdempotentAnswer(
            identity_id=claim.asked.caller.id,
            tenant_id=claim.asked.caller.tenant_id,
            route=claim.asked.route,
            key=claim.asked.key,
            request_sha256=claim.asked.digest,
            claimed_at=claim.at,
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:
            return False
        return True

    def _take_over(self, session: Session, claim: Claim, held_since: datetime) -> Claim:
        if claim.at - held_since < LAPSE:
            raise IdempotentRequestRunning
        statement = (
            update(IdempotentAnswer)
            .where(_of(claim.asked), IdempotentAnswer.claimed_at == held_since)
            .values(claimed_at=claim.at)
            .execution_options(synchronize_session=False)
        )
        taken: CursorResult[Any] = session.execute(statement)  # type: ignore[assignment] # an UPDATE's
        if taken.rowcount != 1:
            raise IdempotentRequestRunning
        return claim

    def _forget_old(self, session: Session) -> None:
        oldest = self.now() - self.keep_for
        session.execute(delete(IdempotentAnswer).where(IdempotentAnswer.claimed_at < oldest))


def reseal_answers(session: Session, sealer: Sealer) -> int:
    """Seal every kept answer with the first key again, and tell how many were not.

    Raises:
        CredentialUnreadable: the key of one is gone; nothing was changed.
    """
    changed = 0
    for row in session.scalars(select(IdempotentAnswer)):
        if row.body is not None and not sealer.is_current(row.body):
            row.body = sealer.renewed(row.body, _purpose(row.identity_id, row.route))
            changed += 1
    session.flush()
    return changed


def _of(asked: Asked) -> ColumnElement[bool]:
    return and_(
        IdempotentAnswer.identity_id == asked.caller.id,
        IdempotentAnswer.route == asked.route,
        IdempotentAnswer.key == asked.key,
    )


def _purpose(identity_id: UUID, route: str) -> str:
    return f"answer {identity_id} {route}"
