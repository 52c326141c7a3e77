"""The machine fails, or someone edits, at any operation of an apply."""

import errno
import os
from contextlib import suppress

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
from towline.errors import Cancelled, StalePlan, StoreError, UndoBlocked
from towline.model import AssetPath
from towline.ports import Watch
from towline.testing.faults import fail, faulty
from towline.testing.plans import KnownContents, now

pytestmark = pytest.mark.slow

ACTIONS = {"pull": ProjectFolder.pull, "undo": ProjectFolder.undo}


@pytest.fixture(scope="module")
def before(scratch):
    return new_project(scratch / "before")


@pytest.fixture(scope="module")
def after(before):
    project = before.copy(before.root.parent / "after")
    project.pull()
    return project


def count(project, folder, action):
    return len(operations(project.copy(folder / "counted"), ACTIONS[action]))


@pytest.mark.parametrize("action", ACTIONS)
def test_a_failing_machine_leaves_it_old_or_new(before, after, tmp_path, action):
    start = before if action == "pull" else after
    finished = start.copy(tmp_path / "finished")
    ACTIONS[action](finished)
    old, new = start.facts(), finished.facts()
    for number in range(1, count(start, tmp_path, action) + 1):
        project = start.copy(tmp_path / "p")
        failed = None
        try:
            ACTIONS[action](project, faulty(fail(errno.ENOSPC), number))
        except StoreError as error:
            failed = error
        facts = project.facts()
        project.recover()
        if failed is None:
            assert project.facts() == new, number
        else:
            assert facts == project.facts() == old, f"failed at operation {number}"


def test_a_failure_before_the_commit_point_is_cleaned_up_at_once(before, tmp_path):
    done = operations(before.copy(tmp_path / "counted"), ProjectFolder.pull)
    commit = done.index(("rename", ".towline/journal.new")) + 1
    old = before.facts()
    for number in range(1, commit + 1):
        project = before.copy(tmp_path / "p")
        with pytest.raises(StoreError) as caught:
            project.pull(faulty(fail(errno.EIO), number))
        assert caught.value.project == str(project.root)
        assert project.facts() == old, number


def test_it_can_be_cancelled_up_to_the_commit_point(before, tmp_path):
    class Cancel:
        asked = False

        def is_set(self):
            return self.asked

    done = operations(before.copy(tmp_path / "counted"), ProjectFolder.pull)
    commit = done.index(("rename", ".towline/journal.new")) + 1
    for number in (1, commit - 2, commit, commit + 1, len(done)):
        project, cancel = before.copy(tmp_path / "p"), Cancel()

        def ask(*_, cancel=cancel):
            cancel.asked = True

        with project.open(faulty(ask, number)) as store:
            plan, contents = the_plan(store), KnownContents(*NEW)
            if number < commit:
                with pytest.raises(Cancelled):
                    store.apply(plan, contents, Watch(cancel=cancel))
            else:
                store.apply(plan, contents, Watch(cancel=cancel))
        assert project.files().keys() - {LOCAL} == (BEFORE if number < commit else AFTER).keys()


def saves(place, content):
    """Save as editors do: over the file, or by a new one that takes its name."""
    place.write_bytes(content)


def replaces(place, content):
    aside = place.with_name("editor's")
    aside.write_bytes(content)
    os.replace(aside, place)


@pytest.mark.parametrize("edit", [saves, replaces])
@pytest.mark.parametrize("action", ACTIONS)
def test_an_edit_made_meanwhile_is_never_lost(before, after, tmp_path, action, edit):
    start, touched = (before, BEFORE) if action == "pull" else (after, AFTER)
    for number in range(1, count(start, tmp_path, action) + 1):
        project = start.copy(tmp_path / "p")
        last: dict[str, bytes] = {}

        def edit_all(operation, path, project=project, last=last):
            for name in (*touched, LOCAL, "g/h", "file/new", "e/f"):
                place = project.root / name
                if place.parent.is_dir() and not place.is_dir():
                    last[name] = f"{name} edited before {operation} {path}".encode()
                    edit(place, last[name])

        # Where it is edited before it is checked, the plan is stale, or not even made.
        with suppress(StalePlan, UndoBlocked):
            ACTIONS[action](project, faulty(edit_all, number, number + 1, number + 4))
        project.recover()
        files = project.files()
        assert last
        assert set(last.values()) <= set(files.values()), f"lost at operation {number}"
        assert project.own_files() == {".gitignore", "executable", "lock", "state.db"}
        copies = [AssetPath(path) for path in files if ".local-" in path]
        with project.open() as store:
            assert not [path for path in copies if now(store).at(path)], "a copy is no asset"


@pytest.mark.parametrize("folder", ["d", "e", "e/f", "g", "folder"])
def test_a_folder_that_becomes_a_link_is_never_followed(before, tmp_path, folder):
    for number in range(1, count(before, tmp_path, "pull") + 1):
        project = before.copy(tmp_path / "p")
        outside = tmp_path / "outside"
        outside.mkdir(exist_ok=True)
        for name in ("rewritten", "script", "deleted", "inner", "moved"):
            (outside / name).write_bytes(b"outside")
            (outside / name).chmod(0o600)

        def swap(*_, project=project, outside=outside):
            place = project.root / folder
            if place.is_dir() and not place.is_symlink():
                place.rename(project.root / "aside")
            if place.parent.is_dir() and not place.exists():
                place.symlink_to(outside)

        with suppress(StalePlan, StoreError):
            project.pull(faulty(swap, number))
        project.recover()
        assert {place.name: place.read_bytes() for place in outside.iterdir()} == dict.fromkeys(
            ("rewritten", "script", "deleted", "inner", "moved"), b"outside"
        ), number
        assert {place.stat().st_mode & 0o777 for place in outside.iterdir()} == {0o600}


def test_what_the_commit_needs_is_flushed_before_it_and_what_follows_after(before, tmp_path):
    done = operations(before.copy(tmp_path / "p"), ProjectFolder.pull)

    def index(operation, path):
        return done.index((operation, path))

    written = [at for at, (name, _) in enumerate(done) if name in ("create", "write")]
    flushes = [at for at, (name, _) in enumerate(done) if name == "flush"]
    ours = [
        at
        for at, (name, path) in enumerate(done)
        if name in ("rename", "chmod") and not path.startswith(".towline")
    ]
    placed = [at for at, (name, path) in enumerate(done) if name == "link"]
    commit = index("rename", ".towline/journal.new")
    placing = index("rename", ".towline/journal")
    ending = index("rename", ".towline/journal.placing")
    staged, named, displaced, settled, last = flushes
    assert max(written) < staged < commit < named < min(ours)
    assert done[named] == ("flush", ".towline")
    assert max(at for at in ours if done[at][0] == "rename") < displaced < placing < min(placed)
    assert max(*placed, *ours, index("committed", ".towline/state.db")) < settled < ending
    assert last == len(done) - 1
    assert done[last] == ("flush", ".towline/state.db")
