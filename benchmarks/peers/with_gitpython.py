"""GitPython, which runs git."""

import sys

from git import Repo


def clone(url: str, folder: str) -> None:
    Repo.clone_from(url, folder)


def pull() -> None:
    Repo(".").remotes.origin.pull(ff_only=True)


def merge() -> None:
    Repo(".").remotes.origin.pull(no_rebase=True, no_edit=True, strategy_option="theirs")


def status() -> None:
    assert not Repo(".").is_dirty(untracked_files=True)


def undo(before: str) -> None:
    Repo(".").head.reset(before, index=True, working_tree=True)


def log() -> None:
    for commit in Repo(".").iter_commits():
        print(commit.hexsha, commit.author.name, commit.message)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
