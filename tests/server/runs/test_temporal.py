"""Runs that Temporal has executed, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.runs.backend_contract import BackendContract
from tests.server.runs.runner import Runner
from tests.server.runs.temporal_harness import TemporalHarness
from tests.temporal import TemporalServer

pytestmark = pytest.mark.services


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """The database of `tenant`."""
    return postgres_url


@pytest.fixture
def harness(
    runner: Runner, database_url: str, temporal_server: TemporalServer
) -> Iterator[TemporalHarness]:
    made = TemporalHarness(runner, database_url, temporal_server.address)
    yield made
    made.close()


class TestTemporal(BackendContract):
    """The contract of backends."""
