"""Lookups over rows answer as those over dicts do, for any project."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.databases import add_project, open_database
from tests.laws.merging import REFUSE, SKIP
from towline import Watch
from towline.errors import TowlineError
from towline.merge.merge import merge
from towline.model import AssetId, AssetState
from towline.options import PullOptions
from towline.plan import Plan
from towline.records import AssetLookup, AssetRecord
from towline.testing.choices import pull_options
from towline.testing.plans import KnownContents, now
from towline.testing.sides import KINDS, ThreeSides, records_after
from towline.testing.strategies import ALL_FEATURES, CONTENTS, PATHS, Feature, three_sides
from towline_server.db import Database
from towline_server.db.statements import insert_all
from towline_server.projects.asset_tables import AssetRow, UsedIdRow
from towline_server.projects.rows import row_of
from towline_server.projects.store import SqlStore
from towline_server.projects.tables import ProjectRow
from towline_server.projects.transaction import SqlTransaction

SIDES = three_sides(ALL_FEATURES - {Feature.LOCAL_FILES})
"""A database has no plain files."""


@pytest.fixture(scope="module")
def file(sqlite_template, tmp_path_factory) -> Iterator[Database]:
    path = tmp_path_factory.mktemp("lookups") / "db.sqlite"
    path.write_bytes(sqlite_template.read_bytes())
    database = open_database(f"sqlite:///{path}")
    yield database
    database.close()


def _written(database: Database, sides: ThreeSides) -> SqlStore:
    """The project on three sides, as rows."""
    project_id = add_project(database, project=sides.project, kinds=KINDS, names=sides.names)
    mine, state = {"project_id": project_id}, sides.context().state
    used = {**dict.fromkeys(record.id for record in sides.records), **sides.used}
    with database.writing() as session:
        SqlTransaction(session, project_id, write=False).put_blobs(CONTENTS)
        rows = [row_of(project_id, record, sides.names) for record in sides.records]
        insert_all(session, AssetRow, rows)
        insert_all(
            session,
            UsedIdRow,
            [{**mine, "asset_id": each, "path": path} for each, path in used.items()],
        )
        project = session.get_one(ProjectRow, project_id)
        for name in ("base", "fingerprint", "scope", "tracked", "tracked_bytes"):
            setattr(project, name, getattr(state, name))
    return SqlStore(database, project_id)


def _answers(ours: AssetLookup) -> list[object]:
    """What it answers to every question that the alphabet allows."""
    by_path = (ours.at, ours.aligned_at, ours.occupants, ours.former_id)
    answers: list[object] = [ask(path) for ask in by_path for path in PATHS]
    answers += [ours.with_embedded_id(f"id-{path}") for path in PATHS]
    return [*answers, list(ours.lagging())]


@settings(max_examples=200)
@given(sides=SIDES, first=st.sampled_from([1, 4]))
def test_rows_answer_as_dicts_do(file: Database, sides: ThreeSides, first: int):
    store, expected = _written(file, sides), sides.ours()
    for reads_whole in (False, True):
        with store.snapshot() as ours:
            ours._caches = reads_whole
            ours._next_count = first
            assert _answers(ours) == _answers(expected)
            ids = [record.id for record in sides.records]
            assert [ours.with_id(each) for each in ids] == [expected.with_id(each) for each in ids]
            assert all(ours.is_used(each) for each in (*ids, *sides.used))
            assert list(ours.records()) == list(expected.records())


def test_an_asset_that_is_seen_at_a_path_comes_before_one_that_was(file: Database):
    at = AssetState(path=PATHS[0], digest=next(iter(CONTENTS)))
    was = AssetRecord(id=AssetId("0" * 24), kind="file", base=at, ours=None, recorded=None)
    sees = AssetRecord(id=AssetId("1" * 24), kind="file", base=None, ours=None, recorded=at)
    sides = ThreeSides(records=(was, sees), base={}, theirs={})
    store = _written(file, sides)
    assert now(store).aligned_at(at.path) == sides.ours().aligned_at(at.path) == sees


def _merged(sides: ThreeSides, ours: AssetLookup, options: PullOptions) -> Plan | str:
    try:
        return merge(
            sides.changes(),
            ours,
            context=sides.context(),
            options=options,
        )
    except TowlineError as error:
        return repr(error)


@settings(max_examples=150)
@given(sides=SIDES, options=pull_options() | st.sampled_from([SKIP, REFUSE]))
def test_a_plan_made_and_applied_over_rows_is_the_one_over_dicts(
    file: Database, sides: ThreeSides, options: PullOptions
):
    store = _written(file, sides)
    with store.snapshot() as ours:
        plan = _merged(sides, ours, options)
    assert plan == _merged(sides, sides.ours(), options)
    if isinstance(plan, str) or plan.refused:
        return
    store.apply(plan, KnownContents(*CONTENTS.values()), Watch())
    records = list(records_after(sides.records, plan))
    assert list(now(store).records()) == records
    assert now(store).state() == plan.after
    here: list[AssetState] = [record.ours for record in records if record.ours is not None]
    assert [store.read(state.digest) for state in here] == [CONTENTS[s.digest] for s in here]
