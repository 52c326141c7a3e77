"""Runs that pull a history window by window, each in a pull of its own."""

from __future__ import annotations

import random
from collections.abc import Sequence
from uuid import UUID

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.model import Revision
from towline.options import Selection
from towline.remotes.windows import Window
from towline_server.projects.domain import Project
from towline_server.runs import parents, windows
from towline_server.runs.domain import Lease, Run, RunMode, RunRequest, WindowCount
from towline_server.runs.states import Outcome, ResultClass, RunState
from towline_server.runs.tables import RunRow

EACH = RunRequest(window=Window(commits=1))


@pytest.fixture
def pulled(runner: Runner, project: Project) -> Project:
    """A project of two assets, pulled once."""
    runner.runs.request(project.id)
    runner.work()
    return project


def commit(tenant: GitTenant, *numbers: int) -> list[Revision]:
    """A commit for each number, which is the content of `a`, on top of the branch."""
    return [tenant.commit(a=b"%d" % number, b=b"1") for number in numbers]


def asked(runner: Runner, project: Project, request: RunRequest = EACH) -> Run:
    """A run by windows, once it has ended."""
    run = runner.runs.request(project.id, request)
    runner.work()
    return runner.runs.get(run.id)


def steps(runner: Runner, run: Run | UUID) -> list[tuple[Revision | None, Revision | None]]:
    """What each child of a run pulled."""
    children = runner.children(run.id if isinstance(run, Run) else run)
    return [(child.base_revision, child.target_revision) for child in children]


def revisions(tenant: GitTenant, project: Project, count: int) -> list[Revision | None]:
    """The revisions of a project's last pulls, the oldest first."""
    return [each.summary.revision for each in tenant.store(project).log()[:count]][::-1]


def first_parents(tenant: GitTenant, base: Revision) -> list[str]:
    """What git lists."""
    tenant.repository.flush()
    arguments = ("rev-list", "--first-parent", "--reverse", f"{base}..main")
    return tenant.repository.git(*arguments).decode().split()


def head(tenant: GitTenant) -> Revision:
    tip = tenant.repository.tip("main")
    assert tip is not None
    return tip


# --- what is pulled -----------------------------------------------------------------------------


def test_each_commit_is_a_pull_of_its_own_with_one_fetch(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    base, before = head(tenant), runner.fetches.count
    made = commit(tenant, 2, 3, 4)
    run = asked(runner, pulled)
    assert (run.state, run.result_class, run.progress) == ("succeeded", "success", 100)
    assert steps(runner, run) == list(zip([base, *made], made, strict=False))
    assert runner.fetches.count == before + 1
    assert revisions(tenant, pulled, 3) == made == first_parents(tenant, base)
    assert run.windows == WindowCount(pulled=3, left=0)
    assert (run.target_revision, tenant.contents(pulled)) == (made[-1], {"a": b"4", "b": b"1"})
    assert run.report is not None
    listed = run.report["updated"]
    assert [(each["path"], run.report["base"], run.report["revision"]) for each in listed] == [
        ("a", base, made[-1])
    ]
    assert {child.batch_id for child in runner.children(run.id)} == {run.batch_id}


def test_of_a_merge_the_first_parent_counts(runner: Runner, tenant: GitTenant, pulled: Project):
    base = head(tenant)
    side = [
        tenant.repository.commit({"a": b"1", "c": b"%d" % each}, ref="side", parents=[base])
        for each in (1, 2)
    ]
    [main] = commit(tenant, 2)
    merge = tenant.repository.commit(
        {"a": b"2", "b": b"1", "c": b"2"}, parents=[main, side[-1]], ref="main"
    )
    commit(tenant, 3)
    run = asked(runner, pulled)
    ends = [end for _, end in steps(runner, run)]
    assert ends == first_parents(tenant, base) == [main, merge, head(tenant)]


@pytest.mark.parametrize(
    ("window", "sizes"),
    [
        (Window(commits=2), [2, 2, 1]),
        (Window(commits=9), [5]),
        # Times in seconds after the base: 10, 20, 70, 15 (a clock that was set back), 400.
        (Window(seconds=10), [2, 1, 1, 1]),
        (Window(seconds=60), [4, 1]),
    ],
)
def test_a_window_is_of_commits_or_of_seconds(
    window: Window, sizes: Sequence[int], runner: Runner, tenant: GitTenant, pulled: Project
):
    start = 1_700_000_000
    made = [
        tenant.repository.commit({"a": b"%d" % at, "b": b"1"}, time=start + at)
        for at in (10, 20, 70, 15, 400)
    ]
    run = asked(runner, pulled, RunRequest(window=window))
    ends = [made[sum(sizes[: index + 1]) - 1] for index in range(len(sizes))]
    assert [end for _, end in steps(runner, run)] == ends


def test_nothing_new_is_one_child_that_changes_nothing(runner: Runner, pulled: Project):
    run = asked(runner, pulled)
    assert (run.outcome, run.result_class) == (Outcome.UNCHANGED, ResultClass.NO_CHANGE)
    assert (len(runner.children(run.id)), run.windows) == (1, WindowCount(pulled=0, left=0))


def test_a_first_pull_is_one_window(runner: Runner, tenant: GitTenant, project: Project):
    commit(tenant, 2, 3)
    run = asked(runner, project)
    assert steps(runner, run) == [(None, head(tenant))]


def test_a_rewritten_history_is_one_window(runner: Runner, tenant: GitTenant, pulled: Project):
    base = head(tenant)
    tenant.repository.set_ref("main", None)
    commit(tenant, 7, 8)
    run = asked(runner, pulled)
    assert steps(runner, run) == [(base, head(tenant))]
    assert tenant.contents(pulled)["a"] == b"8"


def test_a_dry_run_compares_with_the_last_commit(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    made = commit(tenant, 2, 3)
    run = asked(runner, pulled, RunRequest(window=Window(commits=1), mode=RunMode.DRY_RUN))
    assert [end for _, end in steps(runner, run)] == made[-1:]
    assert (run.result_class, run.windows) == ("success", WindowCount(pulled=0, left=None))
    assert tenant.contents(pulled)["a"] == b"1"


def test_what_a_run_is_limited_to_and_what_it_leaves_out_moves_on_as_well(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    """Commits that change nothing of what is pulled are windows, too."""
    only = Selection(kinds=frozenset({"rule"}))
    tenant.commit(a=b"2", b=b"1")
    tenant.commit(a=b"2", b=b"1", rules__r=b"1")
    run = asked(runner, pulled, RunRequest(window=Window(commits=1), only=only))
    assert (run.result_class, run.windows) == ("success", WindowCount(pulled=2, left=0))
    assert tenant.contents(pulled) == {"a": b"1", "b": b"1", "rules/r": b"1"}
    full = asked(runner, pulled, RunRequest(window=Window(commits=1), mode=RunMode.FULL_REFRESH))
    assert (full.state, tenant.contents(pulled)["a"]) == (RunState.SUCCEEDED, b"2")


@pytest.mark.parametrize("seed", [1, 2])
def test_windows_end_where_one_pull_ends_and_git_does(
    seed: int, runner: Runner, tenant: GitTenant, pulled: Project
):
    """Files come, change, move and go; edits here are of files that no commit touches."""
    chance, names = random.Random(seed), [f"rules/{name}" for name in "abcdef"]
    whole, files = tenant.project(), {"a": b"1", "b": b"1"}
    for project in (pulled, whole):
        asked(runner, project, RunRequest())
        tenant.edit(project, "b", b"ours")
    for number in range(8):
        name, other = chance.sample(names, 2)
        if name in files and chance.random() < 0.6:
            content = files.pop(name)
            files |= {other: content} if chance.random() < 0.5 else {}
        else:
            files[name] = b"%d" % number
        tenant.repository.commit(files, time=1_700_000_000 + number)
    run = asked(runner, pulled, RunRequest(window=Window(commits=chance.choice([1, 2]))))
    once = asked(runner, whole, RunRequest())
    assert (run.state, once.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED)
    assert tenant.contents(pulled) == tenant.contents(whole) == {**files, "b": b"ours"}


def test_the_reports_of_the_windows_become_one(runner: Runner, tenant: GitTenant, pulled: Project):
    """As one pull of the last commit reports it."""
    tenant.commit(a=b"2", b=b"1", new=b"1", passing=b"1")
    tenant.commit(a=b"3", new=b"2")
    tenant.commit(a=b"3", b=b"2", new=b"3")
    dry = asked(runner, pulled, RunRequest(mode=RunMode.DRY_RUN))
    run = asked(runner, pulled)
    assert run.report is not None
    assert dry.report is not None
    for name in ("created", "updated", "overwritten", "deleted", "ignored"):
        paths = [[each["path"] for each in report[name]] for report in (run.report, dry.report)]
        assert paths[0] == paths[1], name
    assert run.counts == dry.counts


# --- where it stops -----------------------------------------------------------------------------


def test_a_conflict_ends_it_and_the_next_run_goes_on_behind_it(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    made = [tenant.commit(a=b"1", b=b"2"), *commit(tenant, 5, 6, 7)]
    tenant.edit(pulled, "a", b"ours")
    run = asked(runner, pulled)
    assert (run.state, run.result_class) == ("failed", "partial_success")
    assert (run.reason_code, run.windows) == ("unresolved_conflicts", WindowCount(pulled=1, left=3))
    assert [end for _, end in steps(runner, run)] == made[:2]
    assert tenant.contents(pulled) == {"a": b"ours", "b": b"2"}
    assert run.report is not None
    assert [each["path"] for each in run.report["updated"]] == ["b"]
    assert len(run.report["conflicts"]) == 1
    again = asked(runner, pulled)
    assert (again.result_class, again.windows) == ("conflict", WindowCount(pulled=0, left=3))
    tenant.edit(pulled, "a", b"1")
    last = asked(runner, pulled)
    assert last.state == RunState.SUCCEEDED
    assert revisions(tenant, pulled, 4) == made


def test_no_more_than_so_many_are_pulled_and_the_next_run_goes_on(
    runner: Runner, tenant: GitTenant, pulled: Project, monkeypatch: pytest.MonkeyPatch
):
    assert windows.MOST_WINDOWS == 1_000
    monkeypatch.setattr(parents, "MOST_WINDOWS", 2)
    made = commit(tenant, 2, 3, 4)
    run = asked(runner, pulled)
    assert (run.state, run.windows) == (RunState.SUCCEEDED, WindowCount(pulled=2, left=1))
    assert revisions(tenant, pulled, 2) == made[:2]
    rest = asked(runner, pulled)
    assert (rest.windows, revisions(tenant, pulled, 3)) == (WindowCount(pulled=1, left=0), made)


@pytest.mark.parametrize("where", ["waiting", "applying"])
def test_a_cancel_between_and_in_windows_ends_it(
    where: str, runner: Runner, tenant: GitTenant, pulled: Project
):
    made = commit(tenant, 2, 3, 4)
    run = runner.runs.request(pulled.id, EACH)
    runner.worker().execute(runner.native.submitted.pop(0))
    second = runner.children(run.id)[1]
    if where == "applying":
        with runner.paused(second.id, "applying"):
            cancelling = runner.runs.cancel(run.id, by="me", reason="enough")
            assert cancelling.is_cancelling
    else:
        runner.runs.cancel(run.id, by="me", reason="enough")
    runner.work_windows()
    ended = runner.runs.get(run.id)
    assert (ended.state, ended.result_class) == ("cancelled", "cancelled")
    assert (ended.windows, len(runner.children(run.id))) == (WindowCount(pulled=1, left=2), 2)
    assert ended.cancellation is not None
    assert ended.cancellation.reason == "enough"
    assert revisions(tenant, pulled, 1) == made[:1]
    again = runner.runs.retry(run.id)
    runner.work()
    assert runner.runs.get(again.id).windows == WindowCount(pulled=2, left=0)
    assert revisions(tenant, pulled, 3) == made


def test_a_cancel_that_comes_as_a_window_ends_adds_no_other(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    commit(tenant, 2, 3)
    run = runner.runs.request(pulled.id, EACH)
    [first] = runner.children(run.id)
    with runner.tenant.database.writing() as session:
        session.get_one(RunRow, run.id).cancel_requested_at = run.created_at
    runner.worker().execute(first.id)
    ended = runner.runs.get(run.id)
    assert (ended.state, ended.result_class) == ("cancelled", "cancelled")
    assert ended.windows == WindowCount(pulled=1, left=1)
    assert ended.error is not None


def test_a_window_whose_executor_is_lost_is_pulled_by_another_attempt(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    made = commit(tenant, 2, 3, 4)
    run = runner.runs.request(pulled.id, EACH)
    runner.worker().execute(runner.native.submitted.pop(0))
    second = runner.children(run.id)[1]
    assert isinstance(runner.leases.take(second.id, "dead"), Lease)
    runner.lose()
    assert not runner.runs.get(run.id).is_terminal
    runner.work()
    ended = runner.runs.get(run.id)
    assert (ended.state, ended.windows) == (RunState.SUCCEEDED, WindowCount(pulled=3, left=0))
    assert revisions(tenant, pulled, 3) == made
    assert [child.attempts.number for child in runner.children(run.id)] == [1, 2, 1]


def test_windows_are_pulled_before_what_was_requested_since(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    made = commit(tenant, 2, 3)
    run = runner.runs.request(pulled.id, EACH)
    other = runner.runs.request(pulled.id)
    worker = runner.worker()
    order: list[UUID] = []
    while (lease := worker.take_next()) is not None:
        order.append(lease.run_id)
        worker.execute_leased(lease)
    first, second = runner.children(run.id)
    assert order == [first.id, second.id, other.id]
    assert revisions(tenant, pulled, 2) == made


def test_what_another_run_pulled_meanwhile_is_not_taken_back(
    runner: Runner, tenant: GitTenant, pulled: Project
):
    made = commit(tenant, 2, 3, 4)
    run = runner.runs.request(pulled.id, EACH)
    runner.worker().execute(runner.native.submitted.pop(0))
    other = runner.runs.request(pulled.id)
    runner.worker().execute(other.id)
    runner.work_windows()
    ended = runner.runs.get(run.id)
    assert (ended.state, ended.windows) == (RunState.SUCCEEDED, WindowCount(pulled=1, left=0))
    assert tenant.contents(pulled)["a"] == b"4"
    assert revisions(tenant, pulled, 2) == [made[0], made[-1]]
