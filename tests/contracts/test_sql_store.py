"""The store contract over the SQL store, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event

from tests.databases import add_project, everything
from towline.names import NamePolicy
from towline.testing.store_contract import BaseStoreHarness, Interruption, StoreContract
from towline_server.db import Database
from towline_server.projects.store import SqlStore


class SqlHarness(BaseStoreHarness):
    store: Any

    def __init__(self, database: Database, project_id: UUID) -> None:
        self._database = database
        self._project_id = project_id
        super().__init__(self.another(), reopen=lambda _: self.another())

    def another(self):
        return SqlStore(self._database, self._project_id)

    @contextmanager
    def interrupted_at(self, number):
        left = number

        def interrupt(*execution):
            nonlocal left
            left -= execution[2].startswith(("INSERT", "UPDATE", "DELETE"))
            if left == 0:
                raise Interruption

        event.listen(self._database.engine, "before_cursor_execute", interrupt)
        try:
            yield
        finally:
            event.remove(self._database.engine, "before_cursor_execute", interrupt)

    def state_hash(self):
        return hashlib.sha256(repr(everything(self._database)).encode()).hexdigest()


class TestSqlStore(StoreContract):
    has_files = False

    @pytest.fixture
    def new_store(self, database):
        def make(*, project="project", names=NamePolicy.EXACT, keep=50):
            project_id = add_project(database, project=project, names=names, keep=keep)
            return SqlHarness(database, project_id)

        return make
