from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from towline.errors import Cancelled
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.cache import Cache
from towline.testing.git_repository import run_git

REVISION = Revision("1" * 40)


def test_git_takes_it_for_a_repository(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "a/cache.git")
    cache.ensure()
    assert run_git(cache.path, "rev-parse", "--is-bare-repository") == b"true\n"


def test_writers_take_turns(tmp_path: Path) -> None:
    cache, stop = Cache(tmp_path / "cache.git"), Event()
    stop.set()
    with (
        cache.writing(Watch()),
        pytest.raises(Cancelled),
        Cache(cache.path).writing(Watch(cancel=stop)),
    ):
        pytest.fail("two writers at once")
    with Cache(cache.path).writing(Watch(cancel=stop)):
        pass  # free again, so nobody waits


def test_tips(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.git")
    cache.ensure()
    ref = cache.tip_name("https://h/a", "refs/heads/main")
    assert ref.startswith("refs/heads/"), "all that dulwich offers as known"
    assert ref != cache.tip_name("https://h/b", "refs/heads/main")
    assert cache.tip(ref) is None
    cache.set_tip(ref, REVISION)
    assert cache.tip(ref) == REVISION
    (cache.path / ref).write_text("garbage")
    assert cache.tip(ref) is None


def test_discarding(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.git")
    cache.ensure()
    cache.set_tip("refs/heads/x", REVISION)
    cache.discard()
    assert cache.tip("refs/heads/x") is None
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache.git"]


def test_tips_of_what_is_gone_are_forgotten(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.git")
    cache.ensure()
    ref = cache.tip_name("https://h/a", "refs/heads/main")
    cache.set_tip(ref, REVISION)
    assert not cache.used
    cache.ensure()
    assert cache.tip(ref) is None


def test_foreign_settings_are_taken_back(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.git")
    cache.ensure()
    ours = (cache.path / "config").read_text()
    (cache.path / "config").write_text("[include]\n\tpath = /tmp/x\n")
    (cache.path / "commondir").write_text("/tmp/x\n")
    cache.guard()
    assert (cache.path / "config").read_text() == ours
    assert not (cache.path / "commondir").exists()


def test_packs_that_git_takes_away_meanwhile_are_passed_over(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache.git")
    cache.ensure()
    packs = cache.path / "objects/pack"
    (packs / "tmp_pack_here").write_bytes(b"12345")
    (packs / "tmp_pack_gone").symlink_to(packs / "nowhere")
    (packs / "pack-gone.pack").symlink_to(packs / "nowhere")
    assert cache.unfinished_bytes() == 5
    assert cache.packs() == {}
