"""The laws of docs/architecture.md about a store: dry run, second pull, undo, failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edited import DirectoryProject, EditedProject, MemoryProject
from tests.laws.budget import law
from towline.apply import apply
from towline.changes import RemoteEntry
from towline.errors import Cancelled, ContentMissing, UnknownAssets
from towline.model import AssetPath, Digest, NonAsset
from towline.options import OnConflict, PullOptions, Side
from towline.ports import Watch
from towline.pull import plan_pull, pull
from towline.remotes.trees import FileContent, Symlink
from towline.report import Status, report_of
from towline.resolutions import SavedResolution
from towline.stores.directory.store import DirectoryStore
from towline.stores.memory import MemoryStore
from towline.testing.choices import pull_options
from towline.testing.sides import KINDS, ThreeSides, local_tree
from towline.testing.strategies import CONTENTS, Feature, three_sides
from towline.undo import undo

FEATURES = frozenset({Feature.NON_ASSETS, Feature.REMOTE_MOVES})
Open: TypeAlias = Callable[[], AbstractContextManager[EditedProject]]


@contextmanager
def in_memory() -> Iterator[EditedProject]:
    yield MemoryProject(MemoryStore("project", kinds=KINDS))


@contextmanager
def in_folder() -> Iterator[EditedProject]:
    with TemporaryDirectory() as folder, DirectoryStore.create(Path(folder), kinds=KINDS) as store:
        yield DirectoryProject(store)


# A folder costs what memory does not: it is drawn less often, and the machine has one too.
openers = st.sampled_from([in_memory] * 5 + [in_folder])


def set_up(project: EditedProject, sides: ThreeSides) -> None:
    """Pull base, edit as ours was edited, and commit theirs."""
    project.remote.commit(files_of(sides.base))
    pull(project.store, project.remote, options=PullOptions(allow_empty=True))
    before, after = project.files(), local_tree(sides.records)
    for path in before.keys() - after.keys():
        project.delete(path)
    for path, state in sorted(after.items()):
        content = (CONTENTS[state.digest], state.executable)
        if before.get(path) != content:
            project.put(path, content[0], executable=content[1])
    project.remote.commit(files_of(sides.theirs))


def files_of(tree: Mapping[AssetPath, RemoteEntry]) -> dict[str, FileContent]:
    return {str(path): _file(entry) for path, entry in tree.items()}


def _file(entry: RemoteEntry) -> FileContent:
    if isinstance(entry, NonAsset):
        return Symlink("elsewhere")
    return CONTENTS[entry.state.digest], entry.state.executable


choices = st.sampled_from([*Side, b"chosen"])


def save_resolutions(project: EditedProject, chosen: Sequence[Side | bytes]) -> None:
    """Save a side or a content for the parties of the first conflicts."""
    options = PullOptions(allow_empty=True, use_saved=False)
    plan = plan_pull(project.store, project.remote, options)
    parties = [party for conflict in plan.conflicts for party in conflict.parties]
    project.store.save_resolutions(
        SavedResolution(
            asset_id=party.asset_id,
            states=party.states,
            side=choice if isinstance(choice, Side) else None,
            content=choice if isinstance(choice, bytes) else None,
        )
        for party, choice in zip(parties, chosen, strict=False)
    )


@law("dry run")
@given(openers, three_sides(FEATURES), pull_options(), st.lists(choices, max_size=3))
def test_a_dry_run_equals_the_run_and_undo_takes_it_back(
    open_project: Open, sides: ThreeSides, options: PullOptions, chosen: list[Side | bytes]
):
    with open_project() as project:
        set_up(project, sides)
        save_resolutions(project, chosen)
        before, files = project.state_hash(), project.files()
        try:
            planned = report_of(plan_pull(project.store, project.remote, options=options))
        except UnknownAssets:
            # The selection has a name that matches nothing.
            with pytest.raises(UnknownAssets):
                pull(project.store, project.remote, options=options)
            assert project.state_hash() == before
            return
        assert project.state_hash() == before
        report = pull(project.store, project.remote, options=options)
        assert replace(report, pull=None) == planned
        if report.status is Status.CONFLICTS:
            assert project.state_hash() == before
            return
        with suppress(UnknownAssets):  # The pull deleted all that a name matched.
            again = pull(project.store, project.remote, options=options)
            assert {item.asset_id for item in again.listed} == {
                party.asset_id for conflict in report.conflicts for party in conflict.parties
            }
        if report.pull is not None:
            undo(project.store)
            assert project.files() == files
            if chosen:
                return  # What was used is remembered, and used no more.
            offered = report_of(plan_pull(project.store, project.remote, options=options))
            assert offered == planned


# --- a failure leaves everything as it was -----------------------------------------------------


@dataclass
class FailingContents:
    """Contents that are had up to the k-th, and then no more."""

    source: EditedProject
    left: int

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        for digest, content in self.source.remote.contents(digests):
            if self.left <= 0:
                raise ContentMissing(digests=(digest,))
            self.left -= 1
            yield digest, content


@dataclass
class CancelAfter:
    """Lets so many questions pass, then asks to stop."""

    left: int

    def is_set(self) -> bool:
        self.left -= 1
        return self.left < 0


SKIPPING = PullOptions(on_conflict=OnConflict.SKIP, allow_empty=True)


@law("failures")
@given(openers, three_sides(FEATURES), st.integers(0, 3), st.integers(0, 6))
def test_a_failure_leaves_the_state_hash_as_it_was(
    open_project: Open, sides: ThreeSides, contents: int, questions: int
):
    with open_project() as project:
        set_up(project, sides)
        plan = plan_pull(project.store, project.remote, options=SKIPPING)
        before = project.state_hash()
        try:
            apply(plan, project.store, contents=FailingContents(project, contents))
        except ContentMissing:
            assert project.state_hash() == before
        else:
            return
        try:
            pull(
                project.store,
                project.remote,
                options=SKIPPING,
                watch=Watch(cancel=CancelAfter(questions)),
            )
        except Cancelled:
            assert project.state_hash() == before
            report = pull(project.store, project.remote, options=SKIPPING)
            assert replace(report, pull=None) == report_of(plan)
