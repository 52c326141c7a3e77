"""Each example project has the pull that it promises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.projects.catalogue import PROJECTS
from fixtures.projects.example import Edits, ExampleProject, files_after
from fixtures.scenarios.loader import KindSpec, Scenario, ScenarioEntry
from tests.edited import EditedProject
from towline import PullOptions, Report, Resolutions, Status, pull
from towline.kinds_file import read_kinds
from towline.options import Naming
from towline.plan import LISTED

from .repositories import PLACES, Repository, edit


@pytest.fixture(params=list(PLACES.values()), ids=list(PLACES))
def places(request):
    return request.param


@pytest.fixture(params=PROJECTS, ids=[project.name for project in PROJECTS])
def example(request):
    return request.param


@pytest.fixture
def played(
    example: ExampleProject,
    places: tuple[Callable[[Scenario, str, Path], EditedProject], Callable[[Path], Repository]],
    tmp_path: Path,
) -> Iterator[tuple[EditedProject, Repository]]:
    """The project as it was cloned and edited here, and the repository as it is since."""
    with (
        closing(places[0](_scenario(example), "example", tmp_path)) as project,
        closing(places[1](tmp_path)) as repository,
    ):
        _happen(example, project, repository)
        yield project, repository


def _happen(example: ExampleProject, project: EditedProject, repository: Repository) -> None:
    for count in range(1, len(example.history) + 1):
        repository.commit(_tree(example.history[:count]), rewrite=False)
    assert pull(project.store, repository.remote("")).status is Status.UPDATED
    edit(project, {new: _moved(old) for old, new in example.moves.items()})
    edit(project, _entries(example.edits))
    commits = (*example.history, *example.news)
    for count in range(len(example.history) + 1, len(commits) + 1):
        repository.commit(_tree(commits[:count]), rewrite=False)


def test_it_conflicts_without_resolutions(
    example: ExampleProject, played: tuple[EditedProject, Repository]
):
    project, repository = played
    report = pull(project.store, repository.remote(""))
    assert report.status is Status.CONFLICTS
    assert tuple(conflict.path for conflict in report.conflicts) == example.conflicts


def test_it_has_an_entry_in_each_list(
    example: ExampleProject, played: tuple[EditedProject, Repository]
):
    project, repository = played
    report = pull(
        project.store,
        repository.remote(""),
        PullOptions(
            resolutions=Resolutions(
                use_theirs=frozenset(example.use_theirs),
                use_ours=frozenset(example.use_ours),
                naming=Naming.IDS_OR_PATHS,
            )
        ),
    )
    assert all(example.lists[name] for name in LISTED)
    assert _paths(report) == example.lists


def test_all_theirs_is_their_tree(
    example: ExampleProject, played: tuple[EditedProject, Repository]
):
    project, repository = played
    edited = {*example.use_theirs, *example.use_ours, *example.moves.values(), *example.merged}
    pull(
        project.store,
        repository.remote(""),
        PullOptions(
            resolutions=Resolutions(use_theirs=frozenset(edited), naming=Naming.IDS_OR_PATHS)
        ),
    )
    kinds = read_kinds(example.kinds_file)
    assets = files_after((*example.history, *example.news))
    expected = {path: text.encode() for path, text in assets.items() if kinds.of(path)}
    mine = {path: text.encode() for path, text in example.edits.items() if text is not None}
    expected = {**{path: mine[path] for path in mine if path not in edited}, **expected}
    assert {path: content for path, (content, _) in project.files().items()} == expected


def _scenario(example: ExampleProject) -> Scenario:
    specs = tuple(
        KindSpec(name=kind.name, globs=kind.globs, id_pointer=kind.id_pointer)
        for kind in read_kinds(example.kinds_file).kinds
    )
    return Scenario(about=example.about, kinds=specs)


def _tree(commits) -> dict[str, ScenarioEntry]:
    return {path: ScenarioEntry(content=text) for path, text in files_after(commits).items()}


def _moved(old: str) -> ScenarioEntry:
    return ScenarioEntry.model_validate({"from": old})


def _entries(edits: Edits) -> dict[str, ScenarioEntry | None]:
    return {
        path: None if text is None else ScenarioEntry(content=text) for path, text in edits.items()
    }


def _paths(report: Report) -> dict[str, tuple[str, ...]]:
    return {str(name): tuple(item.path for item in getattr(report, name)) for name in LISTED}
