"""Every scenario of `fixtures/scenarios`, over every store and remote that can play it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fixtures.scenarios.loader import (
    PROJECT,
    Entry,
    Named,
    Scenario,
    Step,
    kinds_of,
    scenarios,
    tree_after,
)
from towline import (
    AssetPath,
    AssetRecord,
    AssetStore,
    PullOptions,
    Remote,
    Report,
    Resolutions,
    Status,
    TowlineError,
    plan_pull,
    pull,
    report_of,
    undo,
)
from towline.testing.plans import now

from .answers import check_error, check_report, check_trees, join
from .worlds import (
    Delta,
    DirectoryProject,
    InMemory,
    MemoryProject,
    OnDisk,
    Project,
    Repository,
    Standing,
)

PLACES = {"memory": (MemoryProject, InMemory), "directory": (DirectoryProject, OnDisk)}
PLAYED = [
    pytest.param(named, *PLACES[store], id=f"{store}-{named.name}")
    for store in PLACES
    for named in scenarios()
    if store in named.scenario.stores
]


@dataclass
class World:
    """A project, its repository, and what the repository holds now."""

    project: Project
    repository: Repository
    scope: str
    theirs: dict[str, Entry] = field(default_factory=dict)

    def commit(self, delta: Delta, *, rewrite: bool = False) -> None:
        self.theirs = tree_after(self.theirs, delta)
        self.repository.commit(self.theirs, rewrite=rewrite)


@pytest.mark.parametrize(("named", "project_of", "repository_of"), PLAYED)
def test_scenario(
    named: Named,
    project_of: Callable[[Scenario, str, Path], Project],
    repository_of: Callable[[Path], Repository],
    tmp_path: Path,
):
    scenario = named.scenario
    with (
        closing(project_of(scenario, PROJECT, tmp_path)) as project,
        closing(repository_of(tmp_path)) as repository,
    ):
        world = World(project, repository, scenario.scope or "")
        if scenario.base is not None:
            world.commit(scenario.base)
            remote = repository.remote(world.scope)
            pull(project.store, remote, options=PullOptions(allow_empty=True))
        for step in scenario.steps:
            _prepare(world, step)
            _play(world, step)


def _prepare(world: World, step: Step) -> None:
    if step.kinds is not None:
        world.project.rekind(kinds_of(step.kinds))
    if step.scope is not None:
        world.scope = step.scope
    world.project.edit(step.ours)
    if step.theirs is not None:
        world.commit(step.theirs, rewrite=step.rewrite)
    if step.forget:
        world.repository.forget()


def _where(record: AssetRecord) -> AssetPath:
    """Where the repository has a lagging asset, or had it."""
    state = record.recorded or record.base
    assert state is not None, "a lagging asset has been in the repository"
    return state.path


def _play(world: World, step: Step) -> None:
    project = world.project
    standing, fingerprint = project.standing(), project.fingerprint()
    report = None
    if step.error is not None:
        with pytest.raises(TowlineError) as caught:
            _carry_out(world, step)
        check_error(step.error, caught.value)
        assert project.fingerprint() == fingerprint
    else:
        assert step.report is not None, "a step expects a report or an error"
        report = _carry_out(world, step)
        check_report(step.report, report)
        check_trees(standing, report, project.standing())
        if report.status is Status.CONFLICTS:
            assert project.fingerprint() == fingerprint
        elif step.undo is None and not report.conflicts:
            _check_again(world, step)
    assert project.standing() == _expected(step, standing)
    lagging = list(now(project.store).lagging())
    assert sorted(str(_where(record)) for record in lagging) == sorted(step.lagging)
    if report is not None and report.status is not Status.CONFLICTS and step.undo is None:
        assert {item.asset_id for item in report.behind} == {record.id for record in lagging}


def _carry_out(world: World, step: Step) -> Report:
    if step.undo is not None:
        return undo(world.project.store, None if step.undo == "last" else step.undo)
    options = step.request.options()
    if step.request.content_merge:
        options = replace(options, content_merge=join)
    planned, report = (
        ask(world.project.store, world.repository.remote(world.scope), options)
        for ask in (_dry_run, pull)
    )
    assert report == planned, "a dry run's report is the real one's"
    return report


def _dry_run(store: AssetStore, remote: Remote, options: PullOptions) -> Report:
    return report_of(plan_pull(store, remote, options))


def _check_again(world: World, step: Step) -> None:
    """Pulling twice is up to date."""
    remote = world.repository.remote(world.scope)
    options = replace(step.request.options(), resolutions=Resolutions())
    report = _dry_run(world.project.store, remote, options)
    assert (report.status, report.listed) == (Status.UP_TO_DATE, ())


def _expected(step: Step, standing: Standing) -> Standing:
    """What stands afterwards; what stood before, where the step does not say."""
    if step.stands is None:
        return standing
    return {
        path: ((entry.content or "").encode(), entry.executable)
        for path, entry in step.stands.items()
    }
