"""Similarity is git's: on generated pairs, ``git log -M`` gives each the score that we give it.

So are the renames there: each that git pairs and we do not is named by a rule. The trees are
generated, as the real merges that other oracles compare come without contents. ORACLE_EXAMPLES sets
how many pairs are compared.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

from tests.oracle.git_lines import edited
from tests.oracle.git_renames import Files, git_renames
from towline.content.similarity import (
    MAX_SCORE,
    MINIMUM_SCORE,
    SpanIndex,
    can_be_similar,
    score,
    span_counts,
)
from towline.options import PullOptions
from towline.pull import plan_pull, pull
from towline.remotes.memory import MemoryRemote
from towline.stores.memory import MemoryStore

EXAMPLES = min(int(os.environ.get("ORACLE_EXAMPLES", "1000")), 10_000)


def our_score(old: bytes, new: bytes) -> int | None:
    if not can_be_similar(len(old), len(new)):
        return None
    copied = SpanIndex([span_counts(new)]).copied(span_counts(old))[0]
    found = score(copied, max(len(old), len(new)))
    return found * 100 // MAX_SCORE if found >= MINIMUM_SCORE else None


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
    found = git_renames(tmp_path / "git", [({"old": old}, {"new": new}) for old, new in pairs])
    assert ours == [each["new"][1] if each else None for each in found]
    assert 0 < ours.count(None) < len(ours)


# --- renames -----------------------------------------------------------------------------------


def test_renames_are_gits_or_named_by_a_rule(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    random = Random(3)
    pairs = [random_trees(random) for _ in range(EXAMPLES)]
    count: Counter[str] = Counter()
    for pair, found in zip(pairs, git_renames(tmp_path / "git", pairs), strict=True):
        git = {new: old for new, (old, _) in found.items()}
        ours = our_renames(*pair)
        assert ours.items() <= git.items(), pair
        for new, old in git.items():
            count["paired alike" if new in ours else rule(*pair, ours, old, new)] += 1
    record_property("figures", f"renames in {EXAMPLES} pairs of trees: {dict(count)}")
    assert count.keys() == {"paired alike", "several are equal", "several are similar"}
    assert count["paired alike"] > count.total() / 2


def random_trees(random: Random) -> tuple[Files, Files]:
    """A tree, and what it became: files that moved, most edited, copies, and edits in place."""
    alphabet = [random.randbytes(random.randint(4, 30)).hex().encode() + b"\n" for _ in range(300)]
    texts = [random.choices(alphabet, k=random.randint(1, 30)) for _ in range(8)]
    base: dict[str, list[bytes]] = {}
    theirs: dict[str, list[bytes]] = {}
    for number in range(random.randint(1, 8)):
        lines = random.choice(texts)
        base[f"old/{number}"] = edited(random, lines, alphabet, random.randint(0, 2))
    for path, lines in base.items():
        after = edited(random, lines, alphabet, random.choice((0, 1, 1, 2, 4, 8)))
        moved = path.replace("old", "new")
        match random.randint(0, 9):
            case 0:
                theirs[path] = after
            case 1:
                pass
            case 2:
                theirs |= {path: lines, moved: after}
            case 3:
                theirs |= {moved: after, f"{moved} copied": lines}
            case _:
                theirs[moved] = after
    # An empty file is similar to none.
    joined = (
        {path: b"".join(lines) or b"1\n" for path, lines in tree.items()} for tree in (base, theirs)
    )
    return next(joined), next(joined)


def our_renames(base: Files, theirs: Files) -> dict[str, str]:
    """The old path of each new one, as a pull finds them."""
    store, remote = MemoryStore("project"), MemoryRemote()
    remote.commit(dict(base))
    pull(store, remote)
    remote.commit(dict(theirs))
    options = PullOptions(allow_empty=True)
    items = plan_pull(store, remote, options).items
    return {item.path: item.renamed_from for item in items if item.renamed_from is not None}


def rule(base: Files, theirs: Files, ours: dict[str, str], old: str, new: str) -> str:
    """Why we do not pair what git pairs."""
    gone = base.keys() - theirs.keys() - set(ours.values())
    fresh = theirs.keys() - base.keys() - ours.keys()
    rivals = [base[path] for path in gone - {old}], [theirs[path] for path in fresh - {new}]
    if base[old] in rivals[0] + rivals[1] or theirs[new] in rivals[0] + rivals[1]:
        return "several are equal"
    if any(our_score(content, theirs[new]) is not None for content in rivals[0]):
        return "several are similar"
    if any(our_score(base[old], content) is not None for content in rivals[1]):
        return "several are similar"
    return f"no rule: {old} to {new} of {sorted(gone)} and {sorted(fresh)}"
