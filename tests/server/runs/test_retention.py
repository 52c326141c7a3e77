"""What is deleted for its age, and what stays."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from tests.server.sql_log import statements
from towline.errors import Cancelled, RemoteUnavailable
from towline.plan import Plan
from towline.testing.plans import now
from towline_server.db.clock import database_now
from towline_server.metrics import REGISTRY
from towline_server.projects.asset_events import want_events
from towline_server.projects.asset_tables import PullRow
from towline_server.projects.domain import Project
from towline_server.projects.log import History
from towline_server.projects.tables import ProjectRow
from towline_server.runs import retention
from towline_server.runs.completion import failed, write_completion
from towline_server.runs.domain import RunRequest
from towline_server.runs.fetching import Repositories
from towline_server.runs.listing import RunFilter
from towline_server.runs.plans import Plans
from towline_server.runs.retention import Retention
from towline_server.runs.tables import find_row

OLD = timedelta(days=100)


@pytest.fixture
def old(runner: Runner) -> Retention:
    """What is deleted a hundred days from now."""
    return Retention(runner.tenant.database, now=lambda _: datetime.now(UTC) + OLD)


def ended(runner: Runner, project: Project, kind: str | None = None, *, days: int = 0) -> UUID:
    """A run that was cancelled so many days ago."""
    run = runner.runs.request(project.id, RunRequest(kind=kind))
    with runner.tenant.database.writing() as session:
        row = find_row(session, run.id, lock=True)
        write_completion(session, row, failed(Cancelled()), database_now(session))
        row.completed_at = datetime.now(UTC) - timedelta(days=days)
    return run.id


def left(runner: Runner, project: Project) -> set[UUID]:
    return {run.id for run in runner.runs.page(RunFilter(project_id=project.id), limit=100).runs}


def deleted(what: str) -> float:
    return REGISTRY.get_sample_value("towline_deleted_total", {"what": what}) or 0


def test_the_last_run_of_each_sort_stays(runner: Runner, project: Project, old: Retention):
    for days in (3, 2):
        ended(runner, project, days=days)
        ended(runner, project, "rule", days=days)
    last, last_rule = ended(runner, project), ended(runner, project, "rule", days=1)
    waiting = runner.runs.request(project.id).id
    before = deleted("runs")
    Retention(runner.tenant.database).prune()
    assert len(left(runner, project)) == 7, "they are not old yet"
    old.prune()
    assert left(runner, project) == {last, last_rule, waiting}
    assert deleted("runs") - before == 4


def test_attempts_go_together_and_what_goes_on_stays(
    runner: Runner, project: Project, old: Retention
):
    lost = runner.runs.request(project.id)
    with runner.paused(lost.id, "comparing"):
        runner.lose()
    following = runner.runs.get(lost.id).attempts.next_id
    assert following is not None
    old.prune()
    assert left(runner, project) == {lost.id, following}
    runner.worker("two").execute(following)
    last = runner.runs.request(project.id)
    runner.worker("two").execute(last.id)
    old.prune()
    assert left(runner, project) == {last.id}


def test_children_go_after_their_parent(runner: Runner, project: Project, old: Retention):
    def pulled() -> set[UUID]:
        parent = runner.runs.request_fan_out(project.id, ["rule", "file"])
        runner.work()
        return {parent.id, *(child.id for child in runner.children(parent.id))}

    first, second = pulled(), pulled()
    assert len(first) == 3
    old.prune()
    assert len(left(runner, project) & first) == 2
    old.prune()
    assert left(runner, project) == second


def test_the_revision_that_was_fetched_last_stays_known(
    runner: Runner, project: Project, old: Retention
):
    first, second = (runner.runs.request(project.id) for _ in range(2))
    runner.work()

    def fail(*_: object) -> None:
        raise RemoteUnavailable(url="http://git.example")

    failing = Runner(runner.tenant, fetcher=fail)  # type: ignore[arg-type] # it raises
    for _ in range(2):
        run = failing.runs.request(project.id)
        failing.worker().execute(run.id)
        failing.runs.cancel(failing.runs.get(run.id).attempts.next_id or run.id)
    old.prune()
    assert left(runner, project) & {first.id, second.id} == {second.id}


def test_it_is_done_a_few_at_a_time(
    runner: Runner, project: Project, old: Retention, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "_TOGETHER", 2)
    for days in range(7, 0, -1):
        ended(runner, project, days=days)
    with statements(runner.tenant.database) as seen:
        old.prune()
    assert len(left(runner, project)) == 1
    assert sum("DELETE FROM runs" in each for each in seen) == 4


def test_a_plan_is_stored_for_a_while(runner: Runner, project: Project, old: Retention):
    plans = Plans(runner.tenant.database, runner.repositories, runner.fetches)
    made = plans.make(project.id, RunRequest())
    Retention(runner.tenant.database).prune()
    assert isinstance(plans.get(project.id, made.id).plan, Plan)
    before = deleted("plans")
    old.prune()
    assert deleted("plans") - before == 1


def test_a_pull_that_can_be_undone_stays(tenant: GitTenant, runner: Runner, project: Project):
    with tenant.database.writing() as session:
        session.execute(update(ProjectRow).values(keep=1))
    for number in range(3):
        tenant.commit(a=b"%d" % number)
        runner.runs.request(project.id)
        runner.work()
    years = timedelta(days=400)
    Retention(tenant.database, now=lambda _: datetime.now(UTC) + years).prune()
    with tenant.database.reading() as session:
        found, total = History(session, project.id).page(limit=10)
        assert session.scalar(select(func.count()).select_from(PullRow)) == total == 1
    assert (found[0].number, found[0].is_retained) == (3, True)
    assert now(tenant.store(project)).state().base is not None


def test_an_event_is_stored_for_a_while(
    tenant: GitTenant, runner: Runner, project: Project, old: Retention
):
    another = tenant.project()
    with tenant.database.writing() as session:
        for each in (project, another):
            want_events(session, each.id, uuid4(), ["file"])
    for each in (project, another):
        runner.runs.request(each.id)
    runner.work()
    before = deleted("events")
    Retention(tenant.database).prune()
    assert deleted("events") == before, "they are not old yet"
    old.prune()
    assert deleted("events") - before == 4
    assert tenant.contents(project) == {"a": b"1", "b": b"1"}


def test_what_was_fetched_goes_when_nothing_reads_it(
    tenant: GitTenant, runner: Runner, project: Project
):
    runner.runs.request(project.id)
    runner.work()
    repository = runner.repositories.of(project)
    retaining = Repositories(tenant.database, tenant.sealer, tenant.cache_dir)
    long_ago = datetime.now(UTC) - timedelta(days=31)
    for folder in (repository.cache, repository.cache / "objects/pack"):
        os.utime(folder, (long_ago.timestamp(),) * 2)
    repository.cached().close()
    retaining.prune()
    assert repository.cache.is_dir(), "it was read now"
    os.utime(repository.cache, (long_ago.timestamp(),) * 2)
    before = deleted("caches")
    retaining.prune()
    assert (repository.cache.exists(), deleted("caches") - before) == (False, 1)
    tenant.commit(a=b"2")
    again = runner.runs.request(project.id)
    runner.work()
    assert runner.runs.get(again.id).error is None
