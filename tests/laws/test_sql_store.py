"""A store in memory and one in SQL live through the same, and answer alike at every step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.databases import add_project, open_database
from towline import plan_pull, pull, undo
from towline.errors import TowlineError
from towline.model import AssetId, AssetPath, Digest
from towline.names import NamePolicy
from towline.options import OnConflict, PullOptions, Renames
from towline.remotes.memory import MemoryRemote
from towline.remotes.trees import FileContent
from towline.stores.memory import MemoryStore
from towline.testing.plans import now
from towline.testing.sides import KINDS, can_coexist
from towline.testing.strategies import CONTENTS, PATHS
from towline_server.db import Database
from towline_server.projects.store import SqlStore

Store: TypeAlias = MemoryStore | SqlStore
Tree: TypeAlias = dict[AssetPath, FileContent]
Step: TypeAlias = Callable[[Store, MemoryRemote], object]

paths = st.sampled_from(PATHS)
contents = st.sampled_from(list(CONTENTS.values()))


@pytest.fixture(scope="module")
def file(sqlite_template, tmp_path_factory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("law") / "db.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    database = open_database(f"sqlite:///{path}")
    yield database
    database.close()


# --- what can happen ---------------------------------------------------------------------------


def _id_at(store: Store, path: AssetPath) -> AssetId:
    record = now(store).at(path)
    return AssetId("0" * 24) if record is None else record.id


def _puts(path: AssetPath, content: bytes, executable: bool) -> Step:
    return lambda store, _: store.put(path, content, executable=executable)


def _moves(path: AssetPath, to: AssetPath) -> Step:
    return lambda store, _: store.move(_id_at(store, path), to)


def _deletes(path: AssetPath) -> Step:
    return lambda store, _: store.delete(_id_at(store, path))


def _pulls(options: PullOptions) -> Step:
    return lambda store, remote: pull(store, remote, options=options)


def _plans(options: PullOptions) -> Step:
    return lambda store, remote: plan_pull(store, remote, options=options)


def _undoes(number: int | None) -> Step:
    return lambda store, _: undo(store, number)


def _tree(files: list[tuple[AssetPath, bytes, bool]]) -> Tree:
    """As many of the files as a tree of Git's can hold."""
    tree: Tree = {}
    for path, content, executable in files:
        if can_coexist(NamePolicy.EXACT, [*tree.keys() - {path}, path]):
            tree[path] = (content, executable)
    return tree


policies = st.builds(
    PullOptions,
    on_conflict=st.sampled_from(OnConflict),
    renames=st.sampled_from(Renames),
    allow_empty=st.just(True),
)
trees = st.lists(st.tuples(paths, contents, st.booleans()), max_size=8).map(_tree)
edits = (
    st.builds(_puts, paths, contents, st.booleans())
    | st.builds(_moves, paths, paths)
    | st.builds(_deletes, paths)
)
pulls = st.builds(_pulls, policies) | st.builds(_plans, policies)
undos = st.builds(_undoes, st.none() | st.integers(1, 4))
rounds = st.tuples(trees, st.lists(edits, max_size=4), pulls, st.lists(edits | undos, max_size=2))


# --- and that both stores take it alike --------------------------------------------------------


def _answer(step: Step, store: Store, remote: MemoryRemote) -> object:
    try:
        return step(store, remote)
    except TowlineError as error:
        return repr(error)


def _held(store: Store) -> list[object]:
    """Everything that can be asked of it."""
    contents = [store.read(Digest.of(content)) for content in CONTENTS.values()]
    ids = [record.id for record in now(store).records()]
    return [
        now(store).state(),
        list(now(store).records()),
        list(now(store).lagging()),
        [now(store).occupants(path) for path in PATHS],
        [now(store).is_used(each) for each in ids],
        [now(store).former_id(path) for path in PATHS],
        list(store.log()),
        contents,
    ]


@settings(max_examples=60)
@given(
    names=st.sampled_from(list(NamePolicy)),
    keep=st.sampled_from([50, 2, 0]),
    history=st.lists(rounds, min_size=1, max_size=4),
)
def test_memory_and_sql_agree(file: Database, names, keep, history):
    memory = MemoryStore("project", kinds=KINDS, names=names, keep=keep)
    mine = add_project(file, project="project", kinds=KINDS, names=names, keep=keep)
    sql, remote = SqlStore(file, mine), MemoryRemote()
    for tree, before, pulls, after in history:
        remote.commit({str(path): content for path, content in tree.items()})
        for step in (*before, pulls, *after):
            assert _answer(step, sql, remote) == _answer(step, memory, remote)
        assert _held(sql) == _held(memory)
