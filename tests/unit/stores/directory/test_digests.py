"""When a digest may be taken from what the file system says, and when not."""

import os
import sqlite3
from contextlib import closing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.stores.later_disk import LaterDisk
from towline.model import Digest
from towline.stores.directory.digests import SETTLED, DigestCache, HashedFile, PulledFiles
from towline.stores.directory.files import FileStat, FileType, stored_inode

SECOND = 10**9
SEEN = FileStat(
    FileType.FILE, 4, 5 * SECOND + 1, 6 * SECOND, inode=7, mode=0o644, device=8, owner=0
)
CHECKED = HashedFile(digest=Digest.of(b"1111"), checked_ns=9 * SECOND, stat=SEEN)


def pulled_row(path, place, **change):
    found = path.stat()
    row = {
        "id": place,
        "place": place,
        "size": found.st_size,
        "mtime_ns": found.st_mtime_ns,
        "ctime_ns": found.st_ctime_ns,
        "inode": stored_inode(found),
        "executable": 0,
    }
    return tuple((row | change).values())


@pytest.mark.parametrize(
    "change",
    [{"size": 5}, {"mtime_ns": 1}, {"ctime_ns": 1}, {"inode": 1}, {"executable": 1}, {}],
    ids=str,
)
def test_a_scan_leaves_out_what_looks_as_it_was_pulled(tmp_path, change):
    for name in "ab":
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "folder").mkdir()
    rows = [pulled_row(tmp_path / "a", "d/a", **change), pulled_row(tmp_path / "b", "d/b")]
    pulled = PulledFiles([*rows, ("gone", None, *[None] * 5)], reads_executable=True)
    with os.scandir(tmp_path) as entries:
        found = {name for name, _ in pulled.others("d", entries)}
    assert found == {"folder", *(["a"] if change else [])}
    assert pulled.unchanged == 2 - bool(change)
    assert pulled.changed() == ["gone", *(["d/a"] if change else [])]


def test_a_bit_that_is_not_read_from_the_files_does_not_count(tmp_path):
    (tmp_path / "a").write_bytes(b"1")
    row = pulled_row(tmp_path / "a", "a", executable=1)
    pulled = PulledFiles([row], reads_executable=False)
    with os.scandir(tmp_path) as entries:
        assert list(pulled.others("", entries)) == []


@given(st.integers(0, 4 * SECOND), st.integers(-3 * SECOND, 3 * SECOND))
@example(2 * SECOND, 2 * SECOND)
@example(2 * SECOND, 2 * SECOND + 1)
@example(SECOND + 1, 20_000_000)
@example(SECOND + 1, 20_000_001)
def test_the_state_file_knows_the_same_rule(mtime_ns, later_ns):
    stat = SEEN._replace(mtime_ns=mtime_ns)
    checked = HashedFile(digest=CHECKED.digest, checked_ns=mtime_ns + later_ns, stat=stat)
    with closing(sqlite3.connect(":memory:")) as connection:
        found = connection.execute(
            f"SELECT {SETTLED} FROM (SELECT ? AS mtime_ns, ? AS checked_ns)",
            (mtime_ns, checked.checked_ns),
        ).fetchone()
    assert bool(found[0]) == checked.is_current_for(stat)


@pytest.fixture
def disk(tmp_path):
    disk = LaterDisk(tmp_path)
    yield disk
    disk.close()


def test_it_holds_for_what_looks_the_same():
    assert CHECKED.is_current_for(SEEN)
    assert CHECKED.is_current_for(SEEN._replace(mode=0o755)), "permissions are no content"
    assert CHECKED.is_current_for(SEEN._replace(device=9)), "devices are renumbered at a restart"
    assert HashedFile.of_row(CHECKED.row()).is_current_for(SEEN)


@pytest.mark.parametrize(
    "change",
    [{"size": 5}, {"mtime_ns": 1}, {"ctime_ns": 1}, {"inode": 1}, {"type": FileType.OTHER}],
    ids=str,
)
def test_it_does_not_hold_for_what_looks_otherwise(change):
    assert not CHECKED.is_current_for(SEEN._replace(**change))


@pytest.mark.parametrize(
    ("mtime_ns", "after", "holds"),
    [(SECOND + 1, 20, False), (SECOND + 1, 21, True), (SECOND, 2000, False), (SECOND, 2001, True)],
)
def test_it_does_not_hold_for_what_was_written_when_it_was_checked(mtime_ns, after, holds):
    stat = SEEN._replace(mtime_ns=mtime_ns)
    checked = CHECKED._replace(stat=stat, checked_ns=mtime_ns + after * 10**6)
    assert checked.is_current_for(stat) == holds


def check(cache, disk, path="a"):
    checked = cache.hashed(path, disk.stat(path))
    assert checked is not None
    return checked


def test_a_restored_time_does_not_hide_an_edit(disk, tmp_path):
    cache = DigestCache(disk, lambda _: None)
    place = tmp_path / "a"
    place.write_bytes(b"1111")
    before = place.stat()
    assert check(cache, disk).digest == Digest.of(b"1111")
    while place.stat().st_ctime_ns == before.st_ctime_ns:
        place.write_bytes(b"2222")
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert check(cache, disk).digest == Digest.of(b"2222")


def test_a_file_is_opened_once(disk, tmp_path):
    cache = DigestCache(disk, lambda _: None)
    (tmp_path / "a").write_bytes(b"1")
    for _ in range(3):
        assert check(cache, disk).digest == Digest.of(b"1")
    assert disk.counts["read"] == 1
    assert list(cache.pending) == ["a"]
    cache.clear_pending()
    assert cache.last("a") is None


def test_permissions_are_those_of_now(disk, tmp_path):
    cache = DigestCache(disk, lambda _: None)
    (tmp_path / "a").write_bytes(b"1")
    assert not check(cache, disk).stat.executable
    (tmp_path / "a").chmod(0o755)
    assert check(cache, disk).stat.executable


def test_a_file_that_went_meanwhile_has_none(disk, tmp_path):
    cache = DigestCache(disk, lambda _: None)
    (tmp_path / "a").write_bytes(b"1")
    stat = disk.stat("a")
    (tmp_path / "a").unlink()
    assert cache.hashed("a", stat) is None
