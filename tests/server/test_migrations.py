"""The migrations make the tables of the models, on each database."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import inspect, text

from towline_server.db import make_engine, upgrade
from towline_server.db.engine import WRITES
from towline_server.db.migrate import _config, _migrating


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def test_tables_are_those_of_the_models(kind: str, tmp_path, request: pytest.FixtureRequest):
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/new.db"
    else:
        url = request.getfixturevalue("postgres_server").create("migrated")
    engine = make_engine(url)
    upgrade(engine)
    with _migrating(engine) as connection:
        command.check(_config(connection))
    upgrade(engine)
    indexes = {each["name"]: each for each in inspect(engine).get_indexes("runs")}
    assert indexes["ix_runs_active"]["unique"]
    assert any("where" in option for option in indexes["ix_runs_active"]["dialect_options"])
    with _migrating(engine) as connection:
        command.downgrade(_config(connection), "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_a_server_starts_on_a_current_database_while_another_one_writes(sqlite_url: str):
    writer, engine = make_engine(sqlite_url), make_engine(sqlite_url, lock_seconds=0.1)
    with writer.execution_options(**WRITES).begin() as connection:
        connection.execute(text("SELECT 1"))
        upgrade(engine)
    for each in (writer, engine):
        each.dispose()
