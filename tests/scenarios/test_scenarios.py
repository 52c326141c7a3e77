"""Every scenario of `fixtures/scenarios`, over every store and remote that can play it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from fixtures.scenarios.loader import (
    PROJECT,
    Named,
    Scenario,
    ScenarioEntry,
    ScenarioStep,
    kinds_of,
    scenarios,
    tree_after,
)
from tests.edited import EditedProject, Files
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

from .expectations import check_error, check_files, check_report, join
from .repositories import PLACES, Delta, Repository, edit

PLAYED = [
    pytest.param(named, *PLACES[store], id=f"{store}-{named.name}")
    for store in PLACES
    for named in scenarios()
    if store in named.scenario.stores
]


@dataclass
class Played:
    """A project, its repository, and what the repository holds now."""

    project: EditedProject
    repository: Repository
    scope: str
    theirs: dict[str, ScenarioEntry] = field(default_factory=dict)

    def commit(self, delta: Delta, *, rewrite: bool = False) -> None:
        self.theirs = tree_after(self.theirs, delta)
        self.repository.commit(self.theirs, rewrite=rewrite)


@pytest.mark.parametrize(("named", "project_of", "repository_of"), PLAYED)
def test_scenario(
    named: Named,
    project_of: Callable[[Scenario, str, Path], EditedProject],
    repository_of: Callable[[Path], Repository],
    tmp_path: Path,
):
    scenario = named.scenario
    with (
        closing(project_of(scenario, PROJECT, tmp_path)) as project,
        closing(repository_of(tmp_path)) as repository,
    ):
        played = Played(project, repository, scenario.scope or "")
        if scenario.base is not None:
            played.commit(scenario.base)
            remote = repository.remote(played.scope)
            pull(project.store, remote, options=PullOptions(allow_empty=True))
        for step in scenario.steps:
            _prepare(played, step)
            _play(played, step)


def _prepare(played: Played, step: ScenarioStep) -> None:
    if step.kinds is not None:
        played.project.set_kinds(kinds_of(step.kinds))
    if step.scope is not None:
        played.scope = step.scope
    edit(played.project, step.ours)
    if step.theirs is not None:
        played.commit(step.theirs, rewrite=step.rewrite)
    if step.forget:
        played.repository.forget()


def _where(record: AssetRecord) -> AssetPath:
    """Where the repository has a lagging asset, or had it."""
    state = record.recorded or record.base
    assert state is not None, "a lagging asset has been in the repository"
    return state.path


def _play(played: Played, step: ScenarioStep) -> None:
    project = played.project
    files, state_hash = project.files(), project.state_hash()
    report = None
    if step.error is not None:
        with pytest.raises(TowlineError) as caught:
            _perform(played, step)
        check_error(step.error, caught.value)
        assert project.state_hash() == state_hash
    else:
        assert step.report is not None, "a step expects a report or an error"
        report = _perform(played, step)
        check_report(step.report, report)
        check_files(files, report, project.files())
        if report.status is Status.CONFLICTS:
            assert project.state_hash() == state_hash
        elif step.undo is None and not report.conflicts:
            _check_again(played, step)
    assert project.files() == _expected(step, files)
    lagging = list(now(project.store).lagging())
    assert sorted(str(_where(record)) for record in lagging) == sorted(step.lagging)
    if report is not None and report.status is not Status.CONFLICTS and step.undo is None:
        assert {item.asset_id for item in report.behind} == {record.id for record in lagging}


def _perform(played: Played, step: ScenarioStep) -> Report:
    if step.undo is not None:
        return undo(played.project.store, None if step.undo == "last" else step.undo)
    options = step.request.options()
    if step.request.content_merge:
        options = replace(options, content_merge=join)
    planned, report = (
        ask(played.project.store, played.repository.remote(played.scope), options)
        for ask in (_dry_run, pull)
    )
    assert report == planned, "a dry run's report is the real one's"
    return report


def _dry_run(store: AssetStore, remote: Remote, options: PullOptions) -> Report:
    return report_of(plan_pull(store, remote, options))


def _check_again(played: Played, step: ScenarioStep) -> None:
    """Pulling twice is up to date."""
    remote = played.repository.remote(played.scope)
    options = replace(step.request.options(), resolutions=Resolutions())
    report = _dry_run(played.project.store, remote, options)
    assert (report.status, report.listed) == (Status.UP_TO_DATE, ())


def _expected(step: ScenarioStep, files: Files) -> Files:
    """Return the files afterwards; those before, where the step does not list them."""
    if step.files is None:
        return files
    return {
        AssetPath(path): ((entry.content or "").encode(), entry.executable)
        for path, entry in step.files.items()
    }
