"""Ctrl-C and SIGTERM, while a server holds the command up: a clean stop, and nothing changed."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.acceptance.command import BASE, Command, edit, files
from towline.testing.git_repository import GitRepository

STOPS = [signal.SIGINT, signal.SIGTERM]


@contextmanager
def silent_server() -> Iterator[socket.socket]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/team.git"


def interrupted(
    project: Command, listener: socket.socket, stop: signal.Signals, *arguments: str
) -> tuple[str, str]:
    """Run a command, stop it once its request has arrived, and return what it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "towline_cli", *arguments],
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1)
            process.send_signal(stop)
            out, err = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in err
    return out, err


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_a_pull_stops_and_changes_nothing(project: Command, url: str, stop: signal.Signals):
    with silent_server() as listener:
        project("config", "url", address(listener))
        out, err = interrupted(project, listener, stop, "pull")
    assert out == ""
    assert "nothing was changed" in err
    assert files(project) == BASE
    project("config", "url", url)
    assert project.json("pull")["status"] == "updated"


def test_an_interrupted_command_says_so_in_json(project: Command):
    with silent_server() as listener:
        project("config", "url", address(listener))
        out, err = interrupted(project, listener, signal.SIGINT, "plan", "--json")
    assert '"interrupted"' in out
    assert err == ""


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.name)
def test_an_interrupted_clone_leaves_nothing(towline: Command, stop: signal.Signals):
    with silent_server() as listener:
        interrupted(towline, listener, stop, "clone", address(listener), "deep/down")
    assert list(towline.folder.iterdir()) == []


def test_an_interrupted_init_leaves_the_folder_alone(towline: Command):
    edit(towline, "own.json", b"{}\n")
    with silent_server() as listener:
        interrupted(towline, listener, signal.SIGINT, "init", address(listener))
    assert [path.name for path in towline.folder.iterdir()] == ["own.json"]


def test_a_document_that_is_cut_short_is_followed_by_nothing(
    project: Command, repository: GitRepository
):
    many = {f"rules/{number}.json": b"{}\n" for number in range(500)}
    repository.commit(many | BASE)
    with subprocess.Popen(
        [sys.executable, "-m", "towline_cli", "pull", "--json"],
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        # The report does not fit into the pipe: the rest waits for us.
        begun = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    assert process.returncode == 130
    assert begun == "{"
    assert "interrupted" not in out
    assert len(project.json("log")["pulls"]) == 2


def test_without_git_the_stop_is_as_clean(
    project: Command, repository: GitRepository, tmp_path_factory: pytest.TempPathFactory
):
    bare = Command(project.folder, project.home, {"PATH": str(tmp_path_factory.mktemp("nothing"))})
    with silent_server() as listener:
        bare("config", "url", address(listener))
        interrupted(bare, listener, signal.SIGINT, "pull")
    assert files(project) == BASE
