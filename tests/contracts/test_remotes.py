"""The contract of the port over every remote: memory, and each backend over file and HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.backends import git_harness
from towline.remotes.backends import Backend
from towline.remotes.memory import MemoryRemote, MemoryRepository
from towline.testing.remote_contract import RemoteContract, RemoteHarness


class TestMemory(RemoteContract):
    @pytest.fixture
    def harness(self) -> RemoteHarness:
        repository = MemoryRepository()
        return RemoteHarness(
            repository=repository,
            opener=lambda ref, scope: MemoryRemote(repository, ref=ref, scope=scope),
        )


class TestGitOverFile(RemoteContract):
    @pytest.fixture(params=Backend)
    def harness(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RemoteHarness]:
        with git_harness(tmp_path, request.param, http=False) as harness:
            yield harness


class TestGitOverHttp(RemoteContract):
    @pytest.fixture(params=Backend)
    def harness(self, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RemoteHarness]:
        with git_harness(tmp_path, request.param, http=True) as harness:
            yield harness
