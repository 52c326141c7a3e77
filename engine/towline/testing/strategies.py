"""Hypothesis strategies for small, contrary projects on three sides.

Paths and contents come from small alphabets, so that the sides meet often: nested folders, a file
and a folder of one name, twins in case and in normal form. All of it shrinks towards a project in
which nothing changed. One draw is one choice from a table, and tables are made once, since that is
what costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import TypeAlias, TypeVar

from hypothesis import strategies as st

from towline.asset_ids import planned_id
from towline.changes import RemoteAsset, RemoteEntry
from towline.frozen import frozen
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.names import NamePolicy
from towline.records import AssetRecord
from towline.testing.sides import KINDS, ThreeSides, can_coexist

_A = TypeVar("_A")

PATHS = tuple(
    AssetPath(path)
    for path in ("a", "b", "c", "d/x", "d/y", "a/x", "d/e/x", "d", "A", "D/x", "\u00e9", "e\u0301")
)
"""The alphabet: plain names first, then nested ones, file and folder twins, and name twins."""

CONTENTS: Mapping[Digest, bytes] = {
    Digest.of(content): content for content in (b"one\n", b"two\n", b"three\n", b"four\n", b"")
}
"""Every digest that occurs, with its bytes."""


class Feature(StrEnum):
    """What a generated project may hold beyond edits, additions and deletions."""

    LOCAL_MOVES = "local_moves"
    """Assets that ours moved, swaps among them."""
    REMOTE_MOVES = "remote_moves"
    EMBEDDED_IDS = "embedded_ids"
    LAGGING = "lagging"
    """Assets that an earlier pull skipped."""
    NON_ASSETS = "non_assets"
    LOCAL_FILES = "local_files"
    """Files in the store that are no assets."""
    NAME_POLICIES = "name_policies"
    """Stores that hold some paths equal."""


ALL_FEATURES = frozenset(Feature)
PLAIN: frozenset[Feature] = frozenset()
"""What git's three-way merge of trees knows: edits, additions and deletions, by path."""


@frozen(kw_only=True)
class AssetStep:
    """What one side did to an asset; None: left as it was."""

    path: AssetPath | None = None
    digest: Digest | None = None
    executable: bool | None = None
    becomes: NonAssetReason | None = None
    deleted: bool = False

    def __call__(self, entry: RemoteEntry) -> RemoteEntry | None:
        """Return the asset after it. A non-asset can only go, or become another."""
        if self.deleted:
            return None
        if self.becomes is not None:
            return NonAsset(path=entry.path, reason=self.becomes)
        if isinstance(entry, NonAsset):
            return self._instead_of(entry)
        state = entry.state
        changed = AssetState(
            path=self.path or state.path,
            digest=self.digest or state.digest,
            executable=state.executable if self.executable is None else self.executable,
        )
        return remote_asset(changed, entry.embedded_id)

    def _instead_of(self, entry: NonAsset) -> RemoteEntry:
        if self.digest is None or self.path is not None:
            return entry
        return remote_asset(AssetState(path=entry.path, digest=self.digest))


def remote_asset(state: AssetState, embedded_id: str | None = None) -> RemoteAsset:
    """Return an asset as a remote lists it, for a digest of `CONTENTS`."""
    return RemoteAsset(state=state, size=len(CONTENTS[state.digest]), embedded_id=embedded_id)


_Lagging: TypeAlias = tuple[AssetState, AssetStep]

# --- tables of choices, the dullest first ------------------------------------------------------

_KEEP = AssetStep()
_EDITS = [AssetStep(digest=digest) for digest in CONTENTS]
_CHMODS = [AssetStep(executable=True), AssetStep(executable=False)]
_MOVES = [AssetStep(path=path) for path in PATHS]
_MOVES_AND_EDITS = [
    AssetStep(path=path, digest=tuple(CONTENTS)[n % 5]) for n, path in enumerate(PATHS)
]
_NON_ASSETS = [
    AssetStep(becomes=reason) for reason in (NonAssetReason.SYMLINK, NonAssetReason.LFS_POINTER)
]
_PLAIN_STEPS = [_KEEP] * 8 + _EDITS * 3 + _CHMODS * 2 + [AssetStep(deleted=True)] * 6
_STATES = [
    AssetState(path=path, digest=digest, executable=executable)
    for executable in (False, False, True)
    for path in PATHS
    for digest in CONTENTS
]
_FILES = st.lists(st.sampled_from(PATHS), max_size=1)
_POLICIES = [policy for policy in NamePolicy if policy is not NamePolicy.PORTABLE]


@cache
def states() -> st.SearchStrategy[AssetState]:
    """Return an asset's state at a path of the alphabet."""
    return st.sampled_from(_STATES)


@cache
def local_steps(features: frozenset[Feature] = ALL_FEATURES) -> st.SearchStrategy[AssetStep]:
    """Return what ours may do to an asset."""
    moves = _MOVES + _MOVES_AND_EDITS if Feature.LOCAL_MOVES in features else []
    return st.sampled_from(_PLAIN_STEPS + moves)


@cache
def remote_steps(features: frozenset[Feature] = ALL_FEATURES) -> st.SearchStrategy[AssetStep]:
    """Return what theirs may do to an asset."""
    moves = _MOVES + _MOVES_AND_EDITS if Feature.REMOTE_MOVES in features else []
    others = _NON_ASSETS * 2 if Feature.NON_ASSETS in features else []
    return st.sampled_from(_PLAIN_STEPS + moves + others)


@cache
def entries(features: frozenset[Feature] = ALL_FEATURES) -> st.SearchStrategy[RemoteEntry]:
    """Something in a repository."""
    assets: list[RemoteEntry] = [remote_asset(state) for state in _STATES]
    if Feature.NON_ASSETS in features:
        assets += [NonAsset(path=path, reason=NonAssetReason.SYMLINK) for path in PATHS]
    return st.sampled_from(assets)


@cache
def name_policies(features: frozenset[Feature] = ALL_FEATURES) -> st.SearchStrategy[NamePolicy]:
    """A store's name policy. `NamePolicy.PORTABLE` differs for names outside the alphabet alone."""
    some = _POLICIES if Feature.NAME_POLICIES in features else [NamePolicy.EXACT]
    return st.sampled_from(some)


# --- whole projects ----------------------------------------------------------------------------


@frozen
class _History:
    """One entry of the recorded revision, and what was made of it on both sides."""

    entry: RemoteEntry
    here: AssetStep
    there: AssetStep
    lag: AssetStep | None


@cache
def _histories(features: frozenset[Feature]) -> st.SearchStrategy[_History]:
    lags: list[AssetStep | None] = [None]
    if Feature.LAGGING in features:
        moves = _MOVES[:3] if Feature.REMOTE_MOVES in features else []
        older = [*_EDITS, _CHMODS[0], AssetStep(deleted=True), *moves]
        lags = [None] * (4 * len(older)) + [*older]
    return st.builds(
        _History,
        entries(features),
        local_steps(features),
        remote_steps(features),
        st.sampled_from(lags),
    )


@cache
def _lives(features: frozenset[Feature], most: int) -> st.SearchStrategy[list[_History]]:
    return st.lists(_histories(features), max_size=most, unique_by=_path_of)


@st.composite
def three_sides(
    draw: st.DrawFn,
    features: frozenset[Feature] = ALL_FEATURES,
    *,
    most: int = 4,
    names: NamePolicy | None = None,
) -> ThreeSides:
    """A whole project: what the last pull left, what was done to it here, and there.

    The store can hold ours; theirs is a tree that git can hold, and perhaps no store whose name
    policy is not git's.
    """
    if names is None:
        names = draw(name_policies(features))
    drawn = draw(_lives(features, most))
    histories = [_embed(history, features) for history in _in_one_tree(drawn)]
    local = _Local(names=names)
    for history in histories:
        local.add_history(history)
    if Feature.LAGGING in features:
        local.add_lagging_deletions(draw(_deleted_there(features)), histories)
    for state in draw(_additions(states())):
        local.add(ours=state)
    files: list[AssetPath] = []
    if Feature.LOCAL_FILES in features:
        files = draw(_FILES)
    after = [history.there(history.entry) for history in histories]
    if Feature.EMBEDDED_IDS in features and draw(_TRADES):
        after = _traded(after)
    return ThreeSides(
        records=tuple(sorted(local.records, key=lambda record: record.id)),
        base=_tree(history.entry for history in histories),
        theirs=_tree([*after, *draw(_additions(entries(features)))]),
        files=tuple(path for path in files if local.has_room(path)),
        names=names,
        used={AssetId(f"former {path}"): path for path in draw(_FILES)},
    )


@st.composite
def edited_trees(
    draw: st.DrawFn,
    tree: Mapping[AssetPath, RemoteEntry],
    features: frozenset[Feature] = ALL_FEATURES,
) -> dict[AssetPath, RemoteEntry]:
    """What a repository may hold after some commits on this tree."""
    after = [draw(remote_steps(features))(entry) for entry in tree.values()]
    return _tree([*after, *draw(_additions(entries(features)))])


_TRADES = st.booleans()


def _traded(after: list[RemoteEntry | None]) -> list[RemoteEntry | None]:
    """Let the assets that embed ids take one another's paths, in a circle."""
    places = [
        at
        for at, entry in enumerate(after)
        if isinstance(entry, RemoteAsset) and entry.embedded_id is not None
    ]
    traded = list(after)
    for at, to in zip(places, places[1:] + places[:1], strict=True):
        mover, there = after[at], after[to]
        assert isinstance(mover, RemoteAsset)
        assert isinstance(there, RemoteAsset)
        traded[at] = replace(mover, state=replace(mover.state, path=there.path))
    return traded


def _path_of(history: _History) -> AssetPath:
    return history.entry.path


def _in_one_tree(histories: Iterable[_History]) -> list[_History]:
    tree: list[_History] = []
    for history in histories:
        if can_coexist(NamePolicy.EXACT, [*map(_path_of, tree), history.entry.path]):
            tree.append(history)
    return sorted(tree, key=_path_of)


def _tree(found: Iterable[RemoteEntry | None]) -> dict[AssetPath, RemoteEntry]:
    """Return a tree that git can hold; an entry for which there is no room is left out."""
    tree: dict[AssetPath, RemoteEntry] = {}
    for entry in found:
        if entry is not None and can_coexist(NamePolicy.EXACT, [*tree, entry.path]):
            tree[entry.path] = entry
    return dict(sorted(tree.items()))


def _embed(history: _History, features: frozenset[Feature]) -> _History:
    """Every asset whose path has no folder embeds an id, so that a rename may edit it too."""
    entry = history.entry
    if Feature.EMBEDDED_IDS not in features or isinstance(entry, NonAsset) or "/" in entry.path:
        return history
    return replace(history, entry=replace(entry, embedded_id=f"id-{entry.path}"))


@cache
def _additions(what: st.SearchStrategy[_A]) -> st.SearchStrategy[list[_A]]:
    return st.lists(what, max_size=2)


@cache
def _deleted_there(features: frozenset[Feature]) -> st.SearchStrategy[list[_Lagging]]:
    return st.lists(st.tuples(states(), local_steps(features)), max_size=1)


@dataclass(slots=True)
class _Local:
    """The store's records, made one after the other."""

    names: NamePolicy
    records: list[AssetRecord] = field(default_factory=list)

    def has_room(self, path: AssetPath) -> bool:
        here = [record.ours.path for record in self.records if record.ours is not None]
        return can_coexist(self.names, [*here, path])

    def add_history(self, history: _History) -> None:
        """Add what became here of an entry of the recorded revision."""
        entry = history.entry
        if isinstance(entry, NonAsset):
            if history.lag is not None and history.lag.digest is not None:
                base = AssetState(path=entry.path, digest=history.lag.digest)
                self.add(ours=_state(history.here(remote_asset(base))), base=base, recorded=entry)
            return
        older = entry if history.lag is None else history.lag(entry)
        # A lagging asset that was new there may be missing here.
        ours = None if older is None and history.here == _KEEP else history.here(entry)
        self.add(ours=_state(ours), base=_state(older), recorded=entry)

    def add_lagging_deletions(
        self, lagging: Iterable[_Lagging], histories: Iterable[_History]
    ) -> None:
        """Add assets that the repository deleted, and an earlier pull skipped."""
        taken = {history.entry.path for history in histories}
        for base, here in lagging:
            if base.path not in taken:
                self.add(ours=_state(here(remote_asset(base))), base=base)

    def add(
        self,
        *,
        ours: AssetState | None,
        base: AssetState | None = None,
        recorded: RemoteEntry | None = None,
    ) -> None:
        """Add a record; its ours only where there is room for it."""
        placed = ours if ours is not None and self.has_room(ours.path) else None
        remote = recorded if isinstance(recorded, RemoteAsset) else None
        known = [state for state in (base, _state(recorded), placed) if state is not None]
        if not known:
            return
        kind = KINDS.of((placed or known[0]).path)
        assert kind is not None, "every path of the alphabet has a kind"
        used = {record.id for record in self.records}
        self.records.append(
            AssetRecord(
                id=planned_id("project", known[0].path, used.__contains__),
                kind=kind.name,
                base=base,
                ours=placed,
                recorded=recorded.state if isinstance(recorded, RemoteAsset) else recorded,
                size=0 if remote is None else remote.size,
                embedded_id=None if remote is None else remote.embedded_id,
            )
        )


def _state(entry: RemoteEntry | None) -> AssetState | None:
    return entry.state if isinstance(entry, RemoteAsset) else None
