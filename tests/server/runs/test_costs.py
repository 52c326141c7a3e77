"""What a run costs its database, and that one which finds nothing new reports what others do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from tests.databases import open_database
from tests.server.runs.git_tenant import KINDS, GitTenant
from tests.server.runs.runner import Runner
from tests.statements import Statements, counting
from towline.kinds import Kind, Kinds
from towline.model import AssetPath
from towline.options import OnConflict
from towline.report import Status
from towline.testing.git_server import GitServer
from towline_server.projects.asset_events import want_events
from towline_server.projects.domain import Binding, Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import BackendName, Run, RunMode, RunRequest
from towline_server.runs.round_robin import Excluded
from towline_server.runs.states import Outcome
from towline_server.runs.tables import RunRow

FILES = {f"f{number}": b"1" for number in range(200)} | {"folder__x": b"1"}
PULL = RunRequest()


@dataclass
class Pulled:
    """A project of many assets that was pulled, and its runs."""

    tenant: GitTenant
    runner: Runner
    project: Project

    def commit(self, **changed: bytes) -> None:
        self.tenant.commit(**{**FILES, **changed})

    def run(self, request: RunRequest = PULL) -> Run:
        """A run that has ended."""
        run = self.runner.runs.request(self.project.id, request)
        self.runner.worker().execute(run.id)
        return self.runner.runs.get(run.id)

    def counted(self, request: RunRequest = PULL) -> tuple[Run, Statements]:
        """A run, from the look that finds it to its end, and what the database was sent."""
        asked, worker = self.runner.runs.request(self.project.id, request), self.runner.worker()
        with counting(self.tenant.database) as statements:
            found = worker.next_in_turn(BackendName.NATIVE, Excluded())
            assert found is not None
            lease = worker.take_next(RunRow.id == found.run_id)
            assert lease is not None
            worker.execute_leased(lease)
        return self.runner.runs.get(asked.id), statements


@pytest.fixture
def pulled(database_url: str, git_server: GitServer, tmp_path: Path) -> Iterator[Pulled]:
    # As a server opens it: PostgreSQL is sent a bound with each transaction that writes.
    database = open_database(database_url, idle_seconds=60)
    tenant = GitTenant(database, git_server, tmp_path)
    made = Pulled(tenant, Runner(tenant), tenant.project())
    made.commit()
    assert made.run().outcome is Outcome.CHANGED
    yield made
    database.close()


def test_a_run_that_finds_nothing_new(pulled: Pulled):
    run, statements = pulled.counted()
    assert run.outcome is Outcome.UNCHANGED
    assert len(statements.sent) <= 11
    assert statements.transactions <= 3


def test_a_run_that_pulls_two_changed_assets(pulled: Pulled):
    pulled.commit(f3=b"2", f7=b"2")
    run, statements = pulled.counted()
    assert (run.outcome, run.pull) == (Outcome.CHANGED, 2)
    assert len(statements.sent) <= 24
    assert statements.transactions <= 6


def test_events_cost_a_statement_more(pulled: Pulled):
    pulled.commit(f3=b"2", f7=b"2")
    _, before = pulled.counted()
    with pulled.tenant.database.writing() as session:
        want_events(session, pulled.project.id, uuid4(), ["file"])
    pulled.commit(f3=b"3", f7=b"3")
    _, statements = pulled.counted()
    assert len(statements.sent) == len(before.sent) + 1
    assert statements.transactions == before.transactions


def test_a_run_that_finds_nothing_new_ends_as_one_that_compares(pulled: Pulled):
    changed = pulled.run(RunRequest(mode=RunMode.FULL_REFRESH))
    for mode in (RunMode.INCREMENTAL, RunMode.DRY_RUN):
        run, _ = pulled.counted(RunRequest(mode=mode))
        assert (run.outcome, run.pull, run.progress) == (Outcome.UNCHANGED, None, 100)
        assert run.report == changed.report
        assert run.target_revision == run.base_revision == changed.target_revision
        assert run.target_committed_at == run.base_committed_at == changed.target_committed_at


def conflicting(pulled: Pulled) -> RunRequest:
    """A conflict that was skipped returns with each pull."""
    pulled.tenant.edit(pulled.project, "f1", b"ours")
    pulled.commit(f1=b"theirs")
    skip = RunRequest(on_conflict=OnConflict.SKIP)
    assert pulled.run(skip).outcome is Outcome.PARTIAL
    return skip


def of_other_kinds(pulled: Pulled) -> RunRequest:
    """What is an asset was changed since."""
    with pulled.tenant.database.writing() as session:
        kinds = Kinds((*KINDS.kinds[:2], Kind(name="file", globs=("f1*",))))
        Projects(session).change(pulled.project.id, kinds=kinds)
    return PULL


def of_another_folder(pulled: Pulled) -> RunRequest:
    """The project was bound to another folder of the same commit."""
    with pulled.tenant.database.writing() as session:
        binding = Binding(connection_id=pulled.tenant.connection_id, scope="folder")
        Projects(session).bind(pulled.project.id, binding)
    return PULL


def resetting(pulled: Pulled) -> RunRequest:
    """Local edits are discarded, though nothing is new."""
    pulled.tenant.edit(pulled.project, "f1", b"ours")
    return RunRequest(reset=True)


def cleaning(pulled: Pulled) -> RunRequest:
    """Local assets are deleted, though nothing is new."""
    pulled.tenant.store(pulled.project).put(AssetPath("mine"), b"ours")
    return RunRequest(clean=True)


@pytest.mark.parametrize(
    "prepare", [conflicting, of_other_kinds, of_another_folder, resetting, cleaning]
)
def test_the_same_commit_may_have_more_to_do(
    prepare: Callable[[Pulled], RunRequest], pulled: Pulled
):
    run = pulled.run(prepare(pulled))
    assert run.outcome in (Outcome.CHANGED, Outcome.PARTIAL)
    assert run.report is not None
    assert run.report["status"] != Status.UP_TO_DATE
