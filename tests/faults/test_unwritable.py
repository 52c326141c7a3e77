"""Folders that cannot be written, machines that stay broken, and files of any size."""

import errno
import os
import tracemalloc

import pytest

from tests.faults.projects import ProjectFolder, new_project, operations
from tests.unit.stores.later_disk import LaterDisk
from towline.errors import StoreError
from towline.model import Digest
from towline.stores.directory import replaced
from towline.stores.directory.store import DirectoryStore
from towline.testing.faults import fail, faulty
from towline.testing.plans import apply_edits, change, now, pull_files, record_at
from towline.undo import undo

pytestmark = pytest.mark.slow

UNPRIVILEGED = 65534


@pytest.fixture(scope="module")
def before(scratch):
    return new_project(scratch / "before")


def in_child(action):
    """Run an action as a user whom permissions bind; its exit code."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(UNPRIVILEGED)
                os.setuid(UNPRIVILEGED)
            action()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def owned(before, tmp_path):
    """The project, owned by a user who is not root."""
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    project = before.copy(tmp_path / "p")
    if os.geteuid() == 0:
        for folder, _, names in os.walk(project.root):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(path, UNPRIVILEGED, UNPRIVILEGED)
    return project


@pytest.mark.parametrize("folder", [".", "d", "e/f", "g"])
def test_a_folder_that_cannot_be_written_is_found_before_anything_moves(owned, folder):
    place = owned.root / folder
    if not place.exists():
        place.mkdir()
    place.chmod(0o555)
    files = owned.files()

    def refused():
        with pytest.raises(StoreError, match=r"Permission denied.*nothing was changed"):
            owned.pull()
        with owned.open() as store:
            assert len(list(now(store).records())) == len(files)
            assert len(store.log()) == 1

    def pulled():
        owned.pull()
        with owned.open() as store:
            assert len(store.log()) == 2

    assert in_child(refused) == 0
    assert owned.files() == files
    place.chmod(0o777)
    assert in_child(pulled) == 0


def commit_of(project, folder):
    done = operations(project.copy(folder / "counted"), ProjectFolder.pull)
    return done.index(("rename", ".towline/journal.new")) + 1, len(done)


def test_where_the_machine_stays_broken_the_project_can_be_read(before, tmp_path):
    commit, count = commit_of(before, tmp_path)
    finished = before.copy(tmp_path / "finished")
    finished.pull()
    old, new = before.facts(), finished.facts()
    contents = {Digest.of(content) for content in before.files().values()}
    for number in range(commit, count + 1):
        project, problem = before.copy(tmp_path / "p"), ""
        try:
            project.pull(faulty(fail(errno.EROFS), *range(number, 1_000)))
        except StoreError as error:
            problem = error.problem
        with project.open(faulty(fail(errno.EROFS), *range(1, 1_000))) as store:
            ours = {record.ours.digest for record in now(store).records() if record.ours}
            as_before = len(store.log()) == 1
        project.recover()
        assert project.facts() in ((new,) if not problem else (old, new)), number
        if "nothing was changed" in problem:
            assert project.facts() == old, number
        if as_before:
            assert contents <= ours, f"missing while broken at operation {number}"


def test_undoing_what_failed_can_be_killed_at_every_operation(before, tmp_path):
    commit, count = commit_of(before, tmp_path)
    old = before.facts()
    for failing in range(commit + 3, count, 7):
        for dying in range(failing + 1, failing + 60, 5):
            project = before.copy(tmp_path / "p")

            def fault(operation, path, project=project, failed=[]):  # noqa: B006 - its memory
                if failed:
                    os._exit(0)
                failed.append(operation)
                raise OSError(errno.EIO, os.strerror(errno.EIO), path)

            child = os.fork()
            if child == 0:
                try:
                    project.pull(faulty(fault, failing, dying))
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            project.recover()
            files = project.files()
            assert not [path for path in files if ".local-" in path], (failing, dying)
            with project.open() as store:
                pulled = len(store.log()) == 2
            assert pulled or project.facts() == old, (failing, dying)


def test_a_large_file_is_replaced_and_comes_back_in_little_memory(tmp_path):
    size = 1_100_000_000
    with DirectoryStore.create(tmp_path / "p", project="p", disk=LaterDisk) as store:
        pull_files(store, a=b"1")
        os.truncate(store.root / "a", size)
        tracemalloc.start()
        try:
            apply_edits(store, change(store, "a", b"2"), contents=[b"2"])
            assert (store.root / "a").read_bytes() == b"2"
            undo(store, 2)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (store.root / "a").stat().st_size == size
        assert peak < 16 << 20
    with DirectoryStore.open(tmp_path / "p", disk=LaterDisk) as store:
        found = record_at(store, "a").ours
        assert found is not None
        assert found.digest != Digest.of(b"2")


def test_what_is_written_late_to_a_replaced_file_is_put_beside_it(tmp_path, monkeypatch):
    root = tmp_path / "p"
    copy = f"a.local-{Digest.of(b'late')[:8]}"
    with DirectoryStore.create(root, project="p", disk=LaterDisk) as store:
        pull_files(store, a=b"once")
        with open(root / "a", "r+b") as opened:
            apply_edits(store, change(store, "a", b"2"), contents=[b"2"])
            opened.write(b"late")
    with DirectoryStore.open(root, disk=LaterDisk) as store:
        assert store.recovered_edits == (copy,)
        assert (root / copy).read_bytes() == b"late"
        assert store.read(Digest.of(b"once")) == b"once", "undo still has what was pulled"
        with open(root / "a", "r+b") as opened:
            apply_edits(store, change(store, "a", b"last"), contents=[b"last"])
            opened.write(b"3")
        applied = apply_edits(store, change(store, "a", b"4"), contents=[b"4"])
        assert applied.saved == (f"a.local-{Digest.of(b'3')[:8]}",)
        monkeypatch.setattr(replaced, "MOST_BYTES", 3)
        apply_edits(store, change(store, "a", b"5"), contents=[b"5"])
        assert sorted(os.listdir(root / ".towline/replaced")) == ["0", "journal"]
        apply_edits(store, change(store, "a", b"6666"), contents=[b"6666"])
        apply_edits(store, change(store, "a", b"7"), contents=[b"7"])
        assert not (root / ".towline/replaced").exists(), "beyond the bound"


def test_contents_that_an_earlier_version_put_into_the_state_file_are_undone(tmp_path):
    import sqlite3

    with DirectoryStore.create(tmp_path / "p", project="p") as store:
        pull_files(store, a=b"1")
        apply_edits(store, change(store, "a", b"2"), contents=[b"2"])
    stored = tmp_path / "p/.towline/undo" / Digest.of(b"1")
    connection = sqlite3.connect(tmp_path / "p/.towline/state.db")
    connection.execute("INSERT INTO blobs VALUES (?, ?)", (Digest.of(b"1"), b"1"))
    connection.commit()
    connection.close()
    stored.unlink()
    with DirectoryStore.open(tmp_path / "p") as store:
        undo(store)
    assert (tmp_path / "p/a").read_bytes() == b"1"
