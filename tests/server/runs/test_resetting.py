"""Runs that give up what was changed here, pull one revision, or check out another ref."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.inline import open_inline
from towline.errors import InvalidValue
from towline.model import AssetPath, Digest, ThreeWay
from towline.options import OnConflict, Resolutions, Side
from towline.resolutions import SavedResolution
from towline.testing.plans import now
from towline.undo import undo
from towline_server.projects.domain import Binding, Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import Run, RunMode, RunRequest
from towline_server.runs.service import Runs
from towline_server.runs.states import Outcome, RunState


@pytest.fixture
def runs(tenant: GitTenant) -> Runs:
    return open_inline(tenant.database, tenant.sealer, tenant.cache_dir)


@pytest.fixture
def project(tenant: GitTenant, runs: Runs) -> Project:
    """A project that was pulled once."""
    tenant.commit(a=b"1", b=b"2")
    made = tenant.project()
    runs.request(made.id)
    return made


def run(runs: Runs, project: Project, request: RunRequest) -> Run:
    return runs.get(runs.request(project.id, request).id)


def move(tenant: GitTenant, project: Project, old: str, new: str) -> None:
    store = tenant.store(project)
    found = now(store).at(AssetPath(old))
    assert found is not None
    store.move(found.id, AssetPath(new))


def test_a_reset_returns_what_was_moved(tenant: GitTenant, runs: Runs, project: Project):
    move(tenant, project, "a", "c")
    ended = run(runs, project, RunRequest(reset=True))
    assert ended.outcome is Outcome.CHANGED
    assert tenant.contents(project) == {"a": b"1", "b": b"2"}


def test_a_reset_after_another_asset_took_the_place(
    tenant: GitTenant, runs: Runs, project: Project
):
    move(tenant, project, "a", "c")
    tenant.edit(project, "a", b"another")
    ended = run(runs, project, RunRequest(reset=True))
    assert ended.state is RunState.SUCCEEDED
    assert tenant.contents(project) == {"a": b"1", "b": b"2", "c": b"1"}


def test_a_reset_settles_conflicts_whatever_the_policy(
    tenant: GitTenant, runs: Runs, project: Project
):
    tenant.edit(project, "new", b"ours")
    tenant.commit(a=b"1", b=b"2", new=b"theirs")
    ended = run(runs, project, RunRequest(reset=True, on_conflict=OnConflict.REFUSE))
    assert ended.outcome is Outcome.CHANGED
    assert tenant.contents(project) == {"a": b"1", "b": b"2", "new": b"theirs"}


def test_a_reset_uses_no_saved_resolution(tenant: GitTenant, runs: Runs, project: Project):
    tenant.edit(project, "new", b"ours")
    store = tenant.store(project)
    ours = now(store).at(AssetPath("new"))
    assert ours is not None
    assert ours.ours is not None
    states = ThreeWay(None, ours.ours, replace(ours.ours, digest=Digest.of(b"theirs")))
    saved = SavedResolution(asset_id=ours.id, states=states, side=Side.OURS)
    store.save_resolutions([saved])
    tenant.commit(a=b"1", b=b"2", new=b"theirs")
    run(runs, project, RunRequest(reset=True))
    assert tenant.contents(project) == {"a": b"1", "b": b"2", "new": b"theirs"}


def test_a_reset_and_resolutions_exclude_each_other():
    with pytest.raises(InvalidValue):
        RunRequest(reset=True, resolutions=Resolutions(use_ours=frozenset({"x"})))


def test_what_a_clean_run_gave_up_can_be_undone(tenant: GitTenant, runs: Runs, project: Project):
    tenant.edit(project, "local", b"ours")
    tenant.edit(project, "new", b"ours")
    before = tenant.contents(project)
    tenant.commit(a=b"1", b=b"2", new=b"theirs")
    ended = run(runs, project, RunRequest(clean=True))
    assert ended.report is not None
    gone = [(item["path"], item["discarded"]) for item in ended.report["deleted"]]
    assert gone == [("local", True)]
    assert [item["path"] for item in ended.report["overwritten"]] == ["new"]
    assert tenant.contents(project) == {"a": b"1", "b": b"2", "new": b"theirs"}
    undo(tenant.store(project))
    assert tenant.contents(project) == before


def test_a_clean_run_that_is_refused_gives_nothing_up(
    tenant: GitTenant, runs: Runs, project: Project
):
    tenant.edit(project, "a", b"ours")
    tenant.edit(project, "local", b"ours")
    before = tenant.contents(project)
    tenant.commit(a=b"theirs", b=b"2")
    ended = run(runs, project, RunRequest(clean=True))
    assert ended.state is RunState.FAILED
    assert tenant.contents(project) == before


def test_dry_runs_give_nothing_up(tenant: GitTenant, runs: Runs, project: Project):
    tenant.edit(project, "a", b"ours")
    tenant.edit(project, "local", b"ours")
    before = tenant.contents(project)
    request = RunRequest(mode=RunMode.DRY_RUN, reset=True, clean=True)
    ended = run(runs, project, request)
    assert ended.report is not None
    assert [item["path"] for item in ended.report["deleted"]] == ["local"]
    assert [item["path"] for item in ended.report["overwritten"]] == ["a"]
    assert tenant.contents(project) == before


def test_one_revision_is_pulled_and_pulled_again_by_a_retry(
    tenant: GitTenant, runs: Runs, project: Project
):
    first = tenant.repository.tip("main")
    tenant.commit(a=b"3")
    pinned = run(runs, project, RunRequest(revision=first))
    assert (pinned.target_revision, pinned.outcome) == (first, Outcome.UNCHANGED)
    assert pinned.target_committed_at is not None
    again = runs.get(runs.retry(pinned.id).id)
    assert again.target_revision == first
    assert tenant.contents(project) == {"a": b"1", "b": b"2"}


def bound(tenant: GitTenant, project: Project) -> Binding | None:
    with tenant.database.reading() as session:
        found = Projects(session).get(project.id)
    assert found is not None
    return found.binding


@pytest.mark.parametrize("content", [b"1", b"3"], ids=["nothing", "something"])
def test_a_checkout_binds_with_the_pull(
    tenant: GitTenant, runs: Runs, project: Project, content: bytes
):
    tenant.repository.commit({"a": content, "b": b"2"}, ref="other")
    wanted = Binding(connection_id=tenant.connection_id, ref="heads/other")
    ended = run(runs, project, RunRequest(checkout=wanted))
    assert ended.state is RunState.SUCCEEDED
    assert (bound(tenant, project), tenant.contents(project)["a"]) == (wanted, content)


@pytest.mark.parametrize("mode", [RunMode.DRY_RUN, RunMode.INCREMENTAL])
def test_a_checkout_that_does_not_come_to_its_end_binds_nothing(
    tenant: GitTenant, runs: Runs, project: Project, mode: RunMode
):
    before = bound(tenant, project)
    ref = "heads/none" if mode is RunMode.INCREMENTAL else "heads/other"
    tenant.repository.commit({"a": b"3"}, ref="other")
    wanted = Binding(connection_id=tenant.connection_id, ref=ref)
    run(runs, project, RunRequest(mode=mode, checkout=wanted))
    assert bound(tenant, project) == before
