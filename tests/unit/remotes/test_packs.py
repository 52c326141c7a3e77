from __future__ import annotations

import os
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.errors import LimitExceeded, TowlineError
from towline.limits import Limits
from towline.model import Digest
from towline.ports import Traffic, Watch
from towline.remotes.backends import Backend
from towline.remotes.cache import Cache, ObjectMissing
from towline.remotes.fetcher import FetchRequest, Unexplained
from towline.remotes.git import GitRemote
from towline.remotes.objects import GitReader, Pygit2Reader
from towline.remotes.packs import DulwichReader, check_pack
from towline.remotes.url import RemoteUrl
from towline.testing.git_repository import (
    GitRepository,
    entry_header,
    pack_of,
    pack_of_entries,
)

LIMITS, WATCH = Limits(), Watch()
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
REQUEST = FetchRequest(RemoteUrl.parse("/nowhere"), None, Limits(), Watch(), Traffic())


def check(pack: bytes, folder: Path) -> None:
    path = folder / "pack"
    path.write_bytes(pack)
    with path.open("rb") as file:
        check_pack(file.fileno(), REQUEST)


def test_readers_agree_on_deltas(tmp_path: Path) -> None:
    """Sizes and types through chains of deltas, as git, libgit2 and dulwich report them."""
    repository = GitRepository(tmp_path / "r.git")
    lines = [b"line %d\n" % n for n in range(500)]
    for number in range(12):
        lines[40 * number : 40 * number] = [b"new %d\n" % n for n in range(number)]
        repository.commit({"a": b"".join(lines), "d/b": b"x" * number})
    repository.git("repack", "-a", "-d", "-f", "--depth=5")
    everything = repository.git("cat-file", "--batch-check", "--batch-all-objects").decode()
    oids = [line.split()[0] for line in everything.splitlines()]
    deltas = repository.git("verify-pack", "-v", *_packs(repository)).decode()
    assert "chain length = 2" in deltas
    cache = Cache(repository.path)
    with closing(GitReader("git", cache, ENVIRONMENT)) as git:
        others = (DulwichReader(cache), Pygit2Reader("git", cache, ENVIRONMENT))
        for oid in oids:
            for other in others:
                assert other.header(oid) == git.header(oid)
                assert other.read(oid) == git.read(oid)
        for other in others:
            other.close()


def _packs(repository: GitRepository) -> list[str]:
    return [str(pack) for pack in (repository.path / "objects/pack").glob("*.idx")]


def test_honest_packs_pass(tmp_path: Path) -> None:
    check(pack_of([]), tmp_path)
    check(pack_of([("blob", b""), ("blob", b"x" * 100_000), ("tag", b"t")]), tmp_path)
    repository = GitRepository(tmp_path / "r.git")
    text = b"".join(b"line %d\n" % n for n in range(500))
    for number in range(5):
        repository.commit({"a": text + b"%d" % number})
    repository.git("repack", "-a", "-d", "-f")
    for pack in (repository.path / "objects/pack").glob("*.pack"):
        check(pack.read_bytes(), tmp_path)


def test_an_entry_that_claims_much(tmp_path: Path) -> None:
    entry = entry_header(3, 2**40) + zlib.compress(b"")
    with pytest.raises(LimitExceeded) as caught:
        check(pack_of_entries([entry]), tmp_path)
    assert caught.value.found == 4 * 2**40


def test_an_entry_that_holds_more_than_it_claims(tmp_path: Path) -> None:
    entry = entry_header(3, 10) + zlib.compress(b"\0" * 10_000_000)
    with pytest.raises(Unexplained):
        check(pack_of_entries([entry]), tmp_path)


@given(st.binary(max_size=60), st.integers(0, 100))
@settings(max_examples=200)
def test_no_pack_is_too_odd(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("pack")
    whole = pack_of([("blob", b"some content"), ("tree", b"")])
    for pack in (whole[:cut] + junk, pack_of_entries([junk])):
        if pack:
            try:
                check(pack, folder)
            except (Unexplained, LimitExceeded):
                continue


def test_a_remote_of_garbage_is_a_typed_error(tmp_path: Path) -> None:
    """One typed error from each backend for a repository whose objects are damaged."""
    repository = GitRepository(tmp_path / "r.git")
    repository.commit({"a": b"1" * 100})
    for pack in (repository.path / "objects/pack").glob("*.pack"):
        pack.chmod(0o644)
        pack.write_bytes(b"\xaa" * pack.stat().st_size)
    for backend in Backend:
        with (
            GitRemote(
                str(repository.path), ref="main", backend=backend, environment=ENVIRONMENT
            ) as remote,
            pytest.raises(TowlineError),
        ):
            remote.fetch(None, LIMITS, WATCH)


def test_what_git_was_asked_for_in_advance_is_not_asked_again(tmp_path):
    repository = GitRepository(tmp_path / "r.git")
    contents = {f"f{number}": b"%d" % number * number for number in range(1, 700)}
    commit = repository.commit(contents)
    cache = Cache(repository.path)
    with closing(GitReader("git", cache, dict(os.environ))) as reader:
        oids = [str(Digest.of(content)) for content in contents.values()]
        large = str(Digest.of(contents["f699"]))
        reader.prefetch(["0" * 40, *oids, commit], len(contents["f698"]))
        children, reader._children = reader._children, {}
        reader._executable = "no git is asked"
        for oid, content in zip(oids, contents.values(), strict=True):
            assert reader.header(oid) == ("blob", len(content))
            if oid != large:
                assert reader.read(oid) == ("blob", content)
        reader._children, reader._executable = children, "git"
        assert reader.read(large) == ("blob", contents["f699"])
        with pytest.raises(ObjectMissing):
            reader.header("0" * 40)
        assert reader.header(commit)[0] == "commit"
