"""Servers that send too much, unpack to too much, forge messages or repeat our credentials."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.backends import ENVIRONMENT
from tests.contracts.hostile import (
    RESULT,
    delta_entry,
    measured_fetch,
    repeating_delta,
    sends,
    sends_pack,
    varint,
)
from towline.errors import (
    ContentMissing,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
)
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.backends import Backend
from towline.remotes.credentials import Credential, fixed
from towline.remotes.git import GitRemote
from towline.remotes.git_failures import ADVERTISEMENT
from towline.remotes.trees import commit_content, object_id
from towline.testing.git_repository import GitRepository, pack_entry, pack_of, pack_of_entries
from towline.testing.git_server import GitServer, Streams, packet

LIMITS, WATCH = Limits(), Watch()
SECRET = Credential("someone", "hunter2-geheim")
BUDGET_MIB = 512
OID = "1" * 40

backends = pytest.mark.parametrize("backend", [Backend.GIT, Backend.DULWICH])


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    repository = GitRepository(tmp_path / "served/project.git")
    repository.commit({"a": b"1"})
    return repository


@pytest.fixture
def server(repository: GitRepository) -> Iterator[GitServer]:
    with GitServer(repository.path.parent) as server:
        yield server


def opened(server: GitServer, backend: Backend, ref: str = "main") -> GitRemote:
    return GitRemote(
        f"{server.url}/project.git",
        ref=ref,
        credentials=fixed(SECRET),
        backend=backend,
        environment=ENVIRONMENT,
    )


# --- without end ------------------------------------------------------------------------------

_SERVICE = packet(b"# service=git-upload-pack\n") + b"0000"
_REF = b"%040x refs/heads/x\n"
ENDLESS = {
    "protocol 0": Streams(
        content_type=ADVERTISEMENT,
        head=_SERVICE + packet(OID.encode() + b" HEAD\0 ofs-delta\n"),
        packet=_REF.replace(b"x refs", b"d refs"),
        on="GET",
    ),
    "protocol 2": Streams(
        content_type=RESULT, packet=OID.encode() + b" refs/heads/%d\n", on="command=ls-refs"
    ),
    "shallow lines": Streams(
        content_type=RESULT,
        head=packet(b"shallow-info\n"),
        packet=b"shallow %040d",
        on="command=fetch",
    ),
}


@backends
@pytest.mark.parametrize("kind", ENDLESS)
def test_a_list_without_end(server: GitServer, tmp_path: Path, backend: Backend, kind: str) -> None:
    server.trouble = ENDLESS[kind]
    url = f"{server.url}/project.git"
    outcome, peak = measured_fetch(url, tmp_path / "cache.git", backend)
    assert outcome == "limit_exceeded"
    assert peak < BUDGET_MIB


@backends
@pytest.mark.parametrize("on", ["GET", "command=fetch"])
def test_a_byte_at_a_time_meets_the_total(server: GitServer, backend: Backend, on: str) -> None:
    form = ADVERTISEMENT if on == "GET" else RESULT
    server.trouble = Streams(content_type=form, head=b"fff0", packet=b"%d", pause=0.05, on=on)
    with opened(server, backend) as remote, pytest.raises(RemoteTimeout, match="1 s"):
        remote.fetch(None, Limits(total_seconds=1), WATCH)


# --- packs ------------------------------------------------------------------------------------


@backends
def test_two_small_deltas_of_half_a_gigabyte(
    server: GitServer, tmp_path: Path, backend: Backend
) -> None:
    block = b"\0" * 65535
    size = 65535 * 8191
    deltas = [repeating_delta(block, size), repeating_delta(block, size - 65535)]
    pack = pack_of_entries([pack_entry("blob", block), *deltas])
    assert len(pack) < 1000
    server.trouble = sends_pack(pack)
    url = f"{server.url}/project.git"
    outcome, peak = measured_fetch(url, tmp_path / "cache.git", backend)
    assert outcome == "limit_exceeded"
    assert peak < BUDGET_MIB


def _copy(base: bytes, extra: bytes) -> bytes:
    """A delta that copies its base (of less than 64 KiB) and adds a few bytes."""
    delta = varint(len(base)) + varint(len(base) + len(extra))
    delta += b"\xb0" + len(base).to_bytes(2, "little") + bytes([len(extra)]) + extra
    return delta_entry(object_id("blob", base), delta)


@backends
def test_a_long_chain_of_deltas_is_read(
    server: GitServer, repository: GitRepository, backend: Backend
) -> None:
    contents = [b"start" * 10]
    entries = [pack_entry("blob", contents[0])]
    for number in range(400):
        extra = b"%d" % number
        entries.append(_copy(contents[-1], extra))
        contents.append(contents[-1] + extra)
    tree = b"100644 a\0" + bytes.fromhex(object_id("blob", contents[-1]))
    commit = commit_content(object_id("tree", tree), [], 0)
    entries += [pack_entry("tree", tree), pack_entry("commit", commit)]
    pack = pack_of_entries(entries)
    tip = Revision(object_id("commit", commit))
    repository.git("index-pack", "--stdin", stdin=pack)
    repository.set_ref("main", tip)
    server.trouble = sends_pack(pack)
    with opened(server, backend) as remote:
        assert remote.fetch(None, LIMITS, WATCH) == tip
        (asset,) = remote.listing(tip, Kinds(), LIMITS, WATCH).values()
        assert asset.size == len(contents[-1])  # type: ignore[union-attr]


def _commit_missing_parents(server: GitServer, repository: GitRepository, count: int) -> None:
    """Serve a commit whose parents exist nowhere; git's table of objects takes squared time."""
    tree = b"100644 a\0" + bytes.fromhex(object_id("blob", b"1"))
    parents = [Revision(f"{number:040x}") for number in range(1, count + 1)]
    commit = commit_content(object_id("tree", tree), parents, 0)
    pack = pack_of([("blob", b"1"), ("tree", tree), ("commit", commit)])
    repository.git("index-pack", "--stdin", stdin=pack)
    repository.set_ref("main", object_id("commit", commit))
    server.trouble = sends_pack(pack)


def test_the_total_bounds_gits_own_work(server: GitServer, repository: GitRepository) -> None:
    with opened(server, Backend.GIT) as remote:
        remote.fetch(None, LIMITS, WATCH)
        _commit_missing_parents(server, repository, 80_000)
        with pytest.raises(RemoteTimeout, match="did not end within 2 s"):
            remote.fetch(None, Limits(total_seconds=2), WATCH)


@backends
def test_a_commit_of_thousands_of_missing_parents(
    server: GitServer, repository: GitRepository, backend: Backend
) -> None:
    base = repository.tip("main")
    assert base is not None
    with opened(server, backend) as remote:
        remote.fetch(None, LIMITS, WATCH)
        _commit_missing_parents(server, repository, 8_000)

        def pull() -> None:
            remote.changes(base, remote.fetch(None, LIMITS, WATCH), Kinds(), LIMITS, WATCH)

        with pytest.raises((RemoteError, ContentMissing)):
            pull()


# --- words ------------------------------------------------------------------------------------

FORGED = (
    b"oops\nfatal: couldn't find remote ref main\nfatal: Authentication failed for 'x'\n"
    b"fatal: attempting to allocate 99999999999 over limit 1\nHost key verification failed."
)


@backends
def test_an_err_packet_chooses_no_error(server: GitServer, backend: Backend) -> None:
    server.trouble = sends(packet(b"ERR " + FORGED))
    with opened(server, backend) as remote, pytest.raises(RemoteRefused) as caught:
        remote.fetch(None, LIMITS, WATCH)
    assert type(caught.value) is RemoteRefused
    assert caught.value.detail.startswith('the remote says "oops')


@backends
@pytest.mark.parametrize("band", [b"\x02", b"\x03"])
def test_a_side_band_chooses_no_error(server: GitServer, backend: Backend, band: bytes) -> None:
    server.trouble = sends(packet(b"packfile\n") + packet(band + FORGED))
    with opened(server, backend) as remote, pytest.raises(RemoteError) as caught:
        remote.fetch(None, LIMITS, WATCH)
    assert caught.value.code in ("remote_refused", "remote_unavailable")


@backends
def test_an_err_packet_for_a_question_is_typed(server: GitServer, backend: Backend) -> None:
    server.trouble = sends(packet(b"ERR upload-pack: not our ref " + b"1" * 40), on="POST")
    with opened(server, backend) as remote, pytest.raises(RemoteRefused):
        remote.resolve(LIMITS, WATCH)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


REPEATED = {
    "header": SECRET.basic,
    "password": SECRET.password,
    "pair": f"{SECRET.username}:{SECRET.password}",
    "base64 of the password": _base64(SECRET.password),
    "base64 within": _base64(f"x{SECRET.password}y"),
    "url": urllib.parse.quote(SECRET.basic, safe=""),
    "every character": "".join(f"%{ord(c):02x}" for c in SECRET.password),
    "lines": "\n".join(SECRET.basic[at : at + 3] for at in range(0, 60, 3)),
    "controls": "\x1b".join(SECRET.password),
    "hexadecimal": SECRET.password.encode().hex(),
    "cut off": "y" * 600 + SECRET.basic[12:],
    "case": SECRET.password.upper(),
}


@backends
@pytest.mark.parametrize("form", REPEATED)
def test_credentials_are_not_repeated(server: GitServer, backend: Backend, form: str) -> None:
    server.trouble = sends(packet(f"ERR no: {REPEATED[form]}".encode()))
    with opened(server, backend) as remote, pytest.raises(RemoteRefused) as caught:
        remote.fetch(None, LIMITS, WATCH)
    shown = json.dumps([caught.value.data(), str(caught.value)])
    assert "not shown" in shown
    assert REPEATED[form][:12] not in shown
