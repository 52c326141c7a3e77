"""The store contract over the SQL store, on SQLite and on PostgreSQL."""

from __future__ import annotations

import hashlib
from uuid import UUID

import pytest

from tests.databases import add_project, everything
from towline.model import AssetPath
from towline.names import NamePolicy
from towline.testing.plans import now
from towline.testing.store_contract import StoreContract
from towline_server.db import Database
from towline_server.projects.store import SqlStore


class SqlHarness:
    def __init__(self, database: Database, project_id: UUID) -> None:
        self._database = database
        self._project_id = project_id
        self.reopen()

    def reopen(self):
        self.store = self.another()

    def another(self):
        return SqlStore(self._database, self._project_id)

    def put(self, path, content, *, executable=False):
        self.store.put(AssetPath(path), content, executable=executable)

    def move(self, path, to):
        self.store.move(self._id(path), AssetPath(to))

    def delete(self, path):
        self.store.delete(self._id(path))

    def contents(self):
        standing = [record.ours for record in now(self.store).records() if record.ours is not None]
        return {str(at.path): (self.store.read(at.digest), at.executable) for at in standing}

    def state_hash(self):
        return hashlib.sha256(repr(everything(self._database)).encode()).hexdigest()

    def _id(self, path):
        record = now(self.store).at(AssetPath(path))
        assert record is not None
        return record.id


class TestSqlStore(StoreContract):
    @pytest.fixture
    def new_store(self, database):
        def make(*, project="project", names=NamePolicy.EXACT, keep=50):
            project_id = add_project(database, project=project, names=names, keep=keep)
            return SqlHarness(database, project_id)

        return make
