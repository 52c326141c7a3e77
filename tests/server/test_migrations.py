"""The migrations make the tables of the models, on each database."""

from __future__ import annotations

import pytest
from sqlalchemy import inspect

from towline_server.db import make_engine, upgrade
from towline_server.db.migrate import check, downgrade


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def test_tables_are_those_of_the_models(kind: str, tmp_path, request: pytest.FixtureRequest):
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/new.db"
    else:
        url = request.getfixturevalue("postgres_server").create("migrated")
    engine = make_engine(url)
    upgrade(engine)
    check(engine)
    upgrade(engine)
    indexes = {each["name"]: each for each in inspect(engine).get_indexes("runs")}
    assert indexes["ix_runs_active"]["unique"]
    assert any("where" in option for option in indexes["ix_runs_active"]["dialect_options"])
    downgrade(engine, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
