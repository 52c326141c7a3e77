"""Renames here, with edits on both sides: where ``git merge`` is clean, the folder is git's tree.

ORACLE_EXAMPLES sets how many merges are compared.
"""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import TypeAlias

from tests.oracle.git_lines import ENVIRONMENT
from tests.unit.stores.later_disk import LaterDisk
from towline.content_rules import ContentMode
from towline.model import Digest, ThreeWay
from towline.options import PullOptions
from towline.pull import pull
from towline.remotes.memory import MemoryRemote
from towline.stores.directory.store import DirectoryStore

EXAMPLES = min(int(os.environ.get("ORACLE_EXAMPLES", "150")), 5_000)
Files: TypeAlias = dict[str, bytes]
POLICY = PullOptions(content_merge=ContentMode.LINES, allow_empty=True)


def lines(random: Random) -> list[bytes]:
    return [random.randbytes(20).hex().encode() + b"\n" for _ in range(random.randint(8, 30))]


def side(
    random: Random, base: Mapping[str, list[bytes]], names: Iterator[str], renamed: float
) -> Files:
    """A side that renames, edits, deletes and adds files, or leaves them alone."""
    files: Files = {}
    for path, content in base.items():
        edited = dict(enumerate(content))
        if random.random() < 0.5:
            for at in random.sample(range(len(content)), random.choice((1, 2, len(content) // 3))):
                edited[at] = random.randbytes(20).hex().encode() + b"\n"
        if random.random() < 0.97:
            new = next(names) if random.random() < renamed else path
            files[new] = b"".join(edited.values())
    while random.random() < 0.2:
        files[next(names)] = b"".join(lines(random))
    return files


def new_names(random: Random, letters: str) -> Iterator[str]:
    return (f"d{random.randint(0, 1)}/{random.choice(letters)}{number}" for number in range(9))


def case(random: Random) -> ThreeWay[Files]:
    base = {f"f{number}": lines(random) for number in range(random.randint(2, 4))}
    ours = side(random, base, new_names(random, "o"), 0.5)
    theirs = side(random, base, new_names(random, "ot"), 0.1)
    return ThreeWay({path: b"".join(content) for path, content in base.items()}, ours, theirs)


def git_merges(folder: Path, cases: Sequence[ThreeWay[Files]]) -> Iterator[dict[str, str] | None]:
    """What git's own strategy makes of each: the digests by path; None where it conflicts."""

    def git(*arguments: str, data: bytes = b"", check: bool = True):
        return subprocess.run(
            ["git", "-c", "merge.directoryRenames=false", *arguments],
            env={**ENVIRONMENT, "GIT_DIR": str(folder)},
            input=data,
            check=check,
            capture_output=True,
        )

    git("init", "--quiet", "--bare", str(folder))
    git("fast-import", "--quiet", data=b"".join(commits(cases)))
    for number in range(len(cases)):
        names = [f"{name}{number}" for name in ("ours", "theirs")]
        merged = git("merge-tree", "--write-tree", "--no-messages", *names, check=False)
        assert merged.returncode in (0, 1), merged.stderr
        if merged.returncode:
            yield None
        else:
            listed = git("ls-tree", "-r", merged.stdout.decode().strip()).stdout.decode()
            entries = (entry.split() for entry in listed.splitlines())
            yield {path: digest for _, _, digest, path in entries}


def commits(cases: Sequence[ThreeWay[Files]]) -> Iterator[bytes]:
    for number, sides in enumerate(cases):
        for name in ("base", "ours", "theirs"):
            yield b"reset refs/heads/%s%d\n" % (name.encode(), number)
            yield b"commit refs/heads/%s%d\ncommitter a <a@b> 0 +0000\n" % (name.encode(), number)
            yield b"data 0\n"
            yield b"" if name == "base" else b"from refs/heads/base%d\n" % number
            yield b"deleteall\n"
            for path, content in getattr(sides, name).items():
                yield b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content)


def our_merge(folder: Path, sides: ThreeWay[Files]) -> dict[str, str] | None:
    remote = MemoryRemote()
    with DirectoryStore.create(folder, project="p", disk=LaterDisk) as store:
        remote.commit(sides.base)
        pull(store, remote)
        for path in sides.base:
            (folder / path).unlink()
        for path, content in sides.ours.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content)
        remote.commit(sides.theirs)
        if pull(store, remote, POLICY).conflicts:
            return None
    files = [path for path in folder.rglob("*") if path.is_file() and ".towline" not in path.parts]
    return {str(path.relative_to(folder)): Digest.of(path.read_bytes()) for path in files}


def test_a_clean_merge_with_renames_here_is_gits(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    random = Random(11)
    cases = [case(random) for _ in range(EXAMPLES)]
    found: Counter[str] = Counter()
    for number, git in enumerate(git_merges(tmp_path / "git", cases)):
        ours = our_merge(tmp_path / str(number), cases[number])
        assert ours == git, cases[number]
        found["both conflict" if git is None else "both clean"] += 1
    record_property("figures", f"{EXAMPLES} merges with renames here: {dict(found)}")
    assert min(found.values()) > EXAMPLES / 4
