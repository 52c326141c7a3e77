"""Fixtures for the Syncs dialect."""

from __future__ import annotations

import pytest

from tests.server.dialects.desk import Desk
from tests.server.dialects.syncs.office import Office
from tests.server.runs.bench import Bench
from tests.server.runs.world import World
from towline_server.auth.roles import Role


@pytest.fixture
def office(slow_desk: Desk, bench: Bench, world: World) -> Office:
    """A writer on the only project behind a connection, whose repository has two kinds."""
    world.commit(rules__a=b"1", tasks__b=b"1")
    project = world.project()
    return Office(slow_desk, bench, project, slow_desk.key(Role.WRITER, project))
