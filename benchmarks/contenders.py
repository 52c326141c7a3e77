"""Who pulls: towline, git, and the Python libraries for Git, each as its users run it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from .bench import US, say

GIT = "git"
PEERS = Path(__file__).parent / "peers"
LIMITS = ("assets=1000000", "tree_entries=10000000", "project_bytes=10000000000")


class ContenderCommand(StrEnum):
    """What a contender can be asked to do in its folder."""

    CLONE = "clone"
    PULL = "pull"
    MERGE = "merge"
    """Pull, where both sides have changes, and take theirs where they clash."""
    STATUS = "status"
    UNDO = "undo"
    LOG = "log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """A command for each operation that it has.

    ``{url}`` is the repository, ``{folder}`` where it is cloned to, ``{before}`` the revision
    before the last one.
    """

    name: str
    commands: Mapping[ContenderCommand, Sequence[str]]
    needs: str = ""
    """The module without which it is not there."""
    commits: bool = True
    """Whether local edits are committed before a pull, as git needs it."""


def _library(name: str, module: str, operations: Sequence[ContenderCommand]) -> Contender:
    arguments = {
        ContenderCommand.CLONE: ("{url}", "{folder}"),
        ContenderCommand.UNDO: ("{before}",),
    }
    program = (sys.executable, str(PEERS / f"with_{name.lower()}.py"))
    commands = {each: (*program, each, *arguments.get(each, ())) for each in operations}
    return Contender(name=name, commands=commands, needs=module)


CONTENDERS = (
    Contender(
        name=GIT,
        commands={
            ContenderCommand.CLONE: ("git", "clone", "--quiet", "{url}", "{folder}"),
            ContenderCommand.PULL: ("git", "pull", "--quiet", "--ff-only"),
            ContenderCommand.MERGE: (
                *("git", "pull", "--quiet", "--no-rebase", "--no-edit"),
                *("--strategy-option", "theirs"),
            ),
            ContenderCommand.STATUS: ("git", "status"),
            ContenderCommand.UNDO: ("git", "reset", "--quiet", "--hard", "{before}"),
            ContenderCommand.LOG: ("git", "log"),
        },
    ),
    Contender(
        name=US,
        commands={
            ContenderCommand.CLONE: (
                *("towline", "clone", "{url}", "{folder}"),
                *(part for limit in LIMITS for part in ("--limit", limit)),
            ),
            ContenderCommand.PULL: ("towline", "pull", "--yes"),
            ContenderCommand.MERGE: ("towline", "pull", "--yes", "--on-conflict", "theirs"),
            ContenderCommand.STATUS: ("towline", "status"),
            ContenderCommand.UNDO: ("towline", "undo", "--yes"),
            ContenderCommand.LOG: ("towline", "log"),
        },
        commits=False,
    ),
    _library("pygit2", "pygit2", tuple(ContenderCommand)),
    # Its merge takes no side.
    _library("dulwich", "dulwich", [o for o in ContenderCommand if o != ContenderCommand.MERGE]),
    _library("GitPython", "git", tuple(ContenderCommand)),
    # It takes ours where both sides clash, and has no other operation.
    Contender(
        name="nbgitpuller",
        commands=dict.fromkeys(
            (ContenderCommand.CLONE, ContenderCommand.PULL),
            ("gitpuller", "{url}", "main", "{folder}"),
        ),
        needs="nbgitpuller",
    ),
)


def installed() -> Iterator[Contender]:
    """Those that are there; all of them with the extra ``bench``."""
    for each in CONTENDERS:
        if not each.needs or find_spec(each.needs):
            yield each
        else:
            say(f"{each.name} is not installed")
