"""kill -9 of a server in each phase of a run that it executes, and its return."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.server.descendants import await_end, descendants
from tests.server.pending_pull import CHANGES, PendingPull
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import BOUNDARIES
from tests.server.serving import ServerProcess, client_of, serving, settings_file
from towline.testing.git_server import StaysSilent

pytestmark = pytest.mark.slow

STOPPABLE = "tests.server.stoppable_server"


@pytest.fixture
def pending(tenant: GitTenant) -> PendingPull:
    return PendingPull(tenant)


@pytest.fixture
def words(tenant: GitTenant, database_url: str) -> list[str]:
    """The command line of the server, of each of its lives."""
    settings: dict[str, Any] = {
        "rate_per_second": 0,
        # What a child that was forgotten would wait for.
        "limits.idle_seconds": 3600,
        "limits.total_seconds": 3600,
    }
    return ["--settings", str(settings_file(tenant, database_url, **settings)), "--port", "0"]


@contextmanager
def fetching(pending: PendingPull, words: list[str]) -> Iterator[tuple[ServerProcess, str]]:
    """A server whose run waits for the Git server's first answer."""
    pending.tenant.server.trouble = StaysSilent()
    with serving(words) as server, client_of(server) as client:
        run_id = pending.ask(client)
        while not pending.tenant.server.tally.requests:
            assert pending.look(client, run_id)["state"] in ("queued", "fetching")
        yield server, run_id
    pending.tenant.server.trouble = None


def ended(pending: PendingPull, words: list[str], run_id: str) -> dict[str, object]:
    """How the run ends under the next server."""
    with serving(words) as server, client_of(server) as client:
        run = pending.end(client, run_id)
        assert pending.attempts(client, run_id)[-1]["id"] == run["id"]
        assert server.end() == 0
    return run


def check_end(pending: PendingPull, run: dict[str, object]) -> None:
    """One report and the events of one pull, and the project as it makes it."""
    assert (run["state"], run["outcome"], run["pull"]) == ("succeeded", "changed", 2)
    assert pending.state() == pending.new
    logged, returned = pending.reports()
    assert logged == returned
    assert pending.changes(str(run["id"])) == CHANGES


@pytest.mark.parametrize("boundary", ["queued", *BOUNDARIES])
def test_the_run_of_a_killed_server_ends_once(
    boundary: str, pending: PendingPull, words: list[str]
):
    with (
        serving(words, module=STOPPABLE, WAIT_AT=boundary) as first,
        client_of(first) as client,
    ):
        run_id = pending.ask(client)
        assert first.hear("waiting")["run_id"] == run_id
        first.kill()
    assert pending.state() == (pending.new if boundary == "ended" else pending.old)
    check_end(pending, ended(pending, words, run_id))


def test_a_server_killed_while_it_fetches_leaves_no_process(pending: PendingPull, words: list[str]):
    with fetching(pending, words) as (first, run_id):
        left = descendants(first.child.pid)
        assert any("fetch_process" in command for command in left.values())
        assert any("git" in command.split()[0] for command in left.values())
        first.kill()
        await_end(left)
    assert pending.state() == pending.old
    check_end(pending, ended(pending, words, run_id))
