"""A database with so many rows that a query which reads all of a table shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, Boolean, DateTime, Integer, LargeBinary, Table, insert, text
from sqlalchemy.orm import Session
from sqlalchemy.types import TypeDecorator, Uuid

from towline.codec import encode
from towline.kinds import Kinds
from towline_server.db import Database
from towline_server.runs.domain import RunRequest
from towline_server.tables import Base

NOW = datetime.now(UTC)
TENANTS, PROJECTS, RUNS = 20, 20, 8
"""How many there are; projects of each tenant, runs (and much else) of each project."""
Row = dict[str, Any]


def crowd(database: Database) -> tuple[UUID, UUID, UUID]:
    """Fill every table that grows; return a tenant, a project of it and its connection."""
    tenants: list[Row] = [{"id": uuid4(), "name": f"tenant {number}"} for number in range(TENANTS)]
    connections = [
        _of(each, id=uuid4(), url="https://git.example/r.git", provider="git") for each in tenants
    ]
    projects = [
        _of(
            tenant,
            id=uuid4(),
            path=f"org/space/{number}",
            kinds=encode(Kinds()),
            names="exact",
            keep=5,
            pulls=RUNS,
        )
        for tenant in tenants
        for number in range(PROJECTS)
    ]
    bound = {each["tenant_id"]: each["id"] for each in connections}
    parts = [_of_project(each, bound[each["tenant_id"]]) for each in projects]
    endpoints = [
        _of(each, id=uuid4(), url="https://e.example/", enabled=True, description="")
        for each in tenants
    ]
    with database.writing() as session:
        _insert(session, "tenants", tenants)
        _insert(session, "connections", connections)
        _insert(session, "identities", [each for t in tenants for each in _identities(t)])
        _insert(session, "projects", projects)
        _insert(session, "webhook_endpoints", endpoints)
        for name in parts[0]:
            _insert(session, name, [row for part in parts for row in part[name]])
        _insert(
            session, "webhook_deliveries", [each for one in endpoints for each in _deliveries(one)]
        )
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    return tenants[0]["id"], projects[0]["id"], connections[0]["id"]


def _of(tenant: Row, **values: Any) -> Row:
    return {"tenant_id": tenant["id"], **values}


def _identities(tenant: Row) -> list[Row]:
    return [
        _of(tenant, id=uuid4(), kind="api_key", name="key", key_sha256=uuid4().hex)
        for _ in range(PROJECTS)
    ]


def _deliveries(endpoint: Row) -> list[Row]:
    return [
        {
            "id": uuid4(),
            "endpoint_id": endpoint["id"],
            "state": "delivered" if number else "waiting",
            "next_attempt_at": None if number else NOW + timedelta(days=1),
            "ended_at": NOW - timedelta(days=number / 10) if number else None,
            "created_at": NOW - timedelta(days=number / 10),
        }
        for number in range(PROJECTS * RUNS)
    ]


def _of_project(project: Row, connection_id: UUID) -> dict[str, list[Row]]:
    """What each project has, by table, in the order in which it is inserted."""
    mine, numbers = {"project_id": project["id"]}, range(RUNS)
    sync = _of_sync(project, connection_id)
    ages = [timedelta(days=12 * (RUNS - number)) for number in numbers]
    return {
        "bindings": [
            {**mine, "tenant_id": project["tenant_id"], "connection_id": connection_id}
            | {"ref": "heads/main", "scope": ""}
        ],
        "syncs": [sync],
        "schedules": [
            {**mine, "id": uuid4(), "sync_id": sync["id"], "every_seconds": 60, "backend": "native"}
            | {"due_at": NOW + timedelta(days=1), "request": encode(RunRequest())}
        ],
        "runs": [_run(project, connection_id, sync, NOW - age) for age in ages],
        "plans": [{**mine, "id": uuid4(), "created_at": NOW - age / 10} for age in ages],
        "pulls": [
            {**mine, "number": number + 1, "kind": "pull", "at": NOW - age, "plan": "{}"}
            for number, age in enumerate(ages)
        ],
        "blobs": [{**mine, "digest": f"{number:040}"} for number in numbers],
        "assets": [
            {**mine, "id": f"{number:024}", "path": f"a/{number}", "digest": f"{number:040}"}
            for number in numbers
        ],
        "asset_events": [
            {**mine, "sequence": number + 1, "kind": "rule", "at": NOW - age / 10}
            | {"path": f"a/{number}", "after_digest": f"{number:040}"}
            for number, age in enumerate(ages)
        ],
    }


def _of_sync(project: Row, connection_id: UUID) -> Row:
    return {
        "id": uuid4(),
        "tenant_id": project["tenant_id"],
        "project_id": project["id"],
        "connection_id": connection_id,
        "slug": uuid4().hex,
    }


def _run(project: Row, connection_id: UUID, sync: Row, at: datetime) -> Row:
    run_id = uuid4()
    return {
        "id": run_id,
        "tenant_id": project["tenant_id"],
        "project_id": project["id"],
        "connection_id": connection_id,
        "sync_id": sync["id"],
        "attempt_root_id": run_id,
        "kind": "rule",
        "mode": "incremental",
        "request": encode(RunRequest()),
        "triggered_by": "manual",
        "state": "succeeded",
        "backend": "native",
        "created_at": at,
        "updated_at": at,
        "completed_at": at,
        "target_revision": "1" * 40,
        "report": {"created": ["x" * 400]},
    }


def _insert(session: Session, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Base.metadata.tables[name]
    session.connection().execute(insert(table), [{**_blank(table), **row} for row in rows])


def _blank(table: Table) -> Row:
    """A value for each column that must have one."""
    blank: Row = {}
    for column in table.columns:
        if column.nullable or column.default is not None:
            continue
        kind = column.type.impl if isinstance(column.type, TypeDecorator) else column.type
        match kind:
            case Uuid():
                blank[column.name] = uuid4()
            case DateTime():
                blank[column.name] = NOW
            case JSON():
                blank[column.name] = {}
            case Boolean():
                blank[column.name] = False
            case Integer():
                blank[column.name] = 0
            case LargeBinary():
                blank[column.name] = b"x"
            case _:
                blank[column.name] = "x"
    return blank
