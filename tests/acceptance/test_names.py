"""Names of any legal kind, from the repository to every table and back through every option."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.acceptance.command import Command, edit, files, paths, states
from towline.testing.git_repository import GitRepository

NAMES = [
    "with space.json",
    "-dash.json",
    "--json",
    "colon: really?.json",
    "quote'\"`$(id).json",
    "[red]markup[/red] :smile:.json",
    "*.json",
    "a,b;c|d&e<f>.json",
    "名前/データ.json",
    "עברית/اسم.json",
    "u\u0308ber.json",
    "🚂.json",
    "trailing.",
    "{braces}%s.json",
    "~home",
    "#hash",
]
CLOBBERING = "\x9b2Jscreen\u202e.json"
"""C1 and reordering characters: git takes them, a terminal must not get them."""


@pytest.fixture
def named(towline: Command, repository: GitRepository, url: str) -> Command:
    """A clone with a file of every name, each edited here and there since."""
    repository.commit(dict.fromkeys([*NAMES, CLOBBERING], b"1\n"))
    towline("clone", url)
    project = towline.at(towline.folder / "team")
    for name in [*NAMES, CLOBBERING]:
        edit(project, name, b"mine\n")
    repository.commit(dict.fromkeys([*NAMES, CLOBBERING], b"theirs\n"))
    return project


def test_every_name_is_printed_and_accepted(named: Command):
    report = named.json("plan", code=3)
    assert sorted(paths(report["conflicts"])) == sorted([*NAMES, CLOBBERING])
    assert set(states(named)) == {*NAMES, CLOBBERING}
    choices = [word for name in NAMES for word in ("--use-theirs", name)]
    report = named.json("pull", *choices, f"--use-ours={CLOBBERING}")
    assert sorted(paths(report["overwritten"])) == sorted(NAMES)
    assert paths(report["ignored"]) == [CLOBBERING]
    assert files(named) == {**dict.fromkeys(NAMES, b"theirs\n"), CLOBBERING: b"mine\n"}


def test_every_name_is_printed_whole_and_literally(named: Command):
    for arguments, code in ((["plan"], 3), (["status"], 0), (["diff"], 0)):
        printed = named(*arguments, code=code).out
        for name in NAMES:
            assert name in printed
        assert not set("\x1b\x9b\u202e") & set(printed)
        assert "\ufffd2Jscreen\ufffd.json" in printed


def test_a_name_is_an_argument(named: Command):
    for name in ("-dash.json", "--json", "with space.json", "*.json", "名前/データ.json"):
        (asset,) = named.json("diff", "--", name)["assets"]
        assert asset["path"] == name


def test_a_name_with_glob_characters_selects_itself(named: Command):
    report = named.json("plan", "--only", "*.json", "--only", "-dash.json", code=3)
    assert paths(report["conflicts"]) == ["*.json", "-dash.json"] or len(report["conflicts"]) > 2
    edit(named, "a[1].json", b"own\n")
    assert named.json("plan", "--only=a[1].json")["conflicts"] == []
    report = named.json("plan", "--only=[red]markup[/red] :smile:.json", code=3)
    assert paths(report["conflicts"]) == ["[red]markup[/red] :smile:.json"]


def test_names_are_printed_whatever_the_locale(named: Command):
    printed = named("status", LC_ALL="C", PYTHONIOENCODING="ascii").out
    assert "with space.json" in printed
    assert "\\U0001f682.json" in printed


def test_a_local_name_that_is_no_text_does_no_harm(named: Command, tmp_path: Path):
    edit(named, "plain", b"1\n")
    Path(os.fsdecode(os.fsencode(named.folder) + b"/\xff\xfe")).write_bytes(b"1\n")
    assert "plain" in states(named)
    assert named("status").code == 0


@pytest.mark.parametrize("word", ["", "..", "/", "../x", "a//b", "\udcff", "a\udcff/b"])
def test_a_word_that_names_nothing_is_unknown(named: Command, word: str):
    # The project's own folder names everything in it.
    options = ["--use-theirs", "--use-ours", "--only"]
    for option in options if word not in (".", "/") else ():
        assert named.json("pull", option, word, code=1)["error"]["code"] == "unknown_assets"
    assert named.json("diff", "--", word, code=1)["error"]["code"] == "unknown_assets"


def test_a_folder_with_an_odd_name(towline: Command, repository: GitRepository, url: str):
    repository.commit({"a": b"1\n"})
    towline("clone", url, "--", "-odd [red]:\u202e 名")
    clone = towline.at(towline.folder / "-odd [red]:\u202e 名")
    assert states(clone) == {"a": "unchanged"}
    assert "\u202e" not in clone("init", url, code=1).err


def test_a_folder_whose_name_is_no_text(towline: Command, repository: GitRepository, url: str):
    repository.commit({"a": b"1\n"})
    towline("clone", url, "odd \udcff")
    assert states(towline.at(towline.folder / "odd \udcff")) == {"a": "unchanged"}
