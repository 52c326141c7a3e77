"""A directory store over disks that do not preserve the executable bit."""

import os
import shutil
import sqlite3

import pytest

from towline.errors import InvalidValue
from towline.pull import pull
from towline.remotes.memory import MemoryRemote
from towline.remotes.trees import FileContent
from towline.status import State, status
from towline.stores.directory.disk import Disk
from towline.stores.directory.store import DirectoryStore
from towline.testing.plans import now, record_at
from towline.undo import undo

RUN: tuple[bytes, bool] = (b"#!/bin/sh\n", True)
PLAIN = b"1\n"


class SharedDisk(Disk):
    """Ignores permissions, and shows every file as executable: SMB, WSL, Docker Desktop."""

    shown = 0o777

    def stat(self, path):
        stat = super().stat(path)
        return None if stat is None else stat._replace(mode=self.shown)

    def scandir(self, folder, *stats):
        found = super().scandir(folder, *stats)
        return [(name, stat._replace(mode=self.shown)) for name, stat in found]

    def digest(self, path):
        found = super().digest(path)
        return None if found is None else (found[0], found[1]._replace(mode=self.shown))

    def chmod(self, path, mode):
        pass


class FatDisk(SharedDisk):
    """Shows no file as executable, and refuses to make one so."""

    shown = 0o644

    def chmod(self, path, mode):
        raise PermissionError(1, "Operation not permitted", path)


@pytest.fixture(params=[SharedDisk, FatDisk])
def disk(request):
    return request.param


@pytest.fixture
def remote():
    remote = MemoryRemote()
    files: dict[str, FileContent] = {"run": RUN, "plain": PLAIN}
    remote.commit(files)
    return remote


@pytest.fixture
def store(tmp_path, disk, remote):
    with DirectoryStore.create(tmp_path / "p", project="p", disk=disk) as store:
        pull(store, remote)
        yield store


def bits(store):
    return {r.ours.path: r.ours.executable for r in now(store).records() if r.ours is not None}


def states(store):
    return {asset.path: asset.state for asset in status(store, None, None).assets}


def test_a_fresh_clone_is_unchanged_and_has_the_records_bits(store, remote):
    assert not store.keeps_executable
    assert bits(store) == {"run": True, "plain": False}
    assert set(states(store).values()) == {State.UNCHANGED}
    assert pull(store, remote).listed == ()


def test_every_change_of_a_bit_arrives_and_is_undone(store, remote):
    remote.commit({"run": RUN[0], "plain": (PLAIN, True), "new": (b"2\n", True)})
    assert {item.path for item in pull(store, remote).updated} == {"run", "plain"}
    assert bits(store) == {"run": False, "plain": True, "new": True}
    undo(store)
    assert bits(store) == {"run": True, "plain": False}
    assert set(states(store).values()) == {State.UNCHANGED}


def test_a_deletion_there_is_no_conflict_and_an_edit_here_keeps_its_bit(store, remote):
    (store.root / "run").write_bytes(b"edited\n")
    remote.commit({"run": RUN})
    assert [item.path for item in pull(store, remote).deleted] == ["plain"]
    assert bits(store) == {"run": True}
    (store.root / "run").rename(store.root / "moved")
    assert bits(store) == {"moved": True}


def test_files_that_were_there_before_take_the_bits_of_the_repository(tmp_path, disk, remote):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/run").write_bytes(RUN[0])
    (tmp_path / "p/plain").write_bytes(PLAIN)
    with DirectoryStore.create(tmp_path / "p", disk=disk) as store:
        report = pull(store, remote)
        assert (report.conflicts, report.listed) == ((), ())
        assert bits(store) == {"run": True, "plain": False}


def test_a_copy_without_the_bits_is_unchanged(tmp_path, disk, remote):
    with DirectoryStore.create(tmp_path / "p") as store:
        pull(store, remote)
        assert store.keeps_executable
    with DirectoryStore.open(tmp_path / "p", disk=disk) as store:
        assert set(states(store).values()) == {State.UNCHANGED}
    shutil.copytree(tmp_path / "p", tmp_path / "copy", copy_function=shutil.copyfile)
    with DirectoryStore.open(tmp_path / "copy") as store:
        assert bits(store) == {"run": True, "plain": False}
        store.set_keeps_executable(None)
        assert bits(store) == {"run": False, "plain": False}, "tried again, it is the files'"


def test_bits_that_were_set_everywhere_are_read_again_when_that_is_asked(tmp_path, remote):
    with DirectoryStore.create(tmp_path / "p") as store:
        pull(store, remote)
    for file in (tmp_path / "p").rglob("*"):
        file.chmod(0o755)
    with DirectoryStore.open(tmp_path / "p") as store:
        assert bits(store) == {"run": True, "plain": False}
        store.set_keeps_executable(True)
    with DirectoryStore.open(tmp_path / "p") as store:
        assert bits(store) == {"run": True, "plain": True}


def test_the_setting(tmp_path, disk, remote):
    with DirectoryStore.create(tmp_path / "p") as store:
        pull(store, remote)
        store.set_keeps_executable(False)
        os.chmod(store.root / "run", 0o644)
    with DirectoryStore.open(tmp_path / "p") as store:
        assert bits(store)["run"]
        store.set_keeps_executable(True)
        assert not bits(store)["run"]
    with (
        DirectoryStore.open(tmp_path / "p", disk=disk) as store,
        pytest.raises(InvalidValue, match="executable bit"),
    ):
        store.set_keeps_executable(True)


_SECOND = """
DROP INDEX used_by_path;
ALTER TABLE used DROP COLUMN path;
ALTER TABLE log DROP COLUMN summary;
UPDATE meta SET value = '2' WHERE name = 'format';
"""
_FIRST = f"""
{_SECOND}
ALTER TABLE assets DROP COLUMN executable;
DELETE FROM meta WHERE name = 'filemode';
UPDATE meta SET value = '1' WHERE name = 'format';
"""


def make_old(root, changes):
    """Give a project the form that an older format had."""
    connection = sqlite3.connect(root / ".towline/state.db")
    connection.executescript(changes)
    connection.close()


@pytest.mark.parametrize("preserved", [True, False])
def test_a_project_of_the_first_format_is_upgraded(tmp_path, disk, remote, preserved):
    with DirectoryStore.create(tmp_path / "p") as store:
        pull(store, remote)
    for name in (".gitignore", "executable"):
        (tmp_path / "p/.towline" / name).unlink()
    make_old(tmp_path / "p", _FIRST)
    with DirectoryStore.open(tmp_path / "p", disk=Disk if preserved else disk) as store:
        assert store.keeps_executable is preserved
        assert bits(store) == {"run": True, "plain": False}
        assert [entry.summary.counts for entry in store.log()] == [(0, 0, 2, 0, 0)]
        remote.commit({"run": RUN[0]})
        assert pull(store, remote).updated
        assert (tmp_path / "p/.towline/.gitignore").read_bytes() == b"*\n"


def test_a_project_of_the_second_format_is_upgraded(tmp_path, remote):
    with DirectoryStore.create(tmp_path / "p") as store:
        pull(store, remote)
        store.set_keeps_executable(False)
        first = record_at(store, "run").id
    make_old(tmp_path / "p", _SECOND)
    with DirectoryStore.open(tmp_path / "p") as store:
        assert not store.keeps_executable
        remote.commit({"plain": b"1"})
        pull(store, remote)
        remote.commit({"plain": b"1", "run": RUN[0]})
        pull(store, remote)
        assert record_at(store, "run").id == first
