"""One run of a kind at a time, for who wants it so."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.databases import open_database
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.testing.git_server import GitServer
from towline_server.errors import KindInProgress
from towline_server.projects.tables import ProjectRow
from towline_server.runs.attempts import refuse_second
from towline_server.runs.domain import RunMode, RunRequest
from towline_server.runs.listing import RunFilter


def test_of_many_who_ask_at_once_one_gets_a_run(tenant: GitTenant):
    project = tenant.project()
    runs = Runner(tenant).runs
    together = threading.Barrier(8)

    def ask(_: int) -> str | None:
        together.wait()
        try:
            runs.request_only_one(project.id, "rule")
        except KindInProgress as error:
            return error.run_id
        return None

    with ThreadPoolExecutor(8) as pool:
        refused_for = list(pool.map(ask, range(8)))
    [made] = runs.page(RunFilter(project_id=project.id)).runs
    assert sorted(refused_for, key=str) == sorted([None, *[str(made.id)] * 7], key=str)


@pytest.mark.services
def test_who_asks_holds_the_project_meanwhile(
    postgres_url: str, git_server: GitServer, tmp_path: Path
):
    database = open_database(postgres_url)
    project = GitTenant(database, git_server, tmp_path).project()
    now = select(ProjectRow.id).where(ProjectRow.id == project.id).with_for_update(nowait=True)

    def lock() -> None:
        with database.writing() as session:
            session.execute(now)

    with database.writing() as session:
        refuse_second(session, project.id, "rule")
        with ThreadPoolExecutor() as elsewhere, pytest.raises(OperationalError):
            elsewhere.submit(lock).result()
    database.close()


def test_what_is_of_another_kind_or_dry_is_no_hindrance(tenant: GitTenant):
    project, other = tenant.project(), tenant.project()
    runs = Runner(tenant).runs
    runs.request(project.id, RunRequest(kind="task"))
    runs.request(project.id, RunRequest(kind="rule", mode=RunMode.DRY_RUN))
    runs.request(project.id)
    runs.request(other.id, RunRequest(kind="rule"))
    made = runs.request_only_one(project.id, "rule")
    with pytest.raises(KindInProgress, match=str(made.id)):
        runs.request_only_one(project.id, "rule")
    runs.cancel(made.id)
    assert runs.request_only_one(project.id, "rule").id != made.id
