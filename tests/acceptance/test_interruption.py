"""Ctrl-C and SIGTERM, while a server holds the command up: a clean stop, and nothing changed."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.command import BASE, Command, edit, files, wait_until_asleep
from towline.testing.git_repository import GitRepository

pytestmark = pytest.mark.slow

STOPS = [signal.SIGINT, signal.SIGTERM]


@contextmanager
def silent_server() -> Iterator[socket.socket]:
    """Takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/team.git"


def running(project: Command, *arguments: str) -> subprocess.Popen[str]:
    """A command that a test stops."""
    return subprocess.Popen(
        [sys.executable, "-m", "towline_cli", *arguments],
        cwd=project.folder,
        env=project.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def interrupted(
    project: Command, listener: socket.socket, stop: signal.Signals, *arguments: str
) -> tuple[str, str]:
    """Run a command, stop it once its request is received, and return what it printed."""
    with running(project, *arguments) as process:
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(1)
            wait_until_asleep(process.pid)
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
    with running(project, "pull", "--json") as process:
        assert process.stdout is not None
        # The report does not fit into the pipe: the rest waits for us.
        begun = process.stdout.read(1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate()
    assert process.returncode == 130
    assert begun == "{"
    assert "interrupted" not in out
    assert len(project.json("log")["pulls"]) == 2


STAGES = ["signal", "towline_cli.main", "click", "click.core", "towline_cli.group"]
LAZY = ["towline_cli.commands.log", "towline.ports", "towline.stores.directory.store", "sqlite3"]
HOOK = """
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPTED_IMPORT"]:
            signal.raise_signal(signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
"""
EARLY = HOOK.replace(", signal,", ",").replace(
    "signal.raise_signal(signal.SIGINT)", "raise KeyboardInterrupt"
)
"""For an import that comes before the signal's module is there."""


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("module", [*STAGES, *LAZY, "towline_cli.error_messages"])
def test_ctrl_c_while_a_module_loads_is_one_line(
    project: Command, tmp_path: Path, module: str, options: list[str]
):
    hook = EARLY if module == "signal" else HOOK
    (tmp_path / "sitecustomize.py").write_text(hook)
    # The module of failures loads when something has failed.
    arguments = ["log", "9"] if module == "towline_cli.error_messages" else ["log"]
    ran = project(
        *arguments, *options, code=130, PYTHONPATH=str(tmp_path), INTERRUPTED_IMPORT=module
    )
    printed, silent = (ran.out, ran.err) if options else (ran.err, ran.out)
    assert silent == ""
    assert printed.count("\n") == 1 or options
    assert (ran.json["error"]["code"] if options else printed).count("interrupted") == 1


def test_ctrl_c_when_all_is_done_changes_nothing(project: Command, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, signal\natexit.register(signal.raise_signal, signal.SIGINT)\n"
    )
    ran = project("log", PYTHONPATH=str(tmp_path))
    assert (ran.code, ran.err) == (0, "")


def test_a_background_job_goes_on_ignoring_ctrl_c(project: Command, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + HOOK
    )
    project("log", PYTHONPATH=str(tmp_path), INTERRUPTED_IMPORT="click")


def test_without_git_the_stop_is_as_clean(
    project: Command, repository: GitRepository, tmp_path_factory: pytest.TempPathFactory
):
    bare = Command(project.folder, project.home, {"PATH": str(tmp_path_factory.mktemp("nothing"))})
    with silent_server() as listener:
        bare("config", "url", address(listener))
        interrupted(bare, listener, signal.SIGINT, "pull")
    assert files(project) == BASE


READ_ONLY = """
import errno, os
from towline.stores.directory.disk import Disk

def rename(self, source, target):
    if not source.endswith("journal.new"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), source)
    rename_draft(self, source, target)

rename_draft, Disk.rename = Disk.rename, rename
"""
"""For a file system that becomes read-only after the commit point of a pull."""


def test_a_pull_that_cannot_be_recovered_is_a_warning(project: Command, tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(READ_ONLY)
    failed = project("pull", code=1, PYTHONPATH=str(tmp_path))
    assert "cannot be undone now" in failed.err
    ran = project("log", PYTHONPATH=str(tmp_path))
    assert ran.err.startswith("warning: cannot recover the interrupted pull: Read-only file system")
    assert "pull  " in ran.out
    assert project("log").err == ""


def test_an_edit_of_a_replaced_file_is_a_warning(project: Command):
    with (project.folder / "pipelines/orders.json").open("r+b") as opened:
        project("pull")
        opened.write(b"late")
    assert re.fullmatch(
        r"warning: a file was edited while being replaced; "
        r"the edit is saved in pipelines/orders\.json\.local-[0-9a-f]{8}\n",
        project("status").err,
    )
    assert project("status").err == ""
