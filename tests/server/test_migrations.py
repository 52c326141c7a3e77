"""Databases of earlier versions, brought up to date."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from towline_server.db import make_engine, upgrade
from towline_server.db.migrate import check

DBOS = ("workflow_status", "queues", "dbos_migrations")


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def test_the_tables_of_dbos_are_dropped(kind: str, tmp_path: Path, request: pytest.FixtureRequest):
    if kind == "sqlite":
        url, schema = f"sqlite:///{tmp_path}/old.db", None
    else:
        url, schema = request.getfixturevalue("postgres_server").create("with_dbos"), "dbos"
    engine = make_engine(url)
    upgrade(engine, "0007")
    with engine.begin() as connection:
        if schema is not None:
            connection.execute(text("CREATE SCHEMA dbos"))
        for table in DBOS:
            name = table if schema is None else f"{schema}.{table}"
            connection.execute(text(f"CREATE TABLE {name} (id TEXT)"))
    upgrade(engine)
    check(engine)
    assert not set(DBOS) & set(inspect(engine).get_table_names())
    assert "dbos" not in inspect(engine).get_schema_names()
    indexes = {each["name"]: each for each in inspect(engine).get_indexes("runs")}
    assert indexes["ix_runs_active"]["unique"]
    assert any("where" in option for option in indexes["ix_runs_active"]["dialect_options"])
    engine.dispose()
