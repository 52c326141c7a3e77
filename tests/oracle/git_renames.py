"""The renames that git finds between two trees, with their scores."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from tests.oracle.git_lines import ENVIRONMENT

Files: TypeAlias = Mapping[str, bytes]


def git_renames(
    folder: Path, pairs: Sequence[tuple[Files, Files]]
) -> list[dict[str, tuple[str, int]]]:
    """What ``git log -M50%`` finds from the first to the second tree of each pair.

    A new path has its old one, and the score in percent.
    """
    environment = {**ENVIRONMENT, "GIT_DIR": str(folder)}

    def git(*arguments: str, data: bytes = b"") -> bytes:
        return subprocess.run(
            ["git", *arguments], env=environment, input=data, check=True, capture_output=True
        ).stdout

    git("init", "--quiet", "--bare", str(folder))
    git("fast-import", "--quiet", data=b"".join(_commits(pairs)))
    found: list[dict[str, tuple[str, int]]] = [{} for _ in pairs]
    at: int | None = None
    for line in git("log", "main", "-M50%", "--raw", "--format=%s").decode().splitlines():
        if line.startswith(("old ", "new ")):
            side, _, digits = line.partition(" ")
            at = int(digits) if side == "new" else None
        elif line.startswith(":") and at is not None:
            described, *paths = line.split("\t")
            status = described.split()[4]
            if status.startswith("R"):
                found[at][paths[1]] = paths[0], int(status[1:])
    return found


def _commits(pairs: Sequence[tuple[Files, Files]]) -> Iterator[bytes]:
    for number, pair in enumerate(pairs):
        for side, files in zip(("old", "new"), pair, strict=True):
            name = f"{side} {number}".encode()
            yield b"commit refs/heads/main\ncommitter a <a@b> 0 +0000\n"
            yield b"data %d\n%s\ndeleteall\n" % (len(name), name)
            for path, content in files.items():
                yield b"M 100644 inline %s\n" % path.encode()
                yield b"data %d\n%s\n" % (len(content), content)
