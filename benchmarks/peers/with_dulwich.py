"""dulwich's porcelain."""

import sys

from dulwich import porcelain


def clone(url: str, folder: str) -> None:
    porcelain.clone(url, folder).close()


def pull() -> None:
    porcelain.pull(".")


def status() -> None:
    found = porcelain.status(".")
    assert (found.unstaged, found.untracked) == ([], [])


def undo(before: str) -> None:
    porcelain.reset(".", "hard", before)


def log() -> None:
    porcelain.log(".")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
