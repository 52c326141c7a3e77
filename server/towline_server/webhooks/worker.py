"""Delivers what is due: a few messages at once, each in a thread of its own.

No endpoint and no tenant can take all the threads, however slowly they answer.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.exc import SQLAlchemyError

from towline.remotes.url import Scheme
from towline_server import logs, metrics
from towline_server.auth.sealing import Sealer
from towline_server.db.session import Database
from towline_server.errors import CredentialUnreadable
from towline_server.loops import Backoff

from .domain import Result, has_scheme
from .queue import Attempt, DeliveryQueue, Ready, Recorded
from .sending import Answer, Sender, headers
from .service import signing_secrets

_LOG = logging.getLogger("towline.webhooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many messages a process sends at once."""

    in_all: int = 16
    tenant: int = 8
    endpoint: int = 4


class DeliveryWorker:
    """Delivers the messages of a database, beside those of other servers."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        queue: DeliveryQueue,
        sender: Sender,
        *,
        schemes: AbstractSet[Scheme] = frozenset({Scheme.HTTPS}),
        keep: timedelta = timedelta(days=30),
        bounds: Bounds = Bounds(),
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._queue = queue
        self._sender = sender
        self._schemes = schemes
        self._keep = keep
        self._bounds = bounds
        self._busy: dict[str, Attempt] = {}
        """What is being sent, by its token."""
        self._changed = threading.Condition()
        self._stopping = False
        self._backoff = Backoff[UUID]("webhooks")

    def deliver_due(self) -> None:
        """Begin to send what is due, as much as may be sent at once."""
        with self._changed:
            for attempt in self._take(self._bounds.in_all):
                self._begin(attempt)

    def stop(self, seconds: float) -> bool:
        """Begin no more, and wait for what is being sent; False if it takes longer."""
        with self._changed:
            self._stopping = True
        return self.wait_idle(seconds)

    def wait_idle(self, seconds: float) -> bool:
        """Wait until nothing is being sent; False if it takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, timeout=seconds)

    def forget_old(self) -> None:
        """Delete what was sent, or could not be, long ago."""
        self._queue.forget(self._keep)

    def _begin(self, attempt: Attempt) -> None:
        # Who leaves the process need not wait for it: its lease lapses.
        thread = threading.Thread(
            target=self._work, args=(attempt,), name="towline-webhook", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            _LOG.exception("there is no thread for a delivery; it is tried again")
            self._busy.pop(attempt.token)

    # --- taking -------------------------------------------------------------------------------

    def _take(self, limit: int) -> list[Attempt]:
        """Take what may be sent now; the caller holds the lock."""
        taken: list[Attempt] = []
        if self._stopping or len(self._busy) >= self._bounds.in_all:
            return taken
        for ready in self._ready():
            busy = self._busy.values()
            room = min(
                limit - len(taken),
                self._bounds.in_all - len(busy),
                self._bounds.tenant - sum(each.tenant_id == ready.tenant_id for each in busy),
                self._bounds.endpoint - sum(each.endpoint_id == ready.endpoint_id for each in busy),
            )
            if room > 0 and ready.endpoint_id not in self._backoff.waiting:
                # What was taken for others is sent all the same.
                with self._backoff.attempting(ready.endpoint_id):
                    taken += self._claim(ready.endpoint_id, room)
        return taken

    def _ready(self) -> Sequence[Ready]:
        try:
            return self._queue.ready()
        except SQLAlchemyError:
            _LOG.exception("a look for what is to be delivered failed; it is tried again")
            return ()

    def _claim(self, endpoint_id: UUID, room: int) -> list[Attempt]:
        found = self._queue.take(endpoint_id, room)
        self._busy.update({each.token: each for each in found})
        return found

    def _work(self, attempt: Attempt) -> None:
        """Send one message after another, until nothing is due."""
        following: Attempt | None = attempt
        while following is not None:
            try:
                self._deliver(following)
            except Exception:  # noqa: BLE001 - its lease lapses, and it is sent again
                _LOG.exception("a delivery failed; it is tried again")
            following = self._next(following)

    def _next(self, done: Attempt) -> Attempt | None:
        with self._changed:
            self._busy.pop(done.token)
            found = self._take(1)
            self._changed.notify_all()
            return found[0] if found else None

    # --- sending ------------------------------------------------------------------------------

    def _deliver(self, attempt: Attempt) -> None:
        about = {
            "webhook_id": str(attempt.endpoint_id),
            "delivery_id": str(attempt.delivery_id),
            "message_id": attempt.message_id,
        }
        with logs.about(**about):
            answer = self._attempt(attempt)
            metrics.WEBHOOK_ATTEMPTS.labels(answer.result).inc()
            recorded = self._queue.record(attempt, answer)
            _tell(answer, recorded)

    def _attempt(self, attempt: Attempt) -> Answer:
        # The operator's choice may have changed since the URL was taken.
        if not has_scheme(attempt.url, self._schemes):
            return Answer(result=Result.SCHEME_REFUSED)
        try:
            with self._database.reading() as session:
                keys = signing_secrets(session, self._sealer, attempt.endpoint_id, attempt.at)
        except CredentialUnreadable:
            return Answer(result=Result.SECRET_UNREADABLE)
        signed = headers(keys, attempt.message_id, attempt.at, attempt.payload)
        return self._sender.send(attempt.url, signed, attempt.payload)


def _tell(answer: Answer, recorded: Recorded | None) -> None:
    state = None if recorded is None else recorded.state
    about = {"result": answer.result, "status": answer.status, "state": state}
    _LOG.info("webhook attempted", extra=about)
    if recorded is not None and recorded.disabled is not None:
        _LOG.warning("webhook disabled", extra={"reason": recorded.disabled})
