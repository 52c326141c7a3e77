"""HTTPS, with a certificate whose authority only the operator knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import CertificateAuthority
from tests.contracts.backends import ENVIRONMENT
from towline.errors import RemoteUnavailable
from towline.limits import Limits
from towline.ports import Watch
from towline.remotes.backends import Backend
from towline.remotes.git import GitRemote
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path / "authority")


@pytest.fixture
def server(tmp_path: Path, authority: CertificateAuthority) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served", tls=authority.context()) as server:
        yield server


@pytest.mark.parametrize("backend", [Backend.GIT, Backend.DULWICH])
def test_a_server_is_believed_if_its_authority_is(
    backend: Backend, server: GitServer, authority: CertificateAuthority, tmp_path: Path
):
    tip = GitRepository(server.root / "project.git").commit({"a": b"1"})

    def fetched(**variables: str) -> str:
        environment = {**ENVIRONMENT, **variables}
        with GitRemote(
            f"{server.url}/project.git",
            ref="main",
            cache=tmp_path / "cache.git",
            backend=backend,
            environment=environment,
        ) as remote:
            return remote.fetch(None, Limits(), Watch())

    with pytest.raises(RemoteUnavailable, match="SSL_CERT_FILE"):
        fetched()
    assert server.tally.requests == []
    assert fetched(SSL_CERT_FILE=str(authority.file)) == tip
