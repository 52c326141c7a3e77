"""A process that dies at any operation leaves the project old or new, and no litter."""

import pytest

from tests.faults.projects import (
    AFTER,
    BEFORE,
    LOCAL,
    NEW,
    ProjectFolder,
    new_project,
    operations,
    the_plan,
)
from towline.errors import NotAssociated, StalePlan
from towline.ports import Watch
from towline.stores.checks import undo_needs
from towline.stores.directory.store import DirectoryStore
from towline.testing.faults import faulty, killed_at
from towline.testing.plans import KnownContents

pytestmark = pytest.mark.slow

OWN_FILES = {".gitignore", "executable", "lock", "state.db"}
ACTIONS = {"pull": ProjectFolder.pull, "undo": ProjectFolder.undo}
MINE = {LOCAL: b"mine"}


@pytest.fixture(scope="module")
def stages(scratch):
    """The project before the pull, after it, and after undoing it."""
    before = new_project(scratch / "before")
    after = before.copy(scratch / "after")
    after.pull()
    undone = after.copy(scratch / "undone")
    undone.undo()
    for stage in (before, undone):
        stage.recover()
    return {"before": before, "after": after, "undone": undone}


def killed(project, action, number):
    """Whether the action on this project died at the operation of this number."""

    def act(disk):
        action(project, disk)

    return killed_at(number, act)


def around(stages, action):
    """The project that an action starts from, and the one that it makes."""
    return {
        "pull": (stages["before"], stages["after"]),
        "undo": (stages["after"], stages["undone"]),
    }[action]


def test_the_stages_are_what_they_should_be(stages):
    assert stages["before"].files() == BEFORE | MINE
    assert stages["after"].files() == AFTER | MINE
    assert stages["undone"].files() == BEFORE | MINE
    assert stages["before"].folders() == stages["undone"].folders()
    assert stages["before"].own_files() == stages["undone"].own_files() == OWN_FILES
    assert stages["after"].own_files() == OWN_FILES | {"replaced"}


@pytest.mark.parametrize("action", ACTIONS)
def test_killed_at_every_operation_it_is_old_or_new(stages, tmp_path, action):
    start, end = around(stages, action)
    old, new = start.facts(), end.facts()
    project, number, outcomes = start.copy(tmp_path / "p"), 1, []
    while killed(project, ACTIONS[action], number):
        project.recover()
        facts = project.facts()
        assert facts in (old, new), f"killed at operation {number}"
        outcomes.append(facts == new)
        project, number = start.copy(tmp_path / "p"), number + 1
    assert project.facts() == new
    assert outcomes == sorted(outcomes), "there is one commit point"
    assert {False, True} == set(outcomes)
    assert number > 50, "it dies at each of many operations"


@pytest.mark.parametrize("action", ACTIONS)
def test_after_a_kill_it_can_be_done_again(stages, tmp_path, action):
    start, end = around(stages, action)
    new = end.facts()
    for number in (3, 10):
        project = start.copy(tmp_path / "p")
        assert killed(project, ACTIONS[action], number)
        ACTIONS[action](project)
        assert project.facts() == new


@pytest.mark.parametrize("number", [12, 30, 45])
def test_a_store_that_is_open_meanwhile_finishes_what_another_left(stages, tmp_path, number):
    start, end = around(stages, "pull")
    project = start.copy(tmp_path / "p")
    with project.open() as store:
        plan = the_plan(store)
        assert killed(project, ProjectFolder.pull, number)
        try:
            store.apply(plan, KnownContents(*NEW), Watch())
        except StalePlan:
            assert len(store.log()) == 2
        assert project.files() == end.files()
    assert project.facts() == end.facts()


def interruptions(project):
    """For each phase, the number of one operation in its midst."""
    done = operations(project, ProjectFolder.pull)
    marks = [
        next(at for at, (name, path) in enumerate(done) if name == mark and path.endswith(end))
        for mark, end in [
            ("write", "journal.new"),
            ("flush", ".towline"),
            ("rename", "moved"),
            ("link", "displaced/5"),
            ("commit", "state.db"),
            ("rename", "journal.placing"),
            ("rename", "journal.done"),
        ]
    ]
    return [at + 1 for at in marks]


def test_recovery_killed_at_every_operation_is_itself_recovered(stages, tmp_path):
    start, end = around(stages, "pull")
    old, new = start.facts(), end.facts()
    for first in interruptions(start.copy(tmp_path / "counted")):
        interrupted = start.copy(tmp_path / "interrupted")
        assert killed(interrupted, ProjectFolder.pull, first)
        number = 1
        while True:
            project = interrupted.copy(tmp_path / "p")
            if not killed(project, ProjectFolder.recover, number):
                break
            # The second recovery dies halfway as well.
            killed(project, ProjectFolder.recover, 1 + number // 2)
            project.recover()
            assert project.facts() in (old, new), (first, number)
            number += 1
        assert project.facts() in (old, new), first


def save_existing(project):
    """What an editor may do between the kill and the next opening: save over what is there."""
    return save(project, lambda place: place.is_file())


def save_missing(project):
    """Or save what it had open and finds gone."""
    return save(project, lambda place: place.parent.is_dir() and not place.exists())


def save(project, chosen):
    edits = {}
    for path in {**BEFORE, **AFTER}:
        place = project.root / path
        if chosen(place):
            edits[path] = f"edited {path}".encode()
            place.write_bytes(edits[path])
    return edits


@pytest.mark.parametrize("edit", [save_existing, save_missing])
@pytest.mark.parametrize("action", ACTIONS)
def test_edits_made_after_a_kill_are_never_lost(stages, tmp_path, action, edit):
    start, _ = around(stages, action)
    number = 1
    while True:
        project = start.copy(tmp_path / "p")
        if not killed(project, ACTIONS[action], number):
            break
        edits = edit(project)
        project.recover()
        files = project.files()
        lost = set(edits.values()) - set(files.values())
        assert not lost, f"killed at operation {number}"
        assert files[LOCAL] == b"mine"
        assert project.own_files() == OWN_FILES
        if edit is save_missing:
            assert holds_all_for_undo(project), f"killed at operation {number}"
        number += 1


def holds_all_for_undo(project):
    with project.open() as store:
        needs = undo_needs(edit for entry in store.log() for edit in entry.plan.edits)
        return all(store.read(digest) is not None for digest in needs)


def test_creating_a_project_is_all_or_nothing(tmp_path):
    number = 1
    while True:
        root = tmp_path / str(number)
        root.mkdir()
        (root / "a").write_bytes(b"1")

        def create(disk, root=root):
            DirectoryStore.create(root, project="p", disk=disk).close()

        died = killed_at(number, create)
        try:
            DirectoryStore.open(root, disk=faulty()).close()
        except NotAssociated:
            create(faulty())
        assert ProjectFolder(root).own_files() == OWN_FILES, f"killed at operation {number}"
        assert ProjectFolder(root).files() == {"a": b"1"}
        if not died:
            break
        number += 1
    assert number > 8
