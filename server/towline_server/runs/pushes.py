"""Webhooks of a repository's host: each push starts a run of the projects that follow the ref.

A webhook that is received again starts nothing, unless its runs failed. Its runs have a key made of
what the host signed; since two pushes may look alike (there, back, and there again), a key counts
where the same delivery had it, or where the last push did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from uuid import UUID

from sqlalchemy import or_, select

from towline.frozen import frozen
from towline_server.audit.actor import identified
from towline_server.auth.sealing import Sealer
from towline_server.db.session import Database
from towline_server.errors import HookReplayed, Unauthenticated
from towline_server.projects.connections import Connections
from towline_server.projects.domain import Provider
from towline_server.projects.push_hooks import FORMS, HookBody, HookForm, PushedRef
from towline_server.projects.service import Projects

from .domain import Run, Trigger, TriggeredBy
from .service import Runs
from .states import RunState
from .tables import RunRow

_LONGEST_NAME = 255


@frozen(kw_only=True)
class Call:
    """A webhook as received, with every value of each header; nothing is verified yet."""

    connection_id: UUID
    headers: dict[str, list[str]] = field(repr=False)
    """By lower-case name."""
    body: HookBody = field(repr=False)

    def only(self, name: str) -> str:
        """Return the one value of a header; empty where there is none, or more than one."""
        values = self.headers.get(name.lower(), [])
        return values[0] if len(values) == 1 else ""


class Pushes:
    """Starts the runs of pushes. Callers authenticate by their signature alone."""

    def __init__(self, database: Database, sealer: Sealer, runs: Runs) -> None:
        self._database = database
        self._sealer = sealer
        self._runs = runs

    def take(self, call: Call) -> tuple[Run, ...]:
        """Start the runs of a webhook; none where it is no push, or no project follows the ref.

        Raises:
            Unauthenticated: no such connection, none with a secret, or a wrong signature; the
                error is the same for all three.
            InvalidValue: it is signed, but no push.
            HookReplayed: it was received before.
        """
        form = self._verified(call)
        identified("git_host", call.connection_id, "", "signature")
        if call.only(form.event) not in form.pushes:
            return ()
        refs = form.pushed(call.body)
        followers = self._followers(call.connection_id, refs)
        delivery = _name(next(filter(None, map(call.only, form.delivery)), ""))
        key = form.replay_key(delivery, call.body)
        keys = {each: self._fresh_key(each, key, delivery) for each in followers}
        if followers and not any(keys.values()):
            raise HookReplayed
        trigger = Trigger(by=TriggeredBy.WEBHOOK, ref=delivery or None)
        return tuple(
            self._runs.request(each, trigger=replace(trigger, key=fresh))
            for each, fresh in keys.items()
            if fresh is not None
        )

    def _verified(self, call: Call) -> HookForm:
        provider, secret = self._known(call.connection_id)
        form = FORMS.get(provider, FORMS[Provider.GIT])
        # Where there is nothing to verify with, it takes as long.
        good = form.check(call.only(form.signature), secret or "-", call.body)
        if not good or not secret or provider not in FORMS:
            problem = "the webhook's signature is not valid"
            raise Unauthenticated(problem=problem, challenges=("Webhook",))
        return form

    def _known(self, connection_id: UUID) -> tuple[Provider, str | None]:
        with self._database.reading() as session:
            connections = Connections(session, self._sealer)
            connection = connections.get(connection_id)
            if connection is None:
                return Provider.GIT, None
            return connection.provider, connections.webhook_secret(connection_id)

    def _followers(self, connection_id: UUID, refs: Sequence[PushedRef]) -> list[UUID]:
        with self._database.reading() as session:
            bound = Projects(session).by_connection(connection_id)
        return [
            project.id
            for project in bound
            if any(ref.is_meant_by(project.bound.ref) for ref in refs)
        ]

    def _fresh_key(self, project_id: UUID, key: str, delivery: str) -> str | None:
        """Return the key of the run to start in a project; None if it was started already."""
        run = RunRow
        pushes = select(run.id, run.trigger_ref, run.attempt_root_id).where(
            run.project_id == project_id,
            run.triggered_by == TriggeredBy.WEBHOOK,
            run.request_key.is_not(None),
        )
        alike = or_(run.request_key == key, run.request_key.startswith(f"{key}#"))
        with self._database.reading() as session:
            newest = session.execute(pushes.order_by(run.created_at.desc()).limit(1)).first()
            same = session.execute(pushes.where(alike)).all()
            roots = [
                each.attempt_root_id
                for each in same
                if each == newest or (delivery and each.trigger_ref == delivery)
            ]
            served = select(run.id).where(
                run.attempt_root_id.in_(roots),
                run.next_attempt_id.is_(None),
                run.state.not_in((RunState.FAILED, RunState.CANCELLED)),
            )
            if session.scalars(served.limit(1)).first() is not None:
                return None
        return f"{key}#{len(same) + 1}" if same else key


def _name(text: str) -> str:
    """Return a host's name of its delivery, fit to be stored."""
    return "".join(each for each in text if each.isprintable())[:_LONGEST_NAME]
