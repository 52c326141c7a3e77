"""HTTP servers that want credentials, refuse, redirect, cut off, stay silent or lie."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from threading import Event

import pytest

from tests.contracts.backends import ENVIRONMENT
from tests.contracts.hostile import repeating_delta, sends_pack
from towline.errors import (
    AuthenticationFailed,
    Cancelled,
    LimitExceeded,
    PermissionDenied,
    RateLimited,
    RedirectRefused,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
    TowlineError,
)
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.backends import Backend
from towline.remotes.credentials import Credential, Credentials, fixed
from towline.remotes.git import GitRemote
from towline.remotes.trees import object_id
from towline.testing.git_repository import GitRepository, pack_entry, pack_of_entries
from towline.testing.git_server import Answers, CutsOff, GitServer, StaysSilent, Trouble

LIMITS, WATCH = Limits(), Watch()
# Of whole seconds, the fewest: what stays silent is waited for once.
HURRIED = Limits(idle_seconds=1, connect_seconds=2)
SECRET = Credential("someone", "hunter2-geheim")
DISCOVERY = "/info/refs?service=git-upload-pack"


class ServedRepository:
    """A server with one repository, and remotes of one backend over it."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self.repository = GitRepository(folder / "served/project.git")
        self.tip = self.repository.commit({f"{n}": b"%d" % n for n in range(200)})
        self.server = GitServer(folder / "served")
        self.backend = backend
        self._folder = folder
        self._numbers = count()

    def remote(
        self, credentials: Credentials | None = None, *, url: str = "", path: str = "project.git"
    ) -> GitRemote:
        return GitRemote(
            f"{url or self.server.url}/{path}",
            ref="main",
            cache=self._folder / f"cache{next(self._numbers)}.git",
            credentials=credentials,
            backend=self.backend,
            environment=ENVIRONMENT,
        )

    def fetch(self, limits: Limits = LIMITS) -> Revision:
        with self.remote() as remote:
            return remote.fetch(None, limits, WATCH)

    def fails(self, error: type[TowlineError], limits: Limits = LIMITS) -> TowlineError:
        """Both requests fail in the same way, and a good server is all that is needed after."""
        with self.remote() as remote:
            with pytest.raises(error) as resolving:
                remote.resolve(limits, WATCH)
            with pytest.raises(error) as caught:
                remote.fetch(None, limits, WATCH)
            assert type(resolving.value) is type(caught.value) is error
            self.server.trouble = None
            assert remote.fetch(None, LIMITS, WATCH) == self.tip
        return caught.value


@pytest.fixture(params=Backend)
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedRepository]:
    served = ServedRepository(tmp_path, request.param)
    with served.server:
        yield served


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served") as server:
        yield server


# --- statuses ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, AuthenticationFailed),
        (403, PermissionDenied),
        (404, RemoteRefused),
        (418, RemoteRefused),
        (429, RateLimited),
        (500, RemoteUnavailable),
        (503, RemoteUnavailable),
    ],
)
def test_statuses(served: ServedRepository, status: int, error: type[RemoteError]) -> None:
    served.server.trouble = Answers(status=status)
    failure = served.fails(error)
    assert isinstance(failure, RemoteError)
    assert failure.url == f"{served.server.url}/project.git"
    assert failure.detail


def test_something_else_answers(served: ServedRepository) -> None:
    headers = {"Content-Type": "text/html"}
    served.server.trouble = Answers(status=200, headers=headers, body=b"<h1>welcome</h1>\x1b[31m")
    failure = served.fails(RemoteRefused)
    assert "\x1b" not in str(failure)


def test_a_port_without_a_server(served: ServedRepository) -> None:
    with GitServer(served.server.root) as gone:
        url = gone.url
    with (
        served.remote(url=url) as remote,
        pytest.raises(RemoteUnavailable),
    ):
        remote.fetch(None, LIMITS, WATCH)


def test_an_old_server(served: ServedRepository) -> None:
    served.server.protocol = 0
    base = served.repository.commit({"a": b"1"})
    with served.remote() as remote:
        assert remote.fetch(None, LIMITS, WATCH) == base
        assert remote.resolve(LIMITS, WATCH) == base
        tip = served.repository.commit({"a": b"2"})
        assert remote.fetch(None, LIMITS, WATCH) == tip
        assert remote.default_branch(LIMITS, WATCH) == "main"


def test_dulwich_asks_once_what_a_server_is_able_to_do(tmp_path: Path) -> None:
    served = ServedRepository(tmp_path, Backend.DULWICH)
    with served.server as server, served.remote() as remote:
        remote.fetch(None, LIMITS, WATCH)
        server.tally.clear()
        assert remote.fetch(None, LIMITS, WATCH) == served.tip
        assert len(server.tally.requests) == 1
        tip = served.repository.commit({"a": b"2"})
        assert remote.fetch(None, LIMITS, WATCH) == tip
        assert len(server.tally.requests) == 3


def test_dulwich_asks_a_server_again_that_is_older_than_before(tmp_path: Path) -> None:
    served = ServedRepository(tmp_path, Backend.DULWICH)
    with served.server as server, served.remote() as remote:
        remote.fetch(None, LIMITS, WATCH)
        server.protocol = 0
        tip = served.repository.commit({"a": b"2"})
        assert remote.fetch(None, LIMITS, WATCH) == tip
        assert remote.resolve(LIMITS, WATCH) == tip


def test_a_remote_left_open_runs_git_for_what_is_new_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = ServedRepository(tmp_path, Backend.GIT_AND_DULWICH)
    with served.server as server, served.remote() as remote:
        remote.fetch(None, LIMITS, WATCH)
        remote.fetch(None, LIMITS, WATCH)
        server.tally.clear()
        with monkeypatch.context() as without_git:
            without_git.setattr("towline.remotes.git_fetch.run_git", None)
            assert remote.fetch(None, LIMITS, WATCH) == served.tip
        assert len(server.tally.requests) == 1
        tip = served.repository.commit({"a": b"2"})
        assert remote.fetch(None, LIMITS, WATCH) == tip


# --- credentials ------------------------------------------------------------------------------


def test_credentials_are_taken(served: ServedRepository) -> None:
    served.server.credential = SECRET
    with served.remote(fixed(SECRET)) as remote:
        assert remote.fetch(None, LIMITS, WATCH) == served.tip
        assert remote.resolve(LIMITS, WATCH) == served.tip
    assert len(served.server.tally.requests) <= 3 + 2, "nothing is asked in vain first"


def test_credentials_in_the_url_are_taken_and_never_shown(served: ServedRepository) -> None:
    served.server.credential = SECRET
    url = served.server.url.replace("//", f"//{SECRET.username}:{SECRET.password}@")
    with served.remote(url=url) as remote:
        assert remote.fetch(None, LIMITS, WATCH) == served.tip
        assert remote.url == f"{served.server.url}/project.git"
        assert "geheim" not in repr(vars(remote))
    for file in served._folder.rglob("*"):
        assert not file.is_file() or b"geheim" not in file.read_bytes()


@pytest.mark.parametrize("offered", [None, Credential("someone", "wrong-geheim")])
def test_wrong_credentials(served: ServedRepository, offered: Credential | None) -> None:
    served.server.credential = SECRET
    with served.remote(fixed(offered) if offered is not None else None) as remote:
        for request in (remote.resolve, lambda *args: remote.fetch(None, *args)):
            served.server.tally.clear()
            with pytest.raises(AuthenticationFailed) as caught:
                request(LIMITS, WATCH)
            assert "geheim" not in f"{caught.value!r} {caught.value}"
            assert len(served.server.tally.requests) <= 2, "they are not tried again and again"


# --- redirects --------------------------------------------------------------------------------


@pytest.mark.parametrize("on", [DISCOVERY, "POST"])
def test_a_redirect_elsewhere_is_refused_and_sent_nothing(
    served: ServedRepository, elsewhere: GitServer, on: str
) -> None:
    served.server.credential = SECRET
    target = f"{elsewhere.url}/project.git"
    target += DISCOVERY if on == DISCOVERY else "/git-upload-pack"
    served.server.trouble = Answers(status=302, headers={"Location": target}, on=on)
    with served.remote(fixed(SECRET)) as remote, pytest.raises(RedirectRefused) as caught:
        remote.fetch(None, LIMITS, WATCH)
    assert elsewhere.tally.requests == []
    assert caught.value.url == f"{served.server.url}/project.git"


def test_a_redirect_within_the_server_is_followed(served: ServedRepository) -> None:
    served.server.credential = SECRET
    target = f"/project.git{DISCOVERY}"
    served.server.trouble = Answers(status=301, headers={"Location": target}, on="/old.git")
    with served.remote(fixed(SECRET), path="old.git") as remote:
        assert remote.fetch(None, LIMITS, WATCH) == served.tip
        assert remote.resolve(LIMITS, WATCH) == served.tip
        assert remote.url.endswith("/old.git"), "it is shown as the caller put it"


def test_a_redirect_in_circles_ends(served: ServedRepository) -> None:
    target = f"{served.server.url}/project.git{DISCOVERY}"
    served.server.trouble = Answers(status=302, headers={"Location": target}, on=DISCOVERY)
    served.fails(RedirectRefused)


# --- cuts and silence -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [CutsOff(after=0), CutsOff(after=20), CutsOff(after=2000, on="POST")]
)
def test_a_cut_connection(served: ServedRepository, trouble: Trouble) -> None:
    served.server.trouble = trouble
    with served.remote() as remote:
        with pytest.raises(RemoteUnavailable):
            remote.fetch(None, LIMITS, WATCH)
        assert not remote.has(served.tip)
        served.server.trouble = None
        assert remote.fetch(None, LIMITS, WATCH) == served.tip


def test_a_remote_that_lacks_an_object_says_which(served: ServedRepository) -> None:
    missing = object_id("blob", b"never written")
    tree = served.repository.put("tree", b"100644 a\0" + bytes.fromhex(missing))
    served.repository.commit_tree(tree)
    with served.remote() as remote, pytest.raises(RemoteRefused, match=missing):
        remote.fetch(None, LIMITS, WATCH)


@pytest.mark.parametrize("on", ["GET", "POST"])
def test_a_silent_server(served: ServedRepository, on: str) -> None:
    served.server.trouble = StaysSilent(on=on)
    with served.remote() as remote, pytest.raises(RemoteTimeout):
        remote.fetch(None, HURRIED, WATCH)


@pytest.mark.parametrize("backend", [Backend.AUTO, Backend.DULWICH])
def test_time_in_all_is_bounded(tmp_path: Path, backend: Backend) -> None:
    served = ServedRepository(tmp_path, backend)
    with served.server, served.remote() as remote:
        served.server.trouble = StaysSilent()
        with pytest.raises(RemoteTimeout, match="1 s"):
            remote.fetch(None, Limits(total_seconds=1, idle_seconds=600), WATCH)


class _StopsOnceAsked:
    """A token that is set as soon as the server has been asked something."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.is_set = asked


@pytest.mark.parametrize("backend", [Backend.AUTO, Backend.DULWICH])
def test_a_silent_server_is_left_at_once(tmp_path: Path, backend: Backend) -> None:
    """With limits of minutes: the suite would hang here if the token were not looked at."""
    served = ServedRepository(tmp_path, backend)
    with served.server, served.remote() as remote:
        served.server.trouble = StaysSilent(on="POST")
        looks = count()
        # Not at the first look after the request: later ones must come, though nothing happens.
        token = _StopsOnceAsked(lambda: len(served.server.tally.requests) >= 2 and next(looks) > 4)
        patient = Limits(idle_seconds=600, connect_seconds=600)
        with pytest.raises(Cancelled):
            remote.fetch(None, patient, Watch(cancel=token))
        served.server.trouble = None
        assert remote.fetch(None, LIMITS, Watch(cancel=Event())) == served.tip


# --- lies -------------------------------------------------------------------------------------


LYING = pytest.mark.parametrize("backend", [Backend.AUTO, Backend.DULWICH])


@LYING
def test_a_delta_bomb(tmp_path: Path, backend: Backend) -> None:
    """A few hundred bytes that ask for more than a gigabyte."""
    size, block = 3 * 512 * 1024 * 1024, b"\0" * 65535
    bomb = pack_of_entries([pack_entry("blob", block), repeating_delta(block, size)])
    assert len(bomb) < 1000
    served = ServedRepository(tmp_path, backend)
    with served.server:
        served.server.trouble = sends_pack(bomb)
        with pytest.raises(LimitExceeded) as caught:
            served.fetch()
    assert caught.value.found >= size


@LYING
@pytest.mark.parametrize(
    "pack",
    [b"", b"PACK", b"not a pack at all", pack_of_entries([]), pack_of_entries([b"\x31junk"])],
)
def test_what_is_no_pack(tmp_path: Path, backend: Backend, pack: bytes) -> None:
    served = ServedRepository(tmp_path, backend)
    with served.server, served.remote() as remote:
        served.server.trouble = sends_pack(pack)
        with pytest.raises(RemoteError):
            remote.fetch(None, LIMITS, WATCH)
        assert not remote.has(served.tip)
        served.server.trouble = None
        assert remote.fetch(None, LIMITS, WATCH) == served.tip


@LYING
def test_bytes_are_close_to_gits_own(tmp_path: Path, backend: Backend) -> None:
    served = ServedRepository(tmp_path, backend)
    with served.server:
        tally = served.server.tally
        own = GitRepository(tmp_path / "own.git")
        address = f"{served.server.url}/project.git"
        own.git("fetch", "--no-tags", address, "refs/heads/main:refs/heads/x")
        gits = tally.bytes_sent
        tally.clear()
        with served.remote() as remote:
            remote.fetch(None, LIMITS, WATCH)
            assert tally.bytes_sent <= 1.1 * gits + 200
            served.repository.commit({f"{n}": b"%d" % (n // 190) for n in range(200)})
            tally.clear()
            own.git("fetch", "--no-tags", address, "refs/heads/main:refs/heads/x")
            gits = tally.bytes_sent
            tally.clear()
            remote.fetch(None, LIMITS, WATCH)
            assert tally.bytes_sent <= 1.1 * gits + 200
