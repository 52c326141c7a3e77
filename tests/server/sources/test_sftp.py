"""Folders of a real SFTP server, as snapshots."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.server.sources.pulling import Puller
from tests.server.sources.reading import Reader
from tests.sshd import make_key, running_sshd
from towline.errors import (
    AuthenticationFailed,
    InvalidTree,
    LimitExceeded,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
)
from towline.limits import Limits
from towline.remotes.credentials import Credential
from towline_server.errors import AddressRefused

pytestmark = pytest.mark.services

OLD = 1_700_000_000


@dataclass
class Served:
    """An SFTP server and its keys."""

    keys: Path
    port: int

    def public(self, name: str) -> str:
        """A public key without its comment."""
        return " ".join((self.keys / f"{name}.pub").read_text().split()[:2])

    def credential(self, name: str) -> Credential:
        return Credential(getpass.getuser(), (self.keys / name).read_text())

    def url(self, folder: Path) -> str:
        return f"sftp://127.0.0.1:{self.port}{folder}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = tmp_path_factory.mktemp("keys")
    for name in ("host", "user", "stranger"):
        make_key(keys / name)
    (keys / "authorized").write_text((keys / "user.pub").read_text())
    with running_sshd(keys, "Subsystem sftp internal-sftp") as port:
        yield Served(keys, port)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "files"
    made.mkdir()
    return made


@pytest.fixture
def reader(served: Served, folder: Path, tmp_path: Path) -> Reader:
    config = {"host_key": served.public("host")}
    credential = served.credential("user")
    return Reader("sftp", served.url(folder), tmp_path / "c.git", config, credential)


def write(folder: Path, /, at: Any = OLD, **files: Any) -> None:
    for name, content in files.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, (at, at))


def test_each_file_is_a_file(folder: Path, reader: Reader):
    write(folder, a=b"1", f__g__b=b"\x00\xff", größe=b"")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").symlink_to("/etc")
    assert reader.files() == {"a": b"1", "f/g/b": b"\x00\xff", "größe": b""}
    assert reader.fetch() == reader.fetch()
    (folder / "a").unlink()
    reader.config = {**reader.config, "include": ["f/**"]}
    assert reader.files() == {"f/g/b": b"\x00\xff"}


def test_only_files_that_changed_are_read(
    folder: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
):
    from towline_server.sources.sftp import Sftp

    read: list[str] = []
    original = Sftp.read

    def counted(self: Sftp, entries):
        read.extend(entry.path for entry in entries)
        return original(self, entries)

    monkeypatch.setattr(Sftp, "read", counted)
    write(folder, a=b"1", b=b"1", c=b"1")
    reader.fetch()
    assert sorted(read) == ["a", "b", "c"]
    read.clear()
    write(folder, OLD + 1, b=b"2")
    (folder / "d").write_bytes(b"now")
    assert reader.files() == {"a": b"1", "b": b"2", "c": b"1", "d": b"now"}
    assert sorted(read) == ["b", "d"]
    # It may have changed again within the same second.
    read.clear()
    reader.fetch()
    assert read in (["d"], [])


def test_names_and_sizes_are_judged(folder: Path, reader: Reader):
    write(folder, **{".git__config": b"", "a\\b": b""})
    with pytest.raises(InvalidTree) as refused:
        reader.fetch()
    assert len(refused.value.problems) == 2
    reader.config = {**reader.config, "include": ["x"]}
    write(folder, x=b"12345")
    reader.limits = Limits(asset_bytes=4)
    with pytest.raises(LimitExceeded, match="x"):
        reader.fetch()
    write(folder, **{f"f{number}__x": b"" for number in range(9)})
    for limits in (Limits(tree_entries=5), Limits(depth=1)):
        reader.limits = limits
        with pytest.raises(LimitExceeded):
            reader.fetch()


def test_failures(served: Served, folder: Path, reader: Reader):
    def fails(kind: type[RemoteError], about: str = ".") -> None:
        with pytest.raises(RemoteError, match=about) as failed:
            reader.fetch()
        assert type(failed.value) is kind, failed.value

    good = reader.credential
    reader.credential = served.credential("stranger")
    fails(AuthenticationFailed)
    reader.credential = Credential("none", "password")
    fails(AuthenticationFailed)
    reader.credential = Credential("none", "-----BEGIN NONSENSE-----")
    fails(AuthenticationFailed, "cannot be read")
    reader.credential = None
    fails(AuthenticationFailed)
    reader.credential, reader.url = good, served.url(folder / "none")
    fails(RemoteRefused, "not there")
    reader.url = "sftp://127.0.0.1:1/x"
    fails(RemoteUnavailable)
    reader.url, reader.networks = served.url(folder), ()
    fails(AddressRefused)


def test_a_server_with_another_key_is_given_no_credential(
    served: Served, reader: Reader, monkeypatch: pytest.MonkeyPatch
):
    from towline_server.sources import sftp

    monkeypatch.setattr(sftp, "_log_in", lambda *_: pytest.fail("it was logged in to"))
    for key in (served.public("stranger"), "ssh-rsa " + "A" * 64):
        reader.config = {"host_key": key}
        with pytest.raises(RemoteRefused, match="host key"):
            reader.fetch()


def test_a_folder_is_pulled_as_a_repository_is(
    served: Served, folder: Path, reader: Reader, puller: Puller
):
    write(folder, a=b"1", b=b"1")
    assert reader.credential is not None
    credential = {"username": reader.credential.username, "password": reader.credential.password}
    puller.bind(url=reader.url, provider="sftp", config=reader.config, credential=credential)
    assert puller.pull()["outcome"] == "changed"
    puller.edit("b", b"ours")
    write(folder, OLD + 1, a=b"2")
    assert puller.pull()["outcome"] == "changed"
    assert puller.contents() == {"a": b"2", "b": b"ours"}


def test_a_sync_pulls_a_folder(served: Served, folder: Path, reader: Reader, puller: Puller):
    write(folder, a=b"1", b=b"1")
    assert reader.credential is not None
    credential = {"username": reader.credential.username, "password": reader.credential.password}
    connection = puller.bind(
        url=reader.url, provider="sftp", config=reader.config, credential=credential
    )
    puller.sync_changes(connection, "sftp", lambda: write(folder, OLD + 1, a=b"2"))
    assert puller.contents() == {"a": b"2", "b": b"1"}
