"""Hostile names are those that git refuses; legal ones pass, however odd."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from towline.errors import InvalidPath
from towline.model import AssetPath
from towline.names import NamePolicy, path_problem

HOSTILE_TO_GIT = [
    "",
    "/a",
    "a//b",
    "a/",
    ".",
    "..",
    "a/./b",
    "a/../b",
    "../a",
    ".git",
    ".git/config",
    "a/.git/hooks/post-checkout",
    ".GIT",
    ".gIt/config",
    "git~1",
    "GIT~1/config",
    ".git.",
    ".git ",
    ".git. . /config",
    ".git::$INDEX_ALLOCATION",
    ".git:stream",
    "a/.git:s/b",
    ".g\u200cit",
    ".\u200dgit/config",
    "\ufeff.git",
    ".gi\u206at",
    ".GI\u202eT/hooks",
    ".git\\config",
]
"""With core.protectHFS and core.protectNTFS on, as a server must have them."""

HOSTILE_TO_TOWLINE = [
    ".towline",
    ".towline/state.sqlite",
    "a/.towline/journal",
    ".TowLine",
    ".towline.",
    ".towline ",
    ".towline:stream",
    ".tow\u200dline",
    "towlin~1",
    # Git refuses a backslash where it parts folders, on Windows; a repository is for all.
    "a\\b",
    "..\\a",
    "a\0b",
    "a\nb",
    "tab\there",
    "bell\x07",
    "delete\x7f",
    "lone \udcff",
]

LEGAL = [
    "a",
    "folder/asset.json",
    "with space",
    "Pipeline: the first.json",
    "what?",
    'quote\'s "double"',
    "-dash",
    "--option=value",
    "~tilde",
    "$HOME",
    "*",
    "a|b<c>",
    "semi;colon & ampersand",
    ".hidden",
    "..two-dots",
    "...",
    "trailing.",
    " leading",
    "con",
    "aux.json",
    "名前/資産.json",
    "имя",
    "عربي",
    "\u00e9",
    "e\u0301",
    "emoji \U0001f680",
    ".gitignore",
    ".gitattributes",
    "git",
    "git~2",
    ".git-not",
    "x.git",
    "a.git/b",
    "towline",
    ".towlines",
    ".g it",
    "a" * 255,
]


@pytest.mark.parametrize("path", HOSTILE_TO_GIT + HOSTILE_TO_TOWLINE)
def test_hostile_paths_are_refused(path: str):
    assert path_problem(path)
    with pytest.raises(InvalidPath) as caught:
        AssetPath.parse(path)
    assert caught.value.path == path


def test_a_project_in_a_repository_is_refused_with_what_to_do():
    assert "git rm -r --cached .towline" in str(path_problem("sub/.towline"))


@pytest.mark.parametrize("path", LEGAL)
def test_odd_paths_pass(path: str):
    assert path_problem(path) is None
    assert AssetPath.parse(path) == path
    assert AssetPath.parse(f"folder/{path}/asset") == f"folder/{path}/asset"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("names") / "repository"
    git(folder.parent, "init", "--quiet", str(folder))
    return folder


def git(folder: Path, *arguments: str) -> int:
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    protected = ["-c", "core.protectHFS=true", "-c", "core.protectNTFS=true"]
    return subprocess.run(
        ["git", *protected, *arguments],
        check=False,
        cwd=folder,
        env=environment,
        capture_output=True,
    ).returncode


def test_git_refuses_what_is_hostile(repository: Path):
    assert [path for path in HOSTILE_TO_GIT if path and git_takes(repository, path)] == []


def test_git_takes_what_is_legal(repository: Path):
    refused = [path for path in LEGAL if not git_takes(repository, path)]
    assert refused == []


def git_takes(repository: Path, path: str) -> bool:
    entry = f"100644,{'1' * 40},{path}"
    return git(repository, "update-index", "--add", "--cacheinfo", entry) == 0


# --- name policies -----------------------------------------------------------------------------

CASE = ("Straße/A", "STRASSE/a")
FORM = ("\u00e9", "e\u0301")
BOTH = ("\u00c9", "e\u0301")


@pytest.mark.parametrize(
    ("policy", "equal"),
    [
        (NamePolicy.EXACT, []),
        (NamePolicy.FOLDS_CASE, [CASE]),
        (NamePolicy.NORMALISES, [FORM]),
        (NamePolicy.FOLDS_CASE_AND_NORMALISES, [CASE, FORM, BOTH]),
        (NamePolicy.PORTABLE, [CASE, FORM, BOTH]),
    ],
)
def test_a_policy_holds_some_paths_equal(policy: NamePolicy, equal: list[tuple[str, str]]):
    pairs = [CASE, FORM, BOTH, ("a", "b"), ("a/b", "a-b")]
    assert [pair for pair in pairs if policy.key(pair[0]) == policy.key(pair[1])] == equal


@pytest.mark.parametrize(
    "path", ["con", "a/NUL.txt", "com1", "LPT¹.log", "a:b", "x?", 'a"b', "a|b", "dot.", "space "]
)
def test_only_the_portable_policy_refuses_what_windows_cannot_hold(path: str):
    refusing = [policy for policy in NamePolicy if policy.problem(path) is not None]
    assert refusing == [NamePolicy.PORTABLE]


@pytest.mark.parametrize("path", ["console", "com10", "a.con", "lpt", "a b", "nul-terminated"])
def test_names_that_only_look_reserved_are_portable(path: str):
    assert NamePolicy.PORTABLE.problem(path) is None
