from __future__ import annotations

import os
import shutil
from pathlib import Path
from threading import Event

import pytest

from towline.errors import Cancelled, LinkRefused, UnsafeOwner
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.cache import Cache
from towline.testing.git_repository import run_git

REVISION = Revision("1" * 40)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    cache = Cache(tmp_path / "cache.git")
    cache.ensure()
    return cache


def test_git_takes_it_for_a_repository(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a/cache.git")
    cache.ensure()
    assert run_git(cache.path, "rev-parse", "--is-bare-repository") == b"true\n"


def test_writers_take_turns(tmp_path: Path) -> None:
    cache, stop = Cache(tmp_path / "cache.git"), Event()
    stop.set()
    with (
        cache.lock(Watch()),
        pytest.raises(Cancelled),
        Cache(cache.path).lock(Watch(cancel=stop)),
    ):
        pytest.fail("two writers at once")
    with Cache(cache.path).lock(Watch(cancel=stop)):
        pass  # free again, so no process waits


def test_tips(cache: Cache) -> None:
    ref = cache.tip_name("https://h/a", "refs/heads/main")
    assert ref.startswith("refs/heads/"), "all that dulwich offers as known"
    assert ref != cache.tip_name("https://h/b", "refs/heads/main")
    assert cache.tip(ref) is None
    cache.set_tip(ref, REVISION)
    assert cache.tip(ref) == REVISION
    (cache.path / ref).write_text("garbage")
    assert cache.tip(ref) is None


def test_discarding(cache: Cache, tmp_path: Path) -> None:
    cache.set_tip("refs/heads/x", REVISION)
    cache.discard()
    assert cache.tip("refs/heads/x") is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache.git"]


def test_what_a_killed_process_was_removing_is_swept(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", lambda *_, **__: None)
        cache.remove()
    assert len(list(tmp_path.iterdir())) == 1
    with cache.lock(Watch()):
        cache.sweep()
    assert {entry.name for entry in tmp_path.iterdir()} == {"cache.git", "cache.git.lock"}


def test_tips_of_what_is_gone_are_forgotten(cache: Cache) -> None:
    ref = cache.tip_name("https://h/a", "refs/heads/main")
    cache.set_tip(ref, REVISION)
    assert not cache.has_objects
    cache.ensure()
    assert cache.tip(ref) is None


def test_foreign_settings_are_taken_back(cache: Cache) -> None:
    ours = (cache.path / "config").read_text()
    (cache.path / "config").write_text("[include]\n\tpath = /tmp/x\n")
    (cache.path / "commondir").write_text("/tmp/x\n")
    cache.guard()
    assert (cache.path / "config").read_text() == ours
    assert not (cache.path / "commondir").exists()


def test_packs_that_git_takes_away_meanwhile_are_passed_over(cache: Cache) -> None:
    packs = cache.path / "objects/pack"
    (packs / "tmp_pack_here").write_bytes(b"12345")
    (packs / "tmp_pack_gone").symlink_to(packs / "nowhere")
    (packs / "pack-gone.pack").symlink_to(packs / "nowhere")
    assert cache.unfinished_bytes() == 5
    assert cache.packs() == {}


@pytest.mark.parametrize("name", ["", "config", "objects", "objects/pack", "refs", "HEAD"])
def test_a_link_in_it_or_in_its_place_is_not_followed(tmp_path: Path, name: str) -> None:
    cache, elsewhere = Cache(tmp_path / "cache.git"), tmp_path / "elsewhere"
    cache.ensure()
    (cache.path / name).rename(elsewhere)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    (cache.path / name).symlink_to(elsewhere)
    for use in (cache.guard, cache.ensure):
        with pytest.raises(LinkRefused, match=name.rpartition("/")[2] or "cache.git"):
            use()
    with pytest.raises(LinkRefused), cache.lock(Watch()):
        pytest.fail("it was entered")
    after = {file: file.read_bytes() for file in elsewhere.rglob("*") if file.is_file()}
    assert after.items() <= before.items()


def test_a_link_in_place_of_its_lock_is_not_followed(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.git")
    (tmp_path / "cache.git.lock").symlink_to(tmp_path / "made")
    with pytest.raises(LinkRefused, match="lock"), cache.lock(Watch()):
        pytest.fail("it was locked")
    assert not (tmp_path / "made").exists()


def test_what_takes_its_path_is_not_entered(cache: Cache, tmp_path: Path) -> None:
    with cache.working_directory() as folder:
        cache.path.rename(tmp_path / "moved")
        cache.path.symlink_to(tmp_path)
        assert sorted(os.listdir(folder)) == sorted(os.listdir(tmp_path / "moved"))
    with pytest.raises(NotADirectoryError), cache.working_directory():
        pytest.fail("it was followed")


def test_a_part_that_someone_else_made_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, us = Cache(tmp_path / "cache.git"), os.geteuid()
    cache.ensure()
    owners = {"config": us + 1}
    stat = os.stat

    def claimed(path, *, dir_fd=None, follow_symlinks=True):
        found = stat(path, dir_fd=dir_fd, follow_symlinks=follow_symlinks)
        owner = found.st_uid if isinstance(path, int) else owners.get(Path(path).name, us)
        return os.stat_result((*found[:4], owner, *found[5:]))

    monkeypatch.setattr(os, "stat", claimed)
    with pytest.raises(UnsafeOwner, match="config"):
        cache.guard()
    # The owner of the folder around it could put anything there anyway.
    owners[tmp_path.name] = us + 1
    cache.guard()
