"""Folders that are held open: opened once, and never used behind a link."""

import os

import pytest

from towline.stores.directory import files
from towline.stores.directory.disk import Disk


@pytest.fixture
def disk(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    disk = Disk(tmp_path)
    disk.write("a/b/f", b"1", 0o666)
    yield disk
    disk.close()


@pytest.fixture
def opened(monkeypatch):
    """The names that are opened."""
    names = []

    def counting(path, *arguments, **options):
        names.append(path)
        return plain(path, *arguments, **options)

    plain = os.open
    monkeypatch.setattr(os, "open", counting)
    return names


def test_a_folder_is_opened_once(disk, opened):
    for number in range(10):
        disk.write(f"a/b/{number}", b"1", 0o666)
        disk.rename(f"a/b/{number}", f"a/{number}")
        assert disk.stat(f"a/{number}") is not None
    assert opened == [str(number) for number in range(10)], "both folders are open already"


@pytest.mark.parametrize("folder", ["a", "a/b"])
def test_a_folder_that_becomes_a_link_is_not_used(disk, tmp_path, folder):
    """Not even where the link leads to the folder that it was."""
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    (tmp_path / folder).rename(outside)
    (tmp_path / folder).symlink_to(outside)
    assert disk.stat("a/b/f") is None
    assert disk.read("a/b/f") is None
    assert disk.scandir("a/b") == []
    for action in (
        lambda: disk.write("a/b/new", b"", 0o666),
        lambda: disk.rename("a/b/f", "new"),
        lambda: disk.mkdir("a/b/new"),
    ):
        with pytest.raises(NotADirectoryError):
            action()
    disk.unlink("a/b/f")
    assert [path.name for path in outside.rglob("*") if path.is_file()] == ["f"]


def test_a_folder_that_is_replaced_is_opened_again(disk, tmp_path):
    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "a" / "b").mkdir(parents=True)
    disk.write("a/b/new", b"2", 0o666)
    disk.rename_noreplace("old/b/f", "a/b/f")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["f", "new"]
    assert list((tmp_path / "old" / "b").iterdir()) == []


def test_a_bounded_number_is_held(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_FOLDERS", 3)
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        disk.mkdir(f"{number}")
        disk.write(f"{number}/f", b"%d" % number, 0o666)
        disk.rename(f"{number}/f", f"a/b/{number}")
    assert len(os.listdir("/proc/self/fd")) <= before + 3
    assert disk.read("a/b/0")[0] == b"0"
    assert len(list((tmp_path / "a" / "b").iterdir())) == 21
