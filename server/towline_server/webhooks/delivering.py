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
from towline_server.loops import Quarantine

from .claims import Claimed, Claims, Ready, Recorded
from .domain import Result, has_scheme
from .sending import Answer, Sender
from .service import signing_secrets
from .signing import headers

_LOG = logging.getLogger("towline.webhooks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many messages a process sends at once."""

    in_all: int = 16
    tenant: int = 8
    endpoint: int = 4


class Courier:
    """Delivers the messages of a database, beside those of other servers."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        claims: Claims,
        sender: Sender,
        *,
        schemes: AbstractSet[Scheme] = frozenset({Scheme.HTTPS}),
        keep: timedelta = timedelta(days=30),
        bounds: Bounds = Bounds(),
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._claims = claims
        self._sender = sender
        self._schemes = schemes
        self._keep = keep
        self._bounds = bounds
        self._busy: dict[str, Claimed] = {}
        """What is being sent, by its token."""
        self._changed = threading.Condition()
        self._stopping = False
        self._quarantine = Quarantine[UUID]("webhooks")

    def deliver_due(self) -> None:
        """Begin to send what is due, as much as may be sent at once."""
        with self._changed:
            for claimed in self._take(self._bounds.in_all):
                self._begin(claimed)

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
        self._claims.forget(self._keep)

    def _begin(self, claimed: Claimed) -> None:
        # Who leaves the process need not wait for it: its lease lapses.
        thread = threading.Thread(
            target=self._work, args=(claimed,), name="towline-webhook", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            _LOG.exception("there is no thread for a delivery; it is tried again")
            self._busy.pop(claimed.token)

    # --- taking -------------------------------------------------------------------------------

    def _take(self, limit: int) -> list[Claimed]:
        """Take what may be sent now; the caller holds the lock."""
        taken: list[Claimed] = []
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
            if room > 0 and ready.endpoint_id not in self._quarantine.held:
                # What was taken for others is sent all the same.
                with self._quarantine.guarding(ready.endpoint_id):
                    taken += self._claim(ready.endpoint_id, room)
        return taken

    def _ready(self) -> Sequence[Ready]:
        try:
            return self._claims.ready()
        except SQLAlchemyError:
            _LOG.exception("a look for what is to be delivered failed; it is tried again")
            return ()

    def _claim(self, endpoint_id: UUID, room: int) -> list[Claimed]:
        found = self._claims.take(endpoint_id, room)
        self._busy.update({each.token: each for each in found})
        return found

    def _work(self, claimed: Claimed) -> None:
        """Send one message after another, until nothing is due."""
        following: Claimed | None = claimed
        while following is not None:
            try:
                self._deliver(following)
            except Exception:  # noqa: BLE001 - its lease lapses, and it is sent again
                _LOG.exception("a delivery failed; it is tried again")
            following = self._next(following)

    def _next(self, done: Claimed) -> Claimed | None:
        with self._changed:
            self._busy.pop(done.token)
            found = self._take(1)
            self._changed.notify_all()
            return found[0] if found else None

    # --- sending ------------------------------------------------------------------------------

    def _deliver(self, claimed: Claimed) -> None:
        about = {
            "webhook_id": str(claimed.endpoint_id),
            "delivery_id": str(claimed.delivery_id),
            "message_id": claimed.message_id,
        }
        with logs.about(**about):
            answer = self._attempt(claimed)
            metrics.webhook_attempted(answer.result)
            recorded = self._claims.record(claimed, answer)
            _tell(answer, recorded)

    def _attempt(self, claimed: Claimed) -> Answer:
        # The operator's choice may have changed since the URL was taken.
        if not has_scheme(claimed.url, self._schemes):
            return Answer(result=Result.SCHEME_REFUSED)
        try:
            with self._database.reading() as session:
                keys = signing_secrets(session, self._sealer, claimed.endpoint_id, claimed.at)
        except CredentialUnreadable:
            return Answer(result=Result.SECRET_UNREADABLE)
        signed = headers(keys, claimed.message_id, claimed.at, claimed.payload)
        return self._sender.send(claimed.url, signed, claimed.payload)


def _tell(answer: Answer, recorded: Recorded | None) -> None:
    state = None if recorded is None else recorded.state
    about = {"result": answer.result, "status": answer.status, "state": state}
    _LOG.info("webhook attempted", extra=about)
    if recorded is not None and recorded.disabled is not None:
        _LOG.warning("webhook disabled", extra={"reason": recorded.disabled})
