"""The real command, and a real HTTP server with a real repository."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import (
    BASE,
    MINE,
    NUMBERS,
    ORDERS,
    OURS,
    README,
    SECRET,
    THEIRS,
    USER,
    YOURS,
    Command,
    edit,
    spellings,
)
from towline.remotes.credentials import Credential
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer

NAME = "team.git"


@pytest.fixture
def towline(tmp_path: Path) -> Iterator[Command]:
    """The command, in an empty folder. Afterwards no file of its holds the secret."""
    folder, home = tmp_path / "work", tmp_path / "home"
    folder.mkdir()
    home.mkdir()
    yield Command(folder, home)
    for file in folder.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            for spelling in spellings(SECRET):
                assert spelling.encode() not in content, file


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the server serves."""
    return tmp_path_factory.mktemp("repositories")


@pytest.fixture(scope="session")
def _running(repositories: Path) -> Iterator[GitServer]:
    with GitServer(repositories) as server:
        yield server


@pytest.fixture
def server(_running: GitServer) -> Iterator[GitServer]:
    """A server that behaves, until a test makes it fail."""
    yield _running
    _running.credential = _running.trouble = None
    _running.tally.clear()


@pytest.fixture
def guarded(server: GitServer) -> GitServer:
    """The server, wanting `USER` and `SECRET`."""
    server.credential = Credential(USER, SECRET)
    return server


@pytest.fixture
def repository(repositories: Path) -> Iterator[GitRepository]:
    """An empty repository, served as ``team.git``."""
    path = repositories / NAME
    yield GitRepository(path)
    shutil.rmtree(path)


@pytest.fixture
def url(server: GitServer, repository: GitRepository) -> str:
    """Where the repository is served."""
    return f"{server.url}/{repository.path.name}"


@pytest.fixture(scope="session")
def cloned(
    tmp_path_factory: pytest.TempPathFactory, repositories: Path, _running: GitServer
) -> Path:
    """A clone of `BASE`, to be copied: making one would cost every test a while."""
    repository = GitRepository(repositories / NAME)
    repository.commit(BASE)
    folder = tmp_path_factory.mktemp("cloned")
    Command(folder, folder)("clone", f"{_running.url}/{NAME}", "team")
    shutil.rmtree(repository.path)
    return folder / "team"


@pytest.fixture
def project(cloned: Path, towline: Command, repository: GitRepository) -> Command:
    """The command inside a clone of `BASE`, while the repository has moved on to `THEIRS`."""
    repository.commit(BASE)
    repository.commit(THEIRS)
    shutil.copytree(cloned, towline.folder / "team", symlinks=True)
    return towline.at(towline.folder / "team")


@pytest.fixture
def torn(project: Command) -> Command:
    """`project` with an edit of orders, which the repository edited too."""
    edit(project, "pipelines/orders.json", b'{"name": "orders", "retries": 9, "steps": ["read"]}\n')
    return project


@pytest.fixture
def clashing(project: Command, repository: GitRepository) -> Command:
    """A conflict in a field, one in lines, and a clean change; all fetched."""
    repository.commit({**BASE, README: NUMBERS})
    project("pull")
    edit(project, ORDERS, OURS)
    edit(project, README, MINE)
    repository.commit({**THEIRS, README: YOURS})
    project("fetch")
    return project
