"""Similarity is git's: on generated pairs, ``git log -M`` gives each the score that we give it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from random import Random

from tests.oracle.git_lines import ENVIRONMENT, edited
from towline.content.similarity import (
    MAX_SCORE,
    MINIMUM_SCORE,
    can_be_similar,
    similarity,
    span_counts,
)

EXAMPLES = min(int(os.environ.get("ORACLE_EXAMPLES", "1000")), 10_000)


def git_scores(folder: Path, pairs: list[tuple[bytes, bytes]]) -> list[int | None]:
    """Git's score of each pair in percent; None where it is no rename."""
    stream = bytearray()
    for number, (old, new) in enumerate(pairs):
        for name, content in ((f"old {number}", old), (f"new {number}", new)):
            stream += b"commit refs/heads/main\ncommitter a <a@b> 0 +0000\n"
            stream += b"data %d\n%s\ndeleteall\n" % (len(name), name.encode())
            stream += b"M 100644 inline %s\n" % name.partition(" ")[0].encode()
            stream += b"data %d\n%s\n" % (len(content), content)
    environment = {**ENVIRONMENT, "GIT_DIR": str(folder)}

    def git(*arguments: str, data: bytes = b"") -> bytes:
        return subprocess.run(
            ["git", *arguments], env=environment, input=data, check=True, capture_output=True
        ).stdout

    git("init", "--quiet", "--bare", str(folder))
    git("fast-import", "--quiet", data=bytes(stream))
    scores: dict[int, int] = {}
    at: int | None = None
    for line in git("log", "main", "-M50%", "--raw", "--format=%s").decode().splitlines():
        if line.startswith(("old ", "new ")):
            side, _, digits = line.partition(" ")
            at = int(digits) if side == "new" else None
        elif line.startswith(":") and at is not None:
            status = line.split()[4]
            if status.startswith("R"):
                scores[at] = int(status[1:])
    return [scores.get(each) for each in range(len(pairs))]


def our_score(old: bytes, new: bytes) -> int | None:
    if not can_be_similar(len(old), len(new)):
        return None
    score = similarity(span_counts(old), span_counts(new), max(len(old), len(new)))
    return score * 100 // MAX_SCORE if score >= MINIMUM_SCORE else None


def test_scores_are_gits(tmp_path: Path):
    random = Random(9)
    ends = [b"\n", b"\r\n", b"\0\r\n"]
    pairs: list[tuple[bytes, bytes]] = []
    while len(pairs) < EXAMPLES:
        end = random.choice(ends)
        alphabet = [
            random.randbytes(random.randint(0, 150)).replace(b"\0", b"").replace(b"\n", b"") + end
            for _ in range(30)
        ]
        old = random.choices(alphabet, k=random.randint(1, 30))
        new = edited(random, old, alphabet, random.randint(1, 8))
        if new and old != new:
            pairs.append((b"".join(old), b"".join(new)))
    ours = [our_score(*pair) for pair in pairs]
    assert ours == git_scores(tmp_path / "scores.git", pairs)
    assert 0 < ours.count(None) < len(ours)
