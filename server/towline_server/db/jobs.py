"""Rows as a durable queue: a job is executed under a lease, and again later where it failed.

A lease is a token in the row until a time of the database's clock. Each write of an executor names
the token, so one that lost its lease writes nothing; the lease of one that died expires. On
PostgreSQL an executor skips the rows that another has locked; SQLite has one writer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any, Generic, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, Select, Update, or_, update
from sqlalchemy.orm import Mapped

from towline.frozen import frozen

from .base import Base

Moment: TypeAlias = datetime | ColumnElement[datetime]
"""A time, or an expression for one in a statement."""


class Job(Base):
    """A row that is executed under a lease."""

    __abstract__ = True

    lease_token: Mapped[str | None]
    """What the executor shows for every write; a new one makes the old executor powerless."""
    lease_until: Mapped[datetime | None]
    """By the database's clock."""

    @classmethod
    def is_free(cls, now: Moment) -> ColumnElement[bool]:
        """Match the jobs that no executor holds."""
        return or_(cls.lease_until.is_(None), cls.has_expired(now))

    @classmethod
    def has_expired(cls, now: Moment) -> ColumnElement[bool]:
        """Match the jobs whose executor has not renewed its lease in time."""
        return cls.lease_until < now


AnyJob = TypeVar("AnyJob", bound=Job)


class JobQueue(Generic[AnyJob]):
    """The leases of one table's jobs, each of ``seconds``; the caller has the transaction."""

    def __init__(self, table: type[AnyJob], seconds: float) -> None:
        self._table = table
        self._length = timedelta(seconds=seconds)

    def unlocked(self, query: Select[Any], *locked: type[Base]) -> Select[Any]:
        """Lock the jobs of a query, and skip those that another executor has locked.

        ``locked`` are the tables whose rows are locked; none: all of the query's.
        """
        return query.with_for_update(of=locked or None, key_share=True, skip_locked=True)

    def lease(self, job: AnyJob, now: datetime) -> str:
        """Give a locked job a new lease, and return its token."""
        job.lease_token, job.lease_until = token_hex(16), now + self._length
        return job.lease_token

    def renewal(self, tokens: Collection[str], now: datetime) -> Update:
        """Return the statement that renews the leases with these tokens."""
        held = update(self._table).where(self._table.lease_token.in_(tokens))
        renewed = held.values(lease_until=now + self._length)
        return renewed.execution_options(synchronize_session=False)


def release(job: Job) -> None:
    """End the lease of a locked job."""
    job.lease_token = job.lease_until = None


@frozen(kw_only=True)
class RetryPolicy:
    """How often a job that failed is tried again, and after how long each time."""

    delays: tuple[timedelta, ...]
    longest_requested: timedelta
    """The longest delay that the other side may request."""
    spread: float = 0.0
    """The part of a delay that is added at most, at random."""
    draw: Callable[[], float] = random.SystemRandom().random
    """Return a number from 0 to 1."""

    def delay(self, failures: int, requested: timedelta | None = None) -> timedelta | None:
        """Return how long to wait after so many failures; None: it is not tried again."""
        if failures >= len(self.delays):
            return None
        delay = self.delays[failures] * (1 + self.spread * self.draw())
        return max(delay, min(requested or timedelta(), self.longest_requested))


def growing_delays(most: int, first_seconds: float, longest_seconds: float) -> RetryPolicy:
    """Return the policy of ``most`` retries, each after four times the delay before it."""
    longest = timedelta(seconds=longest_seconds)
    seconds = (min(first_seconds * 4 ** min(n, 20), longest_seconds) for n in range(most))
    delays = tuple(timedelta(seconds=each) for each in seconds)
    return RetryPolicy(delays=delays, longest_requested=longest)
