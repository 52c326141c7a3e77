"""Generated edits of lines, and what git makes of them: ``merge-file``, or one merge for many."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from towline.model import ThreeWay

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


MERGE = ("merge", "-q", "--no-commit", "--no-ff", "-s", "recursive", "-Xno-renames")


def git_merge_file(folder: Path, sides: ThreeWay[bytes]) -> bytes | None:
    """The merged lines; None where they conflict."""
    names = [folder / name for name in ("ours", "base", "theirs")]
    for name, content in zip(names, (sides.ours, sides.base, sides.theirs), strict=True):
        name.write_bytes(content)
    merged = subprocess.run(
        ["git", "merge-file", "-p", "--quiet", *names],
        env=ENVIRONMENT,
        capture_output=True,
        cwd=folder,
        check=False,
    )
    assert 0 <= merged.returncode < 128, merged.stderr
    return merged.stdout if merged.returncode == 0 else None


def git_merges(folder: Path, cases: Sequence[ThreeWay[bytes]]) -> list[bytes | None]:
    """What ``git merge-file`` makes of each: the files of one merge, by the same comparison."""

    def git(*arguments: str, data: bytes = b"", check: bool = True) -> bytes:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(
            command, env=ENVIRONMENT, cwd=folder, input=data, check=check, capture_output=True
        ).stdout

    folder.mkdir(parents=True, exist_ok=True)
    git("init", "--quiet")
    git("fast-import", "--quiet", data=b"".join(_commits(cases)))
    git("checkout", "--quiet", "--force", "ours")
    git(*MERGE, "-Xdiff-algorithm=myers", "theirs", check=False)
    unmerged = {line.partition(b"\t")[2] for line in git("ls-files", "-uz").split(b"\0")}
    return [
        None if b"%d" % number in unmerged else (folder / str(number)).read_bytes()
        for number in range(len(cases))
    ]


def _commits(cases: Sequence[ThreeWay[bytes]]) -> Iterator[bytes]:
    for mark, side in enumerate(("base", "ours", "theirs"), start=1):
        yield b"commit refs/heads/%s\nmark :%d\ncommitter a <a@b> 0 +0000\n" % (side.encode(), mark)
        yield b"data 0\n" + (b"" if mark == 1 else b"from :1\n") + b"deleteall\n"
        # Where no file differs there is nothing to merge.
        yield b"M 100644 inline side\ndata 1\n%d\n" % min(mark, 2)
        for number, case in enumerate(cases):
            content = getattr(case, side)
            yield b"M 100644 inline %d\ndata %d\n%s\n" % (number, len(content), content)


def edited(random: Random, lines: list[bytes], alphabet: list[bytes], edits: int) -> list[bytes]:
    lines = list(lines)
    for _ in range(edits):
        at = random.randint(0, len(lines))
        match random.randint(0, 3):
            case 0:
                lines[at:at] = random.choices(alphabet, k=random.randint(1, 4))
            case 1:
                del lines[at : at + random.randint(1, 4)]
            case 2:
                lines[at : at + 1] = [random.choice(alphabet)]
            case _:
                moved = lines[at : at + 3]
                del lines[at : at + 3]
                to = random.randint(0, len(lines))
                lines[to:to] = moved
    return lines


def random_sides(random: Random) -> ThreeWay[bytes]:
    """Texts of few distinct lines (where hunks can lie at many places) and of many."""
    alphabet = [b"%d\n" % number for number in range(random.choice((2, 3, 5, 10, 30, 300)))]
    base = random.choices(alphabet, k=random.choice((0, 3, 8, 20, 60, 150, 400)))
    most = random.choice((1, 2, 3, 6, 15))
    ours = edited(random, base, alphabet, random.randint(0, most))
    theirs = edited(random, base, alphabet, random.randint(0, most))
    unended = random.choice((base, ours, theirs)) if random.random() < 0.2 else []
    if unended:
        unended[-1] = unended[-1].removesuffix(b"\n")
    return ThreeWay(b"".join(base), b"".join(ours), b"".join(theirs))
