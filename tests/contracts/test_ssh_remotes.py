"""A real SSH server: started here on the loopback, as an unprivileged child, and ended here."""

from __future__ import annotations

import getpass
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contracts.backends import ENVIRONMENT
from tests.loopback import free_port
from tests.sshd import make_key, running_sshd
from towline.errors import (
    AuthenticationFailed,
    RefNotFound,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
)
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import Revision
from towline.ports import Watch
from towline.remotes.backends import Backend
from towline.remotes.git import GitRemote
from towline.testing.git_repository import GitRepository

pytestmark = pytest.mark.services

LIMITS, WATCH = Limits(), Watch()
backends = pytest.mark.parametrize("backend", Backend)


@dataclass
class SshServer:
    """A running sshd, a repository it serves, and the client's side of the keys."""

    folder: Path
    port: int
    repository: GitRepository

    def remote(self, backend: Backend, **changed: str) -> GitRemote:
        path = changed.get("path", str(self.repository.path))
        options = {
            "IdentityFile": self.folder / changed.get("key", "user"),
            "UserKnownHostsFile": self.folder / changed.get("hosts", "known_hosts"),
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
        }
        ssh = " ".join(["ssh", "-F", "none", *(f"-o {k}={v}" for k, v in options.items())])
        url = changed.get("url", f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}")
        environment = {**ENVIRONMENT, "GIT_SSH_COMMAND": ssh}
        return GitRemote(url, ref="main", backend=backend, environment=environment)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    folder = tmp_path_factory.mktemp("ssh")
    repository = GitRepository(folder / "it's a project.git")
    repository.commit({"a": b"1", "b/c": b"2"})
    for key in ("host", "user", "stranger"):
        make_key(folder / key)
    (folder / "authorized").write_text((folder / "user.pub").read_text())
    host_key = (folder / "host.pub").read_text()
    (folder / "no_hosts").write_text("")
    with running_sshd(folder, "AcceptEnv GIT_PROTOCOL") as port:
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
        yield SshServer(folder, port, repository)


@backends
def test_fetching(served: SshServer, backend: Backend) -> None:
    with served.remote(backend) as remote:
        base = remote.fetch(None, LIMITS, WATCH)
        assert base == remote.resolve(LIMITS, WATCH) == served.repository.tip("main")
        assert list(remote.listing(base, Kinds(), LIMITS, WATCH)) == ["a", "b/c"]
        assert remote.default_branch(LIMITS, WATCH) == "main"
        revision = served.repository.commit({"a": b"3"})
        assert remote.fetch(None, LIMITS, WATCH) == revision
        assert len(remote.changes(base, revision, Kinds(), LIMITS, WATCH).items) == 2
        served.repository.commit({"a": b"1", "b/c": b"2"})


@backends
def test_an_unknown_commit(served: SshServer, backend: Backend) -> None:
    with served.remote(backend) as remote, pytest.raises(RefNotFound):
        remote.fetch(Revision("1" * 40), LIMITS, WATCH)


@backends
@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"path": "/no/such.git"}, RemoteRefused, "not appear to be a git"),
        ({"key": "none"}, AuthenticationFailed, "no ssh key was offered"),
        ({"hosts": "no_hosts"}, RemoteRefused, "host key"),
        (
            {"url": "ssh://user@no.such.invalid/x"},
            RemoteUnavailable,
            r"resolve hostname no\.such\.invalid",
        ),
    ],
)
def test_what_ssh_refuses(
    served: SshServer,
    backend: Backend,
    changed: dict[str, str],
    error: type[RemoteError],
    message: str,
) -> None:
    with served.remote(backend, **changed) as remote, pytest.raises(error, match=message) as caught:
        remote.fetch(None, LIMITS, WATCH)
    assert type(caught.value) is error


@backends
def test_a_key_that_is_not_taken(served: SshServer, backend: Backend) -> None:
    key = served.folder / "stranger"
    listed = subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True)
    with (
        served.remote(backend, key="stranger") as remote,
        pytest.raises(AuthenticationFailed) as caught,
    ):
        remote.fetch(None, LIMITS, WATCH)
    fingerprint = listed.stdout.split()[1]
    assert caught.value.detail.endswith(f"none of the ssh keys offered: {key} ({fingerprint})")


@backends
@pytest.mark.parametrize(("mark", "word"), [("", "changed"), ("@revoked ", "revoked")])
def test_a_host_key_that_is_not_to_be_trusted(
    served: SshServer, backend: Backend, mark: str, word: str
) -> None:
    key = (served.folder / ("host.pub" if mark else "stranger.pub")).read_text()
    (served.folder / word).write_text(f"{mark}[127.0.0.1]:{served.port} {key}")
    with served.remote(backend, hosts=word) as remote, pytest.raises(RemoteRefused, match=word):
        remote.fetch(None, LIMITS, WATCH)


@backends
def test_a_port_without_a_server(served: SshServer, backend: Backend) -> None:
    url = f"ssh://user@127.0.0.1:{free_port()}/x"
    with (
        served.remote(backend, url=url) as remote,
        pytest.raises(RemoteUnavailable, match="Connection refused"),
    ):
        remote.fetch(None, LIMITS, WATCH)


@backends
def test_a_silent_server(served: SshServer, backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        url = f"ssh://user@127.0.0.1:{port}/x"
        with served.remote(backend, url=url) as remote, pytest.raises(RemoteTimeout):
            remote.fetch(None, Limits(connect_seconds=1, idle_seconds=1), WATCH)


@backends
def test_the_short_form(served: SshServer, backend: Backend) -> None:
    """``user@host:path``, with the port from ssh's own configuration."""
    options = served.folder / "ssh_config"
    options.write_text(
        f"Host short\n\tHostName 127.0.0.1\n\tPort {served.port}\n\tHostKeyAlias x\n"
        f"\tIdentityFile {served.folder}/user\n\tUserKnownHostsFile {served.folder}/hosts\n"
    )
    host_key = (served.folder / "host.pub").read_text()
    (served.folder / "hosts").write_text(f"x {host_key}")
    environment = {**ENVIRONMENT, "GIT_SSH_COMMAND": f"ssh -F {options}"}
    url = f"{getpass.getuser()}@short:{served.repository.path}"
    with GitRemote(url, ref="main", backend=backend, environment=environment) as remote:
        assert remote.fetch(None, LIMITS, WATCH) == served.repository.tip("main")
        assert remote.url == url
