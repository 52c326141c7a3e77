"""Delivers what is due: a few messages at once, each in a thread of its own.

No endpoint and no tenant can take all the threads, however slowly they answer.
"""

from __future__ import annotations

import logging
from collections.abc import Set as AbstractSet
from datetime import timedelta
from uuid import UUID

from towline.frozen import frozen
from towline.remotes.url import Scheme
from towline_server import logs, metrics
from towline_server.auth.sealing import Sealer
from towline_server.db.session import Database
from towline_server.errors import CredentialUnreadable
from towline_server.loops import Backoff, WorkerThreads

from .domain import Result, has_scheme
from .queue import Attempt, DeliveryQueue
from .sending import Answer, Sender, headers
from .service import signing_secrets

_LOG = logging.getLogger("towline.webhooks")


@frozen(kw_only=True)
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
        self._threads = WorkerThreads("towline-webhook", bounds.in_all, self._take, self._deliver)
        self._backoff = Backoff[UUID]("webhooks")

    def deliver_due(self) -> None:
        """Begin to send what is due, as much as may be sent at once."""
        self._threads.fill()

    def stop(self, seconds: float) -> bool:
        """Begin no more, and wait for what is being sent; False if it takes longer."""
        return self._threads.stop(seconds)

    def forget_old(self) -> None:
        """Delete what ended long ago."""
        metrics.DELETED.labels("deliveries").inc(self._queue.forget(self._keep))

    def _take(self, limit: int) -> list[Attempt]:
        """Take what may be sent now."""
        taken: list[Attempt] = []
        for ready in self._queue.ready():
            busy = [*self._threads.busy, *taken]
            room = min(
                limit - len(taken),
                self._bounds.tenant - sum(each.tenant_id == ready.tenant_id for each in busy),
                self._bounds.endpoint - sum(each.endpoint_id == ready.endpoint_id for each in busy),
            )
            if room > 0 and ready.endpoint_id not in self._backoff.waiting:
                # What was taken for others is sent all the same.
                with self._backoff.attempting(ready.endpoint_id):
                    taken += self._queue.take(ready.endpoint_id, room)
        return taken

    def _deliver(self, attempt: Attempt) -> None:
        ids = {
            "webhook_id": str(attempt.endpoint_id),
            "delivery_id": str(attempt.delivery_id),
            "message_id": attempt.message_id,
        }
        with logs.about(**ids):
            answer = self._attempt(attempt)
            metrics.WEBHOOK_ATTEMPTS.labels(answer.result).inc()
            recorded = self._queue.record(attempt, answer)
            state = None if recorded is None else recorded.state
            about = {"result": answer.result, "status": answer.status, "state": state}
            _LOG.info("webhook attempted", extra=about)
            if recorded is not None and recorded.disabled is not None:
                _LOG.warning("webhook disabled", extra={"reason": recorded.disabled})

    def _attempt(self, attempt: Attempt) -> Answer:
        # The operator may have changed the setting since the URL was stored.
        if not has_scheme(attempt.url, self._schemes):
            return Answer(result=Result.SCHEME_REFUSED)
        try:
            with self._database.reading() as session:
                keys = signing_secrets(session, self._sealer, attempt.endpoint_id, attempt.at)
        except CredentialUnreadable:
            return Answer(result=Result.SECRET_UNREADABLE)
        signed = headers(keys, attempt.message_id, attempt.at, attempt.payload)
        return self._sender.send(attempt.url, signed, attempt.payload)
