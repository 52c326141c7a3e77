"""A tenant with endpoints, and delivery workers whose clock and jitter a test sets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.databases import DatabaseClock, add_project
from tests.server.runs.git_tenant import SEALER
from towline.remotes.url import Scheme
from towline_server.addresses import AddressPolicy
from towline_server.auth.sealing import Sealer
from towline_server.db import Database
from towline_server.projects.tables import ProjectRow
from towline_server.webhooks.deliveries import Deliveries, announce
from towline_server.webhooks.domain import RETRIES, Delivery, Endpoint, Event, EventType
from towline_server.webhooks.queue import DeliveryQueue
from towline_server.webhooks.sending import Sender
from towline_server.webhooks.service import EndpointSettings, Webhooks
from towline_server.webhooks.worker import Bounds, DeliveryWorker

BOTH = frozenset({Scheme.HTTP, Scheme.HTTPS})
LOOPBACK = AddressPolicy.parse(["127.0.0.0/8"])
LONG = 60.0
"""Seconds after which a test fails that waits in vain."""


@dataclass
class TenantWebhooks:
    """The webhooks of one tenant with one project."""

    database: Database
    clock: DatabaseClock = field(default_factory=DatabaseClock)
    sealer: Sealer = SEALER
    sender: Sender = field(default_factory=lambda: Sender(policy=LOOPBACK))
    bounds: Bounds = field(default_factory=Bounds)
    luck: float = 0.0
    """What is drawn for the jitter."""

    def __post_init__(self) -> None:
        self.project_id = add_project(self.database)
        with self.database.reading() as session:
            query = select(ProjectRow.tenant_id).where(ProjectRow.id == self.project_id)
            self.tenant_id: UUID = session.scalars(query).one()
        self.delivery_worker = self.another()

    def another(self, **queue: Any) -> DeliveryWorker:
        """The delivery worker of another server."""
        retries = replace(RETRIES, draw=lambda: self.luck)
        return DeliveryWorker(
            self.database,
            self.sealer,
            DeliveryQueue(self.database, now=self.clock, retries=retries, **queue),
            self.sender,
            schemes=BOTH,
            bounds=self.bounds,
        )

    def service(self, session: Session) -> Webhooks:
        return Webhooks(session, self.sealer, BOTH, now=self.clock)

    def endpoint(self, url: str, **wanted: Any) -> tuple[Endpoint, str]:
        """A new endpoint, and its secret."""
        with self.database.writing() as session:
            return self.service(session).create(self.tenant_id, EndpointSettings(url=url, **wanted))

    def current(self, endpoint: Endpoint) -> Endpoint:
        """An endpoint as it is now."""
        with self.database.reading() as session:
            found = self.service(session).get(endpoint.id)
        assert found is not None
        return found

    def change(self, endpoint: Endpoint, **wanted: Any) -> Endpoint:
        with self.database.writing() as session:
            return self.service(session).change(endpoint.id, EndpointSettings(**wanted))

    def rotate(self, endpoint: Endpoint) -> str:
        with self.database.writing() as session:
            return self.service(session).rotate(endpoint.id)[1]

    def announce(self, type_: EventType = EventType.RUN_FAILED, **data: Any) -> None:
        with self.database.writing() as session:
            announce(session, self.event(type_, **data))

    def event(self, type_: EventType = EventType.RUN_FAILED, **data: Any) -> Event:
        return Event(
            type=type_,
            tenant_id=self.tenant_id,
            project_id=self.project_id,
            at=self.clock.now,
            data={"run_id": str(uuid4()), **data},
        )

    def ping(self, endpoint: Endpoint) -> Delivery:
        with self.database.writing() as session:
            return Deliveries(session, endpoint.id, now=self.clock).ping()

    def retry(self, delivery: Delivery) -> Delivery:
        with self.database.writing() as session:
            return Deliveries(session, delivery.endpoint_id, now=self.clock).retry(delivery.id)

    def deliveries(self, endpoint: Endpoint) -> list[Delivery]:
        """All of them, the newest first."""
        with self.database.reading() as session:
            return list(Deliveries(session, endpoint.id).page(limit=500)[0])

    def delivery(self, endpoint: Endpoint) -> Delivery:
        """The only one."""
        [found] = self.deliveries(endpoint)
        return found

    def deliver(self) -> None:
        """Attempt what is due, until nothing is."""
        self.delivery_worker.deliver_due()
        assert self.delivery_worker._threads.wait_idle(LONG)
