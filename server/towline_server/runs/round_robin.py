"""Which run is next: tenants take turns, and in a tenant the oldest run whose project is free.

It is read from the rows of the runs alone, so that it holds for all servers of a database. The
tenant is next of which a run began the longest ago. The tenants that have a run which waits are
found one index probe each (a "loose index scan"), however long their queues are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Select, bindparam, literal_column, or_, select
from sqlalchemy.orm import Session, aliased

from towline.frozen import frozen
from towline_server.db.clock import sql_now

from .domain import BackendName
from .tables import RunRow, is_free, waits


@frozen(kw_only=True)
class Candidate:
    """A run that an executor may take, and what its bounds count it by."""

    run_id: UUID
    tenant_id: UUID
    host: str | None


@frozen(kw_only=True)
class Excluded:
    """The runs that an executor does not take now."""

    tenants: Collection[UUID] = ()
    hosts: Collection[str] = ()
    runs: Collection[UUID] = ()

    @property
    def values(self) -> Mapping[str, Sequence[UUID | str]]:
        """What is excluded, by its name, where anything is."""
        named: dict[str, Collection[UUID | str]]
        named = {"tenants": self.tenants, "hosts": self.hosts, "runs": self.runs}
        return {name: list(values) for name, values in named.items() if values}


def next_in_turn(
    session: Session, backend: BackendName, excluded: Excluded = Excluded()
) -> Candidate | None:
    """Return the run that is next for an executor; it is not locked."""
    values = excluded.values
    found = session.execute(in_turn(backend, frozenset(values)), values).first()
    return None if found is None else Candidate(run_id=found[0], tenant_id=found[1], host=found[2])


@cache
def in_turn(
    backend: BackendName, excluded: frozenset[str] = frozenset()
) -> Select[UUID, UUID, str | None]:
    """Select the id, the tenant and the host of the run that is next.

    ``excluded`` are the names of `Excluded.values`, the parameters of the statement. It is made
    once: that takes several times as long as to execute it.
    """
    tenants = _waiting_tenants(backend)
    tenant_id = tenants.c.tenant_id
    turns = select(
        _oldest(backend, tenant_id, excluded).label("run_id"),
        _last_began(backend, tenant_id).label("last_began"),
        tenant_id,
    ).where(tenant_id.is_not(None))
    if "tenants" in excluded:
        turns = turns.where(tenant_id.not_in(_several("tenants")))
    each = turns.subquery("turns")
    # One is chosen before its row is looked at.
    first = select(each.c.run_id).where(each.c.run_id.is_not(None))
    ordered = first.order_by(each.c.last_began.nulls_first(), each.c.tenant_id)
    chosen = ordered.limit(1).subquery("chosen")
    run = RunRow
    return select(run.id, run.tenant_id, run.host).join(chosen, chosen.c.run_id == run.id)


def _waiting_tenants(backend: BackendName) -> Any:
    first = aliased(RunRow, name="first_waiting")
    least = _least_tenant(first, backend).scalar_subquery()
    tenants = select(least.label("tenant_id")).cte("waiting", recursive=True)
    after = aliased(RunRow, name="next_waiting")
    greater = _least_tenant(after, backend).where(after.tenant_id > tenants.c.tenant_id)
    more = select(greater.scalar_subquery()).where(tenants.c.tenant_id.is_not(None))
    return tenants.union_all(more)


def _least_tenant(run: Any, backend: BackendName) -> Select[Any]:
    mine = select(run.tenant_id).where(run.backend == backend, waits(run))
    return mine.order_by(run.tenant_id).limit(1)


def _oldest(
    backend: BackendName, tenant_id: ColumnElement[UUID], excluded: frozenset[str]
) -> ColumnElement[UUID]:
    run = aliased(RunRow, name="oldest")
    ready = or_(run.not_before.is_(None), run.not_before <= sql_now())
    mine = select(run.id).where(
        run.backend == backend, run.tenant_id == tenant_id, waits(run), ready, is_free(run)
    )
    if "hosts" in excluded:
        mine = mine.where(or_(run.host.is_(None), run.host.not_in(_several("hosts"))))
    if "runs" in excluded:
        mine = mine.where(run.id.not_in(_several("runs")))
    return mine.order_by(run.created_at, run.position, run.id).limit(1).scalar_subquery()


def _last_began(
    backend: BackendName, tenant_id: ColumnElement[UUID]
) -> ColumnElement[datetime | None]:
    run = aliased(RunRow, name="began")
    mine = select(run.started_at).where(
        run.backend == backend,
        run.tenant_id == tenant_id,
        literal_column("began.started_at IS NOT NULL"),
    )
    return mine.order_by(run.started_at.desc()).limit(1).scalar_subquery()


def _several(name: str) -> BindParameter[Any]:
    return bindparam(name, expanding=True)
