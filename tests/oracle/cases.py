"""Small merges by the thousand: three trees each, all of git's kinds of change among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from random import Random

from towline.asset_ids import planned_id
from towline.changes import RemoteAsset
from towline.model import AssetPath, AssetState, Digest
from towline.names import NamePolicy
from towline.records import AssetRecord
from towline.testing.sides import KINDS, ThreeSides, can_coexist

Tree = dict[AssetPath, AssetState]

PATHS = tuple(
    AssetPath(path)
    for path in ("a", "b", "c", "A", "a/x", "a/y", "b/x", "d/x", "d/e/x", "d/e", "d", "a.x", "a-")
)
"""``a.x`` and ``a-`` sort between ``a`` and ``a/x`` in an index, or about a tree."""

DIGESTS = tuple(Digest.of(content) for content in (b"one\n", b"two\n", b"three\n", b"four\n"))


@dataclass(frozen=True, slots=True)
class Case:
    """Three trees to merge."""

    base: Tree
    ours: Tree
    theirs: Tree


def exhaustive_cases() -> Iterator[Case]:
    """Every merge of every tree over a file, its mode, and a folder of its name."""
    file, below = AssetPath("a"), AssetPath("a/x")
    trees: list[Tree] = [{}]
    for digest, executable in product(DIGESTS[:3], (False, True)):
        trees.append({file: AssetState(path=file, digest=digest, executable=executable)})
    trees += [{below: AssetState(path=below, digest=digest)} for digest in DIGESTS[:3]]
    for base, ours, theirs in product(trees, repeat=3):
        yield Case(base, ours, theirs)


def random_cases(seed: int) -> Iterator[Case]:
    """Without end: a tree, and what two sides made of it."""
    random = Random(seed)
    while True:
        base = _tree(random, random.randint(0, 5))
        yield Case(base, _edited(random, base), _edited(random, base))


def _state(random: Random, path: AssetPath) -> AssetState:
    executable = random.random() < 0.2
    return AssetState(path=path, digest=random.choice(DIGESTS), executable=executable)


def _tree(random: Random, most: int) -> Tree:
    tree: Tree = {}
    for path in random.sample(PATHS, most):
        _put(tree, _state(random, path))
    return tree


def _edited(random: Random, base: Tree) -> Tree:
    tree: Tree = {}
    for path, state in base.items():
        what = random.random()
        if what < 0.5:
            _put(tree, state)
        elif what < 0.75:
            _put(tree, _state(random, path))
        elif what < 0.85:
            _put(tree, AssetState(path=random.choice(PATHS), digest=state.digest))
    for path in random.sample(PATHS, random.randint(0, 2)):
        _put(tree, _state(random, path))
    return tree


def _put(tree: Tree, state: AssetState) -> None:
    if can_coexist(NamePolicy.EXACT, [*tree, state.path]):
        tree[state.path] = state


def sides_of(case: Case) -> ThreeSides:
    """The case as a project whose assets are identified by path, as in git."""
    kind = KINDS.kinds[1].name
    return ThreeSides(
        records=tuple(
            AssetRecord(
                id=planned_id("project", path, lambda _: False),
                kind=kind,
                base=case.base.get(path),
                ours=case.ours.get(path),
                recorded=case.base.get(path),
            )
            for path in sorted(case.base.keys() | case.ours.keys())
        ),
        base={path: RemoteAsset(state=s) for path, s in sorted(case.base.items())},
        theirs={path: RemoteAsset(state=s) for path, s in sorted(case.theirs.items())},
    )
