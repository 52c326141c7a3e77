"""The seam to the file system: what it follows, replaces and flushes."""

import errno
import os
import tracemalloc

import pytest

from towline.model import Digest
from towline.stores.directory import disk as module
from towline.stores.directory import files
from towline.stores.directory.disk import Disk
from towline.stores.directory.files import FileType


@pytest.fixture
def disk(tmp_path):
    disk = Disk(tmp_path)
    yield disk
    disk.close()


@pytest.fixture
def no_flags(monkeypatch):
    """A system without renameat2()."""
    monkeypatch.setattr(module, "rename_exclusively", lambda *_: False)


@pytest.fixture
def no_links(no_flags, monkeypatch):
    """A file system without hard links, or such a rename."""

    def link(*_, **__):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_it_sees_what_is_there(disk, tmp_path):
    (tmp_path / "f").write_bytes(b"12")
    (tmp_path / "f").chmod(0o700)
    (tmp_path / "d").mkdir()
    (tmp_path / "l").symlink_to("f")
    stat = disk.stat("f")
    assert (stat.type, stat.size, stat.executable) == (FileType.FILE, 2, True)
    assert disk.stat("d").type is FileType.FOLDER
    assert disk.stat("l").type is FileType.OTHER
    assert disk.stat("n") is disk.stat("f/x") is disk.stat("l/x") is disk.stat("x" * 300) is None
    assert [(name, of.type) for name, of in disk.scandir("")] == [
        ("d", FileType.FOLDER),
        ("f", FileType.FILE),
        ("l", FileType.OTHER),
    ]
    assert disk.scandir("l") == disk.scandir("f") == disk.scandir("n") == []


def test_it_reads_files_alone(disk, tmp_path):
    content = b"x" * 3_000_000
    (tmp_path / "f").write_bytes(content)
    (tmp_path / "l").symlink_to("f")
    os.mkfifo(tmp_path / "p")
    assert disk.read("f")[0] == content
    assert disk.digest("f")[0] == Digest.of(content)
    for path in ("l", "p", "n", "f/x"):
        assert disk.read(path) is None
        assert disk.digest(path) is None


def test_what_is_appended_meanwhile_is_not_in_the_digest(disk, tmp_path, monkeypatch):
    (tmp_path / "f").write_bytes(b"1")
    chunks = files._chunks

    def growing(descriptor):
        with open(tmp_path / "f", "ab") as file:
            file.write(b"2")
        return chunks(descriptor)

    monkeypatch.setattr(files, "_chunks", growing)
    digest, stat = disk.digest("f")
    assert stat.size == 1
    assert digest == Digest.of(b"1")


@pytest.mark.parametrize("path", ["", ".", "..", "a/..", "../a", "/a", "a//b", "a/"])
def test_paths_stay_below_its_folder(disk, path):
    for action in (disk.stat, disk.read, disk.unlink, disk.mkdir, disk.rmdir):
        with pytest.raises(OSError, match="not a path"):
            action(path)


def test_it_never_writes_through_a_link(disk, tmp_path):
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "l").symlink_to(outside)
    (tmp_path / "f").write_bytes(b"1")
    for action in (
        lambda: disk.write("l/x", b"", 0o666),
        lambda: disk.rename("f", "l/x"),
        lambda: disk.rename_noreplace("f", "l/x"),
        lambda: disk.mkdir("l/x"),
        lambda: disk.mkdir("l"),
        lambda: disk.lock("l/x"),
    ):
        with pytest.raises(OSError, match=r"Not a directory|File exists"):
            action()
    disk.chmod("l", 0o777)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("system", [None, "no_flags", "no_links"])
def test_a_rename_that_must_be_new_replaces_nothing(disk, tmp_path, request, system):
    if system is not None:
        request.getfixturevalue(system)
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "b").write_bytes(b"2")
    with pytest.raises(FileExistsError):
        disk.rename_noreplace("a", "b")
    disk.rename_noreplace("a", "c")
    assert {place.name: place.read_bytes() for place in tmp_path.iterdir()} == {
        "b": b"2",
        "c": b"1",
    }


@pytest.mark.parametrize("system", [None, "no_flags", "no_links"])
def test_folders_are_renamed_too(disk, tmp_path, request, system):
    if system is not None:
        request.getfixturevalue(system)
    (tmp_path / "a/x").mkdir(parents=True)
    disk.rename_noreplace("a", "b")
    assert (tmp_path / "b/x").is_dir()


def test_where_the_file_system_has_no_flush_of_its_own_each_file_is_flushed(
    disk, tmp_path, monkeypatch
):
    synced = []
    monkeypatch.setattr(module, "sync_file_system", lambda _: False)
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/dev/fd/{fd}")))
    disk.mkdir("d")
    disk.write("d/a", b"1", 0o666)
    disk.write("gone", b"1", 0o666)
    disk.unlink("gone")
    disk.rename("d/a", "b")
    disk.chmod("b", 0o600)
    disk.mark_unflushed("b")
    disk.flush()
    assert synced == [str(tmp_path), str(tmp_path / "b"), str(tmp_path / "d")]
    disk.flush()
    assert len(synced) == 3, "once is enough"
    assert disk.counts["flush"] == 2


def test_a_lock_is_held_by_one(disk, tmp_path):
    held = disk.lock("lock")
    other = Disk(tmp_path)
    assert other.lock("lock") is None
    os.close(held)
    held = other.lock("lock")
    assert held is not None
    os.close(held)
    other.close()


def test_trying_raises_what_moving_would_and_moves_nothing(disk, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/f").write_bytes(b"1")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/lock").touch()
    disk.probe_rename_from("a/f", "own")
    disk.probe_rename_from("missing", "own")
    disk.probe_rename_into("a", "own")
    assert os.listdir(tmp_path / "a") == ["f"]

    def rename(*_, **__):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "rename", rename)
    for attempt in (
        lambda: disk.probe_rename_from("a/f", "own"),
        lambda: disk.probe_rename_into("a", "own"),
    ):
        with pytest.raises(OSError, match="cross-device"):
            attempt()


def test_trying_leaves_no_name_where_files_without_names_cannot_be(disk, tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.delattr(os, "O_TMPFILE")
    disk.probe_rename_into("a", "")
    assert os.listdir(tmp_path / "a") == []


def test_a_copy_keeps_what_is_empty_unwritten_and_is_never_whole_in_memory(disk, tmp_path):
    size = 1 << 30
    with open(tmp_path / "f", "wb") as file:
        file.truncate(size)
        file.seek(5 << 20)
        file.write(b"some")
    tracemalloc.start()
    try:
        digest, stat = disk.copy("f", "g")
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert (disk.digest("g")[0], stat.size, (tmp_path / "g").stat().st_size) == (digest, size, size)
    assert (tmp_path / "g").stat().st_blocks * 512 < 4 << 20


@pytest.mark.parametrize(
    ("look", "function"),
    [(Disk.stat, "stat"), (Disk.digest, "open"), (Disk.read, "open"), (Disk.scandir, "scandir")],
    ids=["stat", "digest", "read", "scandir"],
)
def test_what_cannot_be_looked_at_is_named_by_its_whole_path(
    disk, tmp_path, monkeypatch, look, function
):
    (tmp_path / "d" / "e").mkdir(parents=True)
    disk.scandir("d")

    def refuse(name, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(PermissionError) as refused:
        look(disk, "d/e")
    assert refused.value.filename == "d/e"
