"""Git's own answer: ``read-tree -i -m --aggressive`` over many small merges at once.

Each case is a folder of one big tree, so a few git processes merge thousands. No blob is ever
written: trees may name objects that are not there, and nothing is checked out.
"""

from __future__ import annotations

import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.oracle.cases import Case, Tree
from towline.model import AssetPath, AssetState, Digest


@dataclass(slots=True)
class MergedIndex:
    """The index after a merge: what git settled, and the paths that it did not."""

    settled: Tree = field(default_factory=dict)
    unmerged: set[AssetPath] = field(default_factory=set)


class ReadTree:
    """``git read-tree`` in a scratch repository."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Nothing of the machine's or the user's configuration takes part.
        self._environment = {
            "PATH": os.environ["PATH"],
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_DIR": str(folder),
        }
        self._git("init", "--quiet", "--bare", str(folder))

    def merge(self, cases: Sequence[Case]) -> list[MergedIndex]:
        """What git makes of each case, in their order."""
        trees = [
            self._write_tree([getattr(case, side) for case in cases])
            for side in ("base", "ours", "theirs")
        ]
        self._reset_index()
        self._git("read-tree", "-i", "-m", "--aggressive", *trees, index="merge")
        return self._indexes(len(cases))

    def _indexes(self, count: int) -> list[MergedIndex]:
        indexes: dict[int, MergedIndex] = defaultdict(MergedIndex)
        for entry in self._git("ls-files", "-s", "-z", index="merge").split(b"\0")[:-1]:
            about, _, name = entry.decode().partition("\t")
            mode, digest, stage = about.split()
            number, _, path = name.partition("/")
            found = indexes[int(number)]
            if stage == "0":
                found.settled[AssetPath(path)] = AssetState(
                    path=AssetPath(path), digest=Digest(digest), executable=mode == "100755"
                )
            else:
                found.unmerged.add(AssetPath(path))
        return [indexes[number] for number in range(count)]

    def _write_tree(self, trees: Sequence[Tree]) -> str:
        self._reset_index()
        self._git("update-index", "--index-info", index="merge", data="".join(_lines(trees)))
        return self._git("write-tree", "--missing-ok", index="merge").decode().strip()

    def _reset_index(self) -> None:
        (self._folder / "merge").unlink(missing_ok=True)

    def _git(self, *arguments: str, index: str | None = None, data: str = "") -> bytes:
        environment = dict(self._environment)
        if index is not None:
            environment["GIT_INDEX_FILE"] = str(self._folder / index)
        return subprocess.run(
            ["git", *arguments],
            env=environment,
            input=data.encode(),
            check=True,
            capture_output=True,
        ).stdout


def _lines(trees: Sequence[Tree]) -> Iterator[str]:
    for number, tree in enumerate(trees):
        for path, state in tree.items():
            mode = "100755" if state.executable else "100644"
            yield f"{mode} {state.digest}\t{number}/{path}\n"
