"""What holds for Git repositories beyond the port: refs, formats, caches, costs."""

from __future__ import annotations

import fcntl
import gc
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.backends import ENVIRONMENT
from towline.changes import RemoteAsset
from towline.errors import (
    Cancelled,
    EmptyRepository,
    InvalidValue,
    RefNotFound,
    RemoteRefused,
    TowlineError,
    UnsupportedRemote,
)
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetPath, Digest, Revision
from towline.ports import Watch
from towline.remotes.backends import Backend
from towline.remotes.git import GitRemote
from towline.remotes.history import commits_between
from towline.remotes.memory import MemoryRemote
from towline.remotes.objects import CacheReader
from towline.testing.git_repository import GitRepository, sha256_repository

LIMITS, WATCH, ALL = Limits(), Watch(), Kinds(hidden=True)

backends = pytest.mark.parametrize("backend", Backend)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "project.git")


def opened(path: Path, backend: Backend, ref: str | None = "main", cache: Path | None = None):
    return GitRemote(str(path), ref=ref, cache=cache, backend=backend, environment=ENVIRONMENT)


def fetched(path: Path, backend: Backend, ref: str | None = "main") -> tuple[Revision, Revision]:
    """The revisions that resolving and fetching return."""
    with opened(path, backend, ref) as remote:
        return remote.resolve(LIMITS, WATCH), remote.fetch(None, LIMITS, WATCH)


class TestRefs:
    @backends
    def test_every_way_to_name_a_commit(self, repository: GitRepository, backend: Backend) -> None:
        first = repository.commit({"a": b"1"})
        repository.tag("annotated", repository.tag("inner", first))
        repository.set_ref("refs/tags/light", first)
        repository.set_ref("refs/notes/x", first)
        second = repository.commit({"a": b"2"})
        repository.commit({"a": b"3"}, ref="feature/x")
        for ref, revision in {
            None: second,
            "HEAD": second,
            "main": second,
            "heads/main": second,
            "refs/heads/main": second,
            "annotated": first,
            "tags/annotated": first,
            "refs/tags/annotated": first,
            "light": first,
            "refs/notes/x": first,
            "feature/x": repository.tip("feature/x"),
            second: second,
        }.items():
            assert fetched(repository.path, backend, ref) == (revision, revision), ref

    @backends
    def test_a_branch_comes_before_a_tag(self, repository: GitRepository, backend: Backend) -> None:
        tagged = repository.commit({"a": b"1"})
        repository.tag("twice", tagged)
        branched = repository.commit({"a": b"2"}, ref="twice")
        assert fetched(repository.path, backend, "twice") == (branched, branched)
        assert fetched(repository.path, backend, "tags/twice") == (tagged, tagged)

    @backends
    def test_a_tag_that_moves(self, repository: GitRepository, backend: Backend) -> None:
        first = repository.commit({"a": b"1"})
        repository.tag("v1", first)
        with opened(repository.path, backend, "v1") as remote:
            assert remote.fetch(None, LIMITS, WATCH) == first
            assert remote.fetch(None, LIMITS, WATCH) == first
            second = repository.commit({"a": b"2"})
            repository.tag("v1", second)
            assert remote.fetch(None, LIMITS, WATCH) == second
            third = repository.commit({"a": b"3"}, ref="v1")
            assert remote.fetch(None, LIMITS, WATCH) == third, "a branch now"

    @backends
    def test_a_commit_that_is_on_no_branch_tip(
        self, repository: GitRepository, backend: Backend
    ) -> None:
        first = repository.commit({"a": b"1"})
        repository.commit({"a": b"2"})
        with opened(repository.path, backend, first) as remote:
            assert remote.fetch(None, LIMITS, WATCH) == first
            assert list(remote.listing(first, ALL, LIMITS, WATCH)) == ["a"]

    @backends
    def test_head_of_no_branch(self, repository: GitRepository, backend: Backend) -> None:
        repository.commit({"a": b"1"}, ref="other")
        repository.set_head("unborn")
        with opened(repository.path, backend, None) as remote:
            with pytest.raises(EmptyRepository):
                remote.resolve(LIMITS, WATCH)
            with pytest.raises(EmptyRepository):
                remote.fetch(None, LIMITS, WATCH)
            assert remote.default_branch(LIMITS, WATCH) is None

    @backends
    def test_the_default_branch(self, repository: GitRepository, backend: Backend) -> None:
        repository.commit({"a": b"1"}, ref="team/trunk")
        repository.set_head("team/trunk")
        with opened(repository.path, backend) as remote:
            assert remote.default_branch(LIMITS, WATCH) == "team/trunk"

    @pytest.mark.parametrize(
        "ref", ["", "-x", "--upload-pack=touch", "a b", "a..b", "a:b", "*", "a\nb", "/a", "a.lock"]
    )
    def test_what_no_ref_can_be(self, ref: str) -> None:
        with pytest.raises(InvalidValue):
            GitRemote("/nowhere", ref=ref)


class TestFormats:
    @backends
    def test_sha256_is_not_read(self, tmp_path: Path, backend: Backend) -> None:
        sha256_repository(tmp_path / "r.git")
        with opened(tmp_path / "r.git", backend) as remote:
            with pytest.raises(UnsupportedRemote):
                remote.resolve(LIMITS, WATCH)
            with pytest.raises(UnsupportedRemote):
                remote.fetch(None, LIMITS, WATCH)

    @backends
    def test_there_is_no_repository(self, tmp_path: Path, backend: Backend) -> None:
        with (
            opened(tmp_path / "none.git", backend) as remote,
            pytest.raises(RemoteRefused, match=r"none\.git"),
        ):
            remote.fetch(None, LIMITS, WATCH)

    @backends
    def test_a_working_copy_is_a_remote_too(self, tmp_path: Path, backend: Backend) -> None:
        GitRepository(tmp_path / "work/.git").commit({"a": b"1"})
        (tmp_path / "work/.git/config").write_text("[core]\n\tbare = false\n")
        resolved, revision = fetched(tmp_path / "work", backend)
        assert resolved == revision

    @backends
    def test_above_the_pack_limit_history_is_left_out(
        self, repository: GitRepository, backend: Backend
    ) -> None:
        commits = [repository.commit({"a": _noise(number)}) for number in range(20)]
        with opened(repository.path, backend) as remote:
            limits = Limits(pack_bytes=30_000)
            assert remote.fetch(None, limits, WATCH) == commits[-1]
            assert not remote.has(commits[0])
            assert remote.rewritten(commits[0], commits[-1]) is None
            assert remote.rewritten(commits[-1], commits[-1]) is False
            assert len(remote.listing(commits[-1], ALL, limits, WATCH)) == 1
            later = repository.commit({"a": _noise(20)})
            assert remote.fetch(None, limits, WATCH) == later
            assert remote.rewritten(commits[-1], later) is False
            assert remote.rewritten(commits[0], later) is None

    @pytest.mark.parametrize("backend", [Backend.AUTO, Backend.GIT])
    def test_a_shallow_server(self, repository: GitRepository, backend: Backend) -> None:
        commits = [repository.commit({"a": b"%d" % number}) for number in range(5)]
        (repository.path / "shallow").write_text(commits[3] + "\n")
        with opened(repository.path, backend) as remote:
            assert remote.fetch(None, LIMITS, WATCH) == commits[4]
            assert remote.has(commits[3])
            assert not remote.has(commits[2])
            assert remote.rewritten(commits[3], commits[4]) is False
            assert remote.rewritten(commits[1], commits[4]) is None


def _noise(seed: int) -> bytes:
    return random.Random(seed).randbytes(5000)


class TestCache:
    @backends
    def test_a_temporary_cache_is_removed(
        self, repository: GitRepository, backend: Backend
    ) -> None:
        repository.commit({"a": b"1"})
        with opened(repository.path, backend) as remote:
            remote.fetch(None, LIMITS, WATCH)
            folder = remote._cache.path.parent
            assert folder.exists()
        assert not folder.exists()
        remote = opened(repository.path, backend)
        folder = remote._cache.path.parent
        del remote
        gc.collect()
        assert not folder.exists()

    def test_a_temporary_cache_of_a_killed_process_is_removed(
        self, repository: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        program = (
            "import os, signal; from towline import GitRemote\n"
            "remote = GitRemote('/x'); os.kill(os.getpid(), signal.SIGKILL)"
        )
        environment = {**os.environ, "TMPDIR": str(tmp_path)}
        subprocess.run([sys.executable, "-c", program], env=environment, check=False)
        (left,) = tmp_path.glob("towline-*")
        (left / "file").touch()
        with opened(repository.path, Backend.AUTO) as one:
            used = one._cache.path.parent
            assert list(tmp_path.glob("towline-*")) == [used]
            with opened(repository.path, Backend.AUTO):
                assert used.exists()
        assert not list(tmp_path.glob("towline-*"))

    @pytest.mark.parametrize("opened_before", [False, True])
    def test_a_temporary_cache_that_another_process_removed_is_made_again(
        self,
        repository: GitRepository,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        opened_before: bool,
    ) -> None:
        # With flock replaced, every cache in the temporary directory would be removed.
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        folders = iter([tmp_path / "1", tmp_path / "2"])
        for number in ("1", "2") if opened_before else ("2",):
            (tmp_path / number).mkdir()
        monkeypatch.setattr(tempfile, "mkdtemp", lambda **_: str(next(folders)))
        monkeypatch.setattr(fcntl, "flock", lambda *_: shutil.rmtree(tmp_path / "1", True))
        with opened(repository.path, Backend.AUTO) as remote:
            assert remote._cache.path.parent == tmp_path / "2"

    @backends
    def test_a_cache_is_used_again(
        self, repository: GitRepository, backend: Backend, tmp_path: Path
    ) -> None:
        base = repository.commit({"a": b"1"})
        cache = tmp_path / "deep/er/cache.git"
        with opened(repository.path, backend, cache=cache) as remote:
            remote.fetch(None, LIMITS, WATCH)
        with opened(repository.path, backend, cache=cache) as remote:
            assert remote.has(base)
            assert remote.fetch(None, LIMITS, WATCH) == base
            assert remote.traffic.bytes_down < 100

    @backends
    def test_backends_share_a_cache(
        self, repository: GitRepository, backend: Backend, tmp_path: Path
    ) -> None:
        base = repository.commit({"a": b"1"})
        cache = tmp_path / "cache.git"
        for number, other in enumerate((backend, *Backend)):
            revision = repository.commit({"a": b"%d" % number * 50})
            with opened(repository.path, other, cache=cache) as remote:
                assert remote.fetch(None, LIMITS, WATCH) == revision
                assert remote.has(base)
                assert len(remote.changes(base, revision, ALL, LIMITS, WATCH).items) == 1

    @backends
    def test_a_cache_of_garbage_is_rebuilt(
        self, repository: GitRepository, backend: Backend, tmp_path: Path
    ) -> None:
        base = repository.commit({"a": b"1" * 100})
        revision = repository.commit({"a": b"2" * 100})
        cache = tmp_path / "cache.git"
        for damage in (_cut_packs, _fill_packs, _break_config, _drop_a_pack_index):
            with opened(repository.path, backend, cache=cache) as remote:
                assert remote.fetch(None, LIMITS, WATCH) == revision
            damage(cache)
            with opened(repository.path, backend, cache=cache) as remote:
                assert remote.fetch(None, LIMITS, WATCH) == revision, damage
                found = remote.listing(revision, ALL, LIMITS, WATCH)[AssetPath("a")]
                assert isinstance(found, RemoteAsset)
                digest = Digest.of(b"2" * 100)
                assert dict(remote.contents([digest])) == {digest: b"2" * 100}
                remote.fetch(base, LIMITS, WATCH)
                assert remote.changes(base, revision, ALL, LIMITS, WATCH).items

    @pytest.mark.parametrize("backend", [Backend.AUTO, Backend.DULWICH])
    def test_two_processes_at_once(
        self, repository: GitRepository, backend: Backend, tmp_path: Path
    ) -> None:
        revision = repository.commit({f"{n % 7}/{n}": b"%d" % n for n in range(300)})
        program = (
            "import sys; from towline import GitRemote, Limits, Watch\n"
            "url, cache, backend, path = sys.argv[1:]\n"
            "from pathlib import Path\n"
            "remote = GitRemote(url, ref='main', cache=Path(cache), backend=backend,"
            " environment={'PATH': path})\n"
            "for _ in range(3): print(remote.fetch(None, Limits(), Watch()))\n"
            "remote.close()\n"
        )
        command = [sys.executable, "-c", program, str(repository.path), str(tmp_path / "c.git")]
        running = [
            subprocess.Popen(
                [*command, backend, ENVIRONMENT["PATH"]], stdout=subprocess.PIPE, text=True
            )
            for _ in range(3)
        ]
        for process in running:
            assert process.communicate()[0].split() == [revision] * 3
            assert process.returncode == 0

    def test_a_stopped_fetch_leaves_no_litter(
        self, repository: GitRepository, tmp_path: Path
    ) -> None:
        revision = repository.commit({"a": b"1"})
        cache = tmp_path / "cache.git"
        litter = cache / "objects/pack/tmp_pack_x"
        litter.parent.mkdir(parents=True)
        litter.write_bytes(b"half")
        with opened(repository.path, Backend.AUTO, cache=cache) as remote:
            assert remote.fetch(None, LIMITS, WATCH) == revision
        assert not litter.exists()


def _packs(cache: Path) -> list[Path]:
    found = sorted((cache / "objects/pack").glob("*.pack"))
    assert found
    for pack in found:
        pack.chmod(0o644)
    return found


def _cut_packs(cache: Path) -> None:
    for pack in _packs(cache):
        pack.write_bytes(pack.read_bytes()[: pack.stat().st_size // 2])


def _fill_packs(cache: Path) -> None:
    for pack in _packs(cache):
        pack.write_bytes(b"\xaa" * pack.stat().st_size)


def _break_config(cache: Path) -> None:
    (cache / "config").write_text("[core\n")


def _drop_a_pack_index(cache: Path) -> None:
    for index in (cache / "objects/pack").glob("*.idx"):
        index.unlink()


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


class TestCosts:
    @backends
    def test_what_arrives_is_reported_once(
        self, repository: GitRepository, backend: Backend
    ) -> None:
        reported, commits = list[Revision](), list[Revision]()
        with opened(repository.path, backend) as remote:
            for content in (b"1", b"2"):
                revision = repository.commit({"a": content})
                watch = Watch(arriving=partial(reported.append, revision))
                commits.append(remote.fetch(None, LIMITS, watch))
                remote.fetch(None, LIMITS, watch)
        assert reported == commits

    def test_reading_what_changed_starts_two_processes(
        self, repository: GitRepository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base = repository.commit({"a": b"1"})
        with opened(repository.path, Backend.GIT) as remote:
            remote.fetch(None, LIMITS, WATCH)
            revision = repository.commit({"a": b"2"})
            remote.fetch(None, LIMITS, WATCH)
            started: list[list[str]] = []

            class Popen(subprocess.Popen[bytes]):
                def __init__(self, command: list[str], **options: Any) -> None:
                    started.append(command)
                    super().__init__(command, **options)

            monkeypatch.setattr(subprocess, "Popen", Popen)
            assert remote.has(base)
            changes = remote.changes(base, revision, ALL, LIMITS, WATCH)
            assert changes.history_rewritten is False
            assert dict(remote.contents([Digest.of(b"2")])) == {Digest.of(b"2"): b"2"}
        assert [command[1:] for command in started] == [
            ["cat-file", "--batch-check"],
            ["cat-file", "--batch"],
        ]

    def test_finding_nothing_new_imports_no_git_library(
        self, repository: GitRepository, tmp_path: Path
    ) -> None:
        repository.commit({"a": b"1"})
        program = (
            "import sys; from towline import GitRemote, Limits, Watch\n"
            "from pathlib import Path\n"
            "def go():\n"
            "    remote = GitRemote(sys.argv[1], ref='main', cache=Path(sys.argv[2]),"
            " environment={'PATH': sys.argv[3]})\n"
            "    revision = remote.fetch(None, Limits(), Watch())\n"
            "    assert remote.resolve(Limits(), Watch()) == revision\n"
            "    assert remote.has(remote.fetch(revision, Limits(), Watch()))\n"
            "    remote.close()\n"
            "go(); go()\n"
            "print(*(n for n in ('pygit2', 'dulwich', 'pydantic', 'deepdiff', 'urllib3')"
            " if n in sys.modules))\n"
        )
        command = [sys.executable, "-c", program, str(repository.path), str(tmp_path / "c.git")]
        ended = _run([*command, ENVIRONMENT["PATH"]])
        assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stderr

    def test_packages_import_no_git_library(self) -> None:
        program = (
            "import sys; from towline import GitRemote, MemoryRemote\n"
            "print(*(n for n in ('pygit2', 'dulwich', 'pydantic', 'urllib3') if n in sys.modules))"
        )
        ended = _run([sys.executable, "-c", program])
        assert (ended.returncode, ended.stdout.strip()) == (0, ""), ended.stderr


class TestWithoutGit:
    def test_dulwich_does_it_all(self, repository: GitRepository, tmp_path: Path) -> None:
        revision = repository.commit({"a": b"1"})
        empty = {"PATH": str(tmp_path)}
        with GitRemote(str(repository.path), ref="main", environment=empty) as remote:
            assert remote.fetch(None, LIMITS, WATCH) == revision
            assert list(remote.listing(revision, ALL, LIMITS, WATCH)) == ["a"]
        with pytest.raises(InvalidValue):
            GitRemote(str(repository.path), backend=Backend.GIT, environment=empty)


@backends
def test_commit_times(repository: GitRepository, backend: Backend) -> None:
    revision = repository.commit({"a": b"1"}, time=1_600_000_000)
    with opened(repository.path, backend) as remote:
        remote.fetch(None, LIMITS, WATCH)
        time = remote.commit_time(revision)
        assert time is not None
        assert time.timestamp() == 1_600_000_000
        with pytest.raises(TowlineError):
            remote.commit_time(Revision("1" * 40))


@backends
def test_the_commits_between_two_are_those_of_git(
    repository: GitRepository, backend: Backend
) -> None:
    """Histories that fork and merge, under clocks that are an hour off."""
    chance = random.Random(5)
    commits: list[Revision] = []
    for number in range(60):
        parents = chance.sample(commits[-8:], min(len(commits), chance.choice([1, 1, 2])))
        time = 1_700_000_000 + 600 * number + chance.choice([0, 0, 0, -3600])
        commits.append(repository.commit({"a": b"1"}, parents=parents, time=time))
    repository.commit({"a": b"1"}, parents=commits)
    with opened(repository.path, backend) as remote:
        remote.fetch(None, LIMITS, WATCH)
        for _ in range(40):
            base, revision = chance.sample(commits, 2)
            found = remote.commits(base, revision)
            assert found is not None
            between = repository.git("rev-list", f"{base}..{revision}").decode().split()
            assert {commit.id for commit in found} == set(between), (base, revision)


@backends
def test_the_first_parents_between_two_are_those_of_git(
    repository: GitRepository, backend: Backend
) -> None:
    chance = random.Random(11)
    commits: list[Revision] = []
    for _ in range(40):
        parents = chance.sample(commits[-6:], min(len(commits), chance.choice([1, 1, 2])))
        commits.append(repository.commit({"a": b"1"}, parents=parents))
    tip = repository.commit({"a": b"1"}, parents=[commits[-1], commits[-2]])
    branch = repository.git("rev-list", "--first-parent", "--reverse", tip).decode().split()
    with opened(repository.path, backend) as remote:
        remote.fetch(None, LIMITS, WATCH)
        for base in commits:
            found = remote.first_parents(base, tip)
            after = branch[branch.index(base) + 1 :] if base in branch else None
            assert (found if found is None else [commit.id for commit in found]) == after
        assert remote.first_parents(tip, tip) == []
        assert remote.first_parents(tip, Revision("1" * 40)) is None
        token = threading.Event()
        token.set()
        with pytest.raises(Cancelled):
            remote.first_parents(commits[0], tip, Watch(cancel=token))


@backends
def test_the_last_change_of_a_path_is_that_of_git(
    repository: GitRepository, backend: Backend
) -> None:
    """Histories that fork and merge, in which files come, change and go."""
    chance = random.Random(7)
    commits: list[Revision] = []
    trees: dict[Revision, dict[str, bytes]] = {}
    paths = ["a", "d/a", "d/e/b", "d"]
    for number in range(50):
        parents = chance.sample(commits[-5:], min(len(commits), chance.choice([1, 1, 1, 2])))
        files = dict(trees[parents[0]]) if parents else {"z/z": b"1"}
        path = chance.choice(paths[:3])
        if path in files and chance.random() < 0.3:
            del files[path]
        else:
            files[path] = chance.choice([b"1", b"2"])
        scoped = {f"sub/{name}": content for name, content in files.items()}
        time = 1_700_000_000 + 600 * number
        commits.append(repository.commit(scoped, parents=parents, time=time))
        trees[commits[-1]] = files
    repository.commit({"a": b"1"}, parents=commits)
    with GitRemote(
        str(repository.path), ref="main", scope="sub", backend=backend, environment=ENVIRONMENT
    ) as remote:
        remote.fetch(None, LIMITS, WATCH)
        for revision in commits[-12:]:
            for path in paths:
                found = remote.last_change(AssetPath(path), revision)
                command = ["log", "-1", "--format=%H", revision, "--", f":(literal)sub/{path}"]
                expected = repository.git(*command).decode().strip()
                assert (found.id if found is not None else "") == expected, (revision, path)
        assert remote.last_change(AssetPath("never"), commits[-1]) is None
        assert remote.last_change(AssetPath("a"), Revision("1" * 40)) is None


@backends
def test_commits_cost_what_is_between_and_say_who_wrote_what(
    repository: GitRepository, backend: Backend
) -> None:
    *_, base = [repository.commit({"a": b"1"}, time=1_600_000_000 + at) for at in range(50)]
    repository.flush()
    tree = repository.git("rev-parse", f"{base}^{{tree}}").decode().strip()
    command = ["commit-tree", tree, "-p", base, "-F", "-"]
    utf8, latin = "Prüfe\nalles\n\nMehr.\n".encode(), "Prüfe\n".encode("latin-1")
    first = repository.git(*command, stdin=utf8).decode().strip()
    command = ["-c", "i18n.commitEncoding=latin1", "commit-tree", tree, "-p", first, "-F", "-"]
    tip = Revision(repository.git(*command, stdin=latin).decode().strip())
    repository.set_ref("main", tip)
    with opened(repository.path, backend) as remote:
        remote.fetch(None, LIMITS, WATCH)
        found = remote.commits(base, tip)
        assert found is not None
        assert [(commit.id, commit.author, commit.subject) for commit in found] == [
            (tip, "towline", "Prüfe"),
            (first, "towline", "Prüfe alles"),
        ]
        assert remote.commits(tip, tip) == []
        assert remote.commits(Revision("1" * 40), tip) is None
        reads: list[str] = []
        reader: CacheReader = remote._reader()

        class Counting(MemoryRemote):
            def header(self, oid: str) -> tuple[str, int]:
                return reader.header(oid)

            def read(self, oid: str) -> tuple[str, bytes]:
                reads.append(oid)
                return reader.read(oid)

        commits_between(Counting(), base, tip)
        assert len(reads) < 12


@backends
def test_no_hook_or_filter_of_the_remote_runs(
    repository: GitRepository, backend: Backend, tmp_path: Path
) -> None:
    trap = tmp_path / "sprung"
    hook = repository.path / "hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {trap}\n")
    hook.chmod(0o755)
    (repository.path / "config").write_text(
        "[core]\n\tbare = true\n\trepositoryformatversion = 0\n"
        f"[uploadpack]\n\tpackObjectsHook = touch {trap};\n"
        f"[core]\n\tfsmonitor = touch {trap}\n"
    )
    revision = repository.commit({"a": b"1", ".gitattributes": b"* filter=x\n"})
    with opened(repository.path, backend) as remote:
        assert remote.fetch(None, LIMITS, WATCH) == revision
        assert len(remote.listing(revision, ALL, LIMITS, WATCH)) == 2
    assert not trap.exists()


@backends
def test_a_missing_ref_is_in_the_error(repository: GitRepository, backend: Backend) -> None:
    repository.commit({"a": b"1"})
    with opened(repository.path, backend, "no/such") as remote, pytest.raises(RefNotFound) as got:
        remote.fetch(None, LIMITS, WATCH)
    assert (got.value.ref, got.value.url) == ("no/such", str(repository.path))


class TestTrust:
    def test_a_prepared_cache_runs_nothing(self, repository: GitRepository, tmp_path: Path) -> None:
        """A cache in a folder that someone else made: its settings do not count."""
        revision = repository.commit({"a": b"1"})
        trap, cache = tmp_path / "sprung", tmp_path / "cache.git"
        with opened(repository.path, Backend.AUTO, cache=cache) as remote:
            remote.fetch(None, LIMITS, WATCH)
        (cache / "config").write_text(
            "[core]\n\tbare = true\n\trepositoryformatversion = 1\n"
            f"\tfsmonitor = touch {trap}\n\tsshCommand = touch {trap};\n"
            f"\talternateRefsCommand = touch {trap};\n"
            "[extensions]\n\tpartialClone = origin\n"
            f'[remote "origin"]\n\turl = {repository.path}\n\tpromisor = true\n'
            f"\tuploadpack = touch {trap};\n"
            f'[url "{tmp_path}/elsewhere"]\n\tinsteadOf = {repository.path}\n'
        )
        (cache / "objects/info/alternates").write_text(f"{tmp_path}/elsewhere/objects\n")
        with opened(repository.path, Backend.AUTO, cache=cache) as remote:
            assert not remote.has(Revision("1" * 40))
            assert remote.fetch(None, LIMITS, WATCH) == revision
            assert len(remote.listing(revision, ALL, LIMITS, WATCH)) == 1
        assert not trap.exists()
        assert not (cache / "objects/info/alternates").exists()


@pytest.mark.parametrize("backend", [Backend.AUTO, Backend.GIT])
def test_packs_do_not_pile_up(
    repository: GitRepository, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("towline.remotes.git_fetch.MANY_PACKS", 3)
    root = repository.commit({"a": b"0"})
    old = repository.commit({"a": b"rewritten"})
    with opened(repository.path, backend) as remote:
        remote.fetch(None, LIMITS, WATCH)
        tip = repository.commit({"a": b"1"}, parents=[root])
        for number in range(8):
            tip = repository.commit({"a": b"%d" % number})
            assert remote.fetch(None, LIMITS, WATCH) == tip
            assert len(remote._cache.packs()) <= 4
            assert remote.changes(old, tip, ALL, LIMITS, WATCH).history_rewritten is True
