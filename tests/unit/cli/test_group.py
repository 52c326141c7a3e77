"""The table of commands: lazy, and open to other distributions."""

import subprocess
import sys
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path

import click
import pytest

from towline_cli.group import BUILTIN, FROM_SERVER
from towline_cli.main import main, towline

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def without_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the library is installed without its extra."""
    every = metadata.entry_points

    def others(group: str) -> list[metadata.EntryPoint]:
        return [each for each in every(group=group) if not each.value.startswith("towline_server")]

    monkeypatch.setattr(metadata, "entry_points", others)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make a distribution with entry points ``name=module:object`` and a module ``added``."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "added", raising=False)
    (tmp_path / "added.py").write_text(
        "import click\n"
        "@click.command()\n"
        "@click.argument('word')\n"
        "def wave(word):\n"
        "    '''Wave.'''\n"
        "    click.echo(f'waved {word}')\n"
        "not_a_command = 3\n"
    )

    def made(**points: str) -> None:
        info = tmp_path / "towline_added-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: towline-added\nVersion: 1.0\n")
        lines = [f"{name} = {target}" for name, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[towline.commands]", *lines]) + "\n")

    return made


@pytest.mark.parametrize("name", BUILTIN)
def test_the_tables_summary_is_the_commands_own(name: str):
    command = getattr(import_module(f"towline_cli.commands.{BUILTIN[name][0]}"), name)
    assert isinstance(command, click.Command)
    assert command.name == name
    assert command.help is not None
    assert command.help.split("\n")[0] == BUILTIN[name][1]


def test_a_command_of_another_distribution_runs(
    install: Install, capsys: pytest.CaptureFixture[str]
):
    install(wave="added:wave")
    assert main(["wave", "hello"]) == 0
    assert capsys.readouterr().out == "waved hello\n"


def test_help_lists_added_commands_without_loading_them(
    install: Install, capsys: pytest.CaptureFixture[str]
):
    install(wave="added:wave", broken="no_such_module:command")
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert "towline-added" in printed
    assert "wave" in printed
    assert "broken" in printed
    assert "added" not in sys.modules


def test_help_lists_the_servers_commands_apart(
    install: Install, capsys: pytest.CaptureFixture[str]
):
    install(serve="added:wave", wave="added:wave")
    assert main(["--help"]) == 0
    _, _, added = capsys.readouterr().out.partition("Run a server:\n")
    server, _, others = added.partition("Added by other packages:\n")
    assert server.split() == ["serve", *FROM_SERVER["serve"].split()]
    assert others.split()[:3] == ["wave", "from", "towline-added"]


def test_builtin_commands_cannot_be_taken(install: Install, capsys: pytest.CaptureFixture[str]):
    install(log="added:wave", completion="added:wave")
    assert main(["log", "--help"]) == 0
    assert "Show the pulls" in capsys.readouterr().out
    assert towline.list_commands(click.Context(towline)) == list(BUILTIN)


@pytest.mark.parametrize("target", ["no_such_module:command", "added:not_a_command"])
def test_an_added_command_that_cannot_be_used_says_where_it_comes_from(
    target: str, install: Install, capsys: pytest.CaptureFixture[str]
):
    install(wave=target)
    assert main(["wave"]) == 1
    assert "towline-added" in capsys.readouterr().err


@pytest.mark.parametrize("name", FROM_SERVER)
def test_the_servers_commands_say_what_to_install(name: str, capsys: pytest.CaptureFixture[str]):
    assert main([name, "--json"]) == 1
    assert '"not_installed"' in capsys.readouterr().out
    assert main([name]) == 1
    assert "towline[server]" in capsys.readouterr().err


def test_a_server_whose_parts_are_missing_says_what_to_install(
    install: Install, capsys: pytest.CaptureFixture[str]
):
    install(serve="missing_server.cli:serve")
    assert main(["serve"]) == 1
    printed = capsys.readouterr().err
    assert "missing_server" in printed
    assert "towline[server]" in printed


@pytest.mark.parametrize("arguments", [["nothing"], ["log", "--nothing"], ["clone"]])
def test_a_wrong_command_line_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Usage: towline")
    assert main([*arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert '"usage"' in printed.out
    assert printed.err == ""


@pytest.mark.parametrize("arguments", [[], ["completion"]])
def test_without_arguments_the_help_is_printed(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main([*arguments, "--help"]) == 0
    help_text = capsys.readouterr().out
    assert main(arguments) == 2
    assert capsys.readouterr() == ("", help_text)
    assert main(["help", *arguments]) == 0
    assert capsys.readouterr() == (help_text, "")


@pytest.mark.parametrize("arguments", [["pul"], ["help", "pul"]])
def test_an_unknown_command_names_the_near_ones(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
):
    assert main(arguments) == 2
    assert "No such command 'pul'. Did you mean 'pull'?" in capsys.readouterr().err


def test_help_of_what_is_no_command_of_a_command(capsys: pytest.CaptureFixture[str]):
    assert main(["help", "pull", "x"]) == 2
    assert "towline pull has no commands" in capsys.readouterr().err


def test_a_usage_error_is_one_line(capsys: pytest.CaptureFixture[str]):
    assert main(["completion", "tcsh"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_help_imports_nothing_heavy():
    program = """
import sys
from towline_cli.main import main
assert main(["--help"]) == 0
heavy = {"towline", "rich", "pydantic", "dulwich", "pygit2", "deepdiff", "sqlite3", "urllib3"}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stderr == "[]\n"
