"""What a command loads, and what it asks git: nothing that it does not use."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.acceptance.command import Command
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer

HEAVY = [
    "deepdiff",
    "dulwich",
    "importlib.metadata",
    "pydantic",
    "pygit2",
    "rich",
    "sqlalchemy",
    "tomlkit",
    "urllib3",
    "yaml",
]
NOT_FOR_A_NOOP = {
    "towline.apply",
    "towline.changes",
    "towline.merge",
    "towline.plan",
    "towline.pull",
    "towline.report",
    "towline.selection",
    "towline.remotes.compare",
    "towline.stores.directory.scan",
    "towline.stores.directory.transaction",
}
MOST_MODULES = 48
"""Of ours, for a pull with nothing to do."""
PROGRAM = """
import sys
started = []
sys.addaudithook(lambda name, of: name == "subprocess.Popen" and started.append(of[1][1]))
from towline_cli.main import main
code = main(sys.argv[1:])
ours = [name for name in sys.modules if name.partition(".")[0] in ("towline", "towline_cli")]
print(*sorted([*ours, *set({heavy!r}) & set(sys.modules)]), file=sys.stderr)
print(*started, file=sys.stderr)
sys.exit(code)
"""


def loaded(project: Command, *arguments: str, code: int = 0) -> list[str]:
    """The heavy modules that a command leaves loaded."""
    return [name for name in modules(project, *arguments, code=code) if name in HEAVY]


def modules(project: Command, *arguments: str, code: int = 0) -> list[str]:
    """The heavy modules that a command leaves loaded, and ours."""
    return used(project, *arguments, code=code)[0]


def used(project: Command, *arguments: str, code: int = 0) -> tuple[list[str], list[str]]:
    """The heavy modules that a command leaves loaded, and ours; and git's commands that it ran."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(heavy=HEAVY), *arguments],
        cwd=project.folder,
        env=project.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended
    found, started = ended.stderr.splitlines()[-2:]
    return found.split(), started.split()


def test_a_pull_with_nothing_to_do_loads_nothing_heavy(project: Command, server: GitServer):
    project("pull")
    server.tally.clear()
    assert loaded(project, "pull") == []
    assert len(server.tally.requests) <= 2


def test_a_fetch_of_nothing_new_loads_nothing_heavy(project: Command, server: GitServer):
    project("pull")
    server.tally.clear()
    assert loaded(project, "fetch") == []
    assert len(server.tally.requests) <= 2


def test_a_pull_with_nothing_to_do_loads_few_modules_of_ours(project: Command):
    project("pull")
    # The next command removes the files that a pull replaced.
    project("pull")
    ours = [name for name in modules(project, "pull") if name not in HEAVY]
    assert not NOT_FOR_A_NOOP & set(ours)
    assert len(ours) <= MOST_MODULES


def test_a_pull_of_a_few_files_is_read_without_a_library(
    project: Command, repository: GitRepository
):
    repository.commit({"a": b"changed\n", "new": b"1\n"})
    assert not {"pygit2", "dulwich"} & set(loaded(project, "pull"))


@pytest.mark.parametrize("arguments", [["config"], ["log"], ["--version"]])
def test_looking_loads_nothing_heavy(project: Command, arguments: list[str]):
    assert loaded(project, *arguments) == []


def test_the_log_loads_no_plan(project: Command):
    project("pull")
    # The next command removes the files that a pull replaced.
    project("pull")
    assert not {"towline.plan", "towline.explain", "towline.remotes.git"} & set(
        modules(project, "log")
    )


def test_a_status_with_nothing_fetched_since_loads_no_merge_and_reads_nothing_fetched(
    project: Command,
):
    project("pull")
    # The next command removes the files that a pull replaced.
    project("pull")
    loaded_by_status, started = used(project, "status")
    assert not {"towline.merge", "towline.content", "towline.resolve"} & set(loaded_by_status)
    assert started == ["config"]


def test_comparing_loads_no_deepdiff_and_no_pydantic(project: Command):
    for command in ("status", "resolve --list", "pull", "undo"):
        arguments = [*command.split(), "--json"]
        assert not {"deepdiff", "pydantic", "rich"} & set(loaded(project, *arguments))


def test_without_git_dulwich_does_it_all(
    towline: Command,
    repository: GitRepository,
    url: str,
    tmp_path_factory: pytest.TempPathFactory,
):
    nothing = str(tmp_path_factory.mktemp("nothing"))
    bare = Command(towline.folder, towline.home, {"PATH": nothing})
    repository.commit({"a": b"1\n"})
    bare("clone", url)
    clone = bare.at(bare.folder / "team")
    repository.commit({"a": b"2\n", "b": b"1\n"})
    assert clone.json("plan")["status"] == "updated"
    assert {asset["state"] for asset in clone.json("status")["assets"]} == {
        "modified-there",
        "added-there",
    }
    assert "pygit2" not in loaded(clone, "pull")
    assert clone.json("pull")["status"] == "up-to-date"
