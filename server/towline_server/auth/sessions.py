"""Sessions of people who signed in with a browser: a random token, stored as its hash alone.

A session is one identity's. Each request reads that identity again, so a role that is removed, or
an identity that is disabled, counts at once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import ScalarSelect, delete, select
from sqlalchemy.orm import Session

from .keys import new_token, stored_hash
from .tables import SessionRow


def identity_of(token: str, now: datetime) -> ScalarSelect[UUID]:
    """Select the identity whose session has this token and has not expired."""
    row = SessionRow
    valid = (row.token_sha256 == stored_hash(token), row.expires_at > now)
    return select(row.identity_id).where(*valid).scalar_subquery()


class Sessions:
    """The sessions of a database, through a session of SQLAlchemy that the caller commits."""

    def __init__(
        self, session: Session, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._session = session
        self._now = now

    def begin(self, identity_id: UUID, seconds: int) -> str:
        """Begin a session, and return its token; sessions that have expired are deleted."""
        now, token = self._now(), new_token()
        self._session.execute(delete(SessionRow).where(SessionRow.expires_at <= now))
        self._session.add(
            SessionRow(
                token_sha256=stored_hash(token),
                identity_id=identity_id,
                created_at=now,
                expires_at=now + timedelta(seconds=seconds),
            )
        )
        return token

    def end(self, token: str) -> None:
        """End the session of a token; one that is not there has ended already."""
        row = SessionRow
        self._session.execute(delete(row).where(row.token_sha256 == stored_hash(token)))

    def end_all(self, identity_id: UUID) -> None:
        """End every session of an identity."""
        self._session.execute(delete(SessionRow).where(SessionRow.identity_id == identity_id))
