"""What pulling costs a database: statements follow the change, whatever the project holds."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text, update

from tests.databases import open_database
from tests.statements import counting
from towline import Limits, PullOptions, Watch, apply, plan_at, undo
from towline.asset_ids import planned_id
from towline.model import AssetId, AssetPath, AssetState, Digest, Revision, ThreeWay
from towline.names import NamePolicy
from towline.options import Side
from towline.plan import Plan
from towline.records import AssetRecord
from towline.resolutions import SavedResolution
from towline.testing.plans import now, pulled
from towline_server.db import Database
from towline_server.db.statements import insert_all
from towline_server.projects.asset_tables import AssetRow, UsedIdRow
from towline_server.projects.rows import row_of
from towline_server.projects.tables import ProjectRow
from towline_server.projects.transaction import SqlTransaction

from .pulled import PulledProject, make_project

POLICY = PullOptions(limits=Limits(assets=20_000, tree_entries=50_000))


def _files(number: int) -> dict[str, bytes]:
    return {f"d{each % 50}/f{each}": b"%d" % each for each in range(number)}


def _large(database: Database, number: int) -> PulledProject:
    """A project that was pulled, written as rows: pulling it would take longer than the test."""
    here = make_project(database)
    files = _files(number)
    revision = here.remote.commit(files)
    here.remote.fetch(revision, POLICY.limits, Watch())
    records = [_record(here, AssetPath(path), content) for path, content in files.items()]
    rows = [row_of(here.project_id, record, NamePolicy.EXACT) for record in records]
    used = [{"project_id": here.project_id, "asset_id": record.id} for record in records]
    fingerprint = here.store.kinds.fingerprint
    with database.writing() as session:
        held = {Digest.of(content): content for content in files.values()}
        transaction = SqlTransaction(session, here.project_id, write=False)
        transaction.put_blobs(held)
        insert_all(session, AssetRow, rows)
        insert_all(session, UsedIdRow, used)
        pulled = {
            "base": revision,
            "fingerprint": fingerprint,
            "tracked": number,
            "tracked_bytes": sum(map(len, files.values())),
        }
        session.execute(update(ProjectRow).values(**pulled))
    return here


def _record(here: PulledProject, path: AssetPath, content: bytes) -> AssetRecord:
    """An asset that is alike on all three sides."""
    asset_id = planned_id(str(here.project_id), path, lambda _: False)
    state = AssetState(path=path, digest=Digest.of(content))
    return pulled(asset_id, state, len(content))


def _change(here: PulledProject, number: int) -> Revision:
    """One asset of each sort of change."""
    files = _files(number)
    files["d0/f0"] = b"edited"
    files["new/x"] = b"new"
    files["moved"] = files.pop("d1/f1")
    del files["d2/f2"]
    return here.remote.commit(files)


def _plan(here: PulledProject, revision: Revision) -> Plan:
    here.remote.fetch(revision, POLICY.limits, Watch())
    with here.store.snapshot() as then:
        return plan_at(then, here.remote, revision, options=POLICY)


@pytest.fixture
def sent_for(tmp_path_factory: pytest.TempPathFactory, sqlite_template):
    """What a no-op, a change and its undo send in a project of so many assets."""

    def send(number: int) -> dict[str, list[tuple[str, Any]]]:
        path = tmp_path_factory.mktemp("large") / "db.sqlite"
        path.write_bytes(sqlite_template.read_bytes())
        database = open_database(f"sqlite:///{path}")
        here = _large(database, number)
        state = now(here.store).state()
        assert state.base is not None
        with counting(database) as nothing:
            assert apply(_plan(here, state.base), here.store).pull is None
        revision = _change(here, number)
        with counting(database) as change:
            report = apply(_plan(here, revision), here.store)
        assert len(report.listed) == 4
        with counting(database) as undone:
            undo(here.store)
        database.close()
        return {"nothing": nothing.sent, "change": change.sent, "undo": undone.sent}

    return send


def test_statements_follow_the_change_not_the_project(sent_for):
    small, large = sent_for(1_000), sent_for(10_000)
    for what, sent in small.items():
        assert len(large[what]) == len(sent), what
    assert len(small["nothing"]) <= 8
    assert len(small["change"]) <= 60


def test_a_plan_reads_what_changed_in_sets(sqlite_url: str):
    database = open_database(sqlite_url)
    here = _large(database, 600)
    revision = here.remote.commit(dict.fromkeys(_files(400), b"alike") | _only_here(400, 600))
    with counting(database) as statements:
        plan = _plan(here, revision)
    assert len(plan.items) == 400
    assert len(statements.sent) <= 8
    database.close()


def _only_here(first: int, last: int) -> dict[str, bytes]:
    """The files that are as they were."""
    return dict(list(_files(last).items())[first:])


def test_saved_resolutions_are_read_in_one_statement(sqlite_url: str):
    database = open_database(sqlite_url)
    here = make_project(database)
    state = AssetState(path=AssetPath("a"), digest=Digest.of(b"1"))
    saved = [
        SavedResolution(asset_id=AssetId(name), states=ThreeWay(None, state, state), side=Side.OURS)
        for name in ("0", "9/a", "a", "\N{SNOWMAN}")
    ]
    here.store.save_resolutions(reversed(saved))
    with here.store.snapshot() as then, counting(database) as statements:
        assert then.saved_resolutions() == saved
    assert len(statements.sent) == 1
    database.close()


def test_a_project_is_read_as_a_whole_once_it_is_small_beside_the_questions(sqlite_url: str):
    database = open_database(sqlite_url)
    here = _large(database, 300)
    paths = [AssetPath(path) for path in _files(300)]
    with here.store.snapshot() as then, counting(database) as statements:
        sent = []
        for path in paths:
            assert then.at(path) is not None
            sent.append(len(statements.sent))
    # 300 assets are too many beside 64 questions, and few beside 128.
    assert sent[126] >= 127
    assert sent[127] == sent[-1]
    database.close()


def _touches_assets(statement: str) -> bool:
    return statement.startswith(("SELECT", "UPDATE", "DELETE")) and "assets" in statement


def _asked(database: Database) -> list[tuple[str, Any]]:
    """Every sort of statement about assets that pulls, edits and undo send."""
    here = _large(database, 500)
    revision = _change(here, 500)
    with counting(database) as statements:
        here.store.put(AssetPath("d3/f3"), b"mine")
        now(here.store).lagging()
        now(here.store).with_embedded_id("x")
        apply(_plan(here, revision), here.store)
        undo(here.store)
    return [each for each in statements.sent if _touches_assets(each[0])]


def _is_narrow(condition: str) -> bool:
    """Whether an index is asked for more than the project, or holds lagging assets alone."""
    return " AND " in condition or "ix_assets_lagging" in condition


def test_sqlite_answers_by_index(sqlite_url: str):
    database = open_database(sqlite_url)
    asked = _asked(database)
    with database.engine.connect() as connection:
        for statement, values in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            steps = [row[3] for row in plan if row[3].startswith(("SCAN", "SEARCH"))]
            assert [step for step in steps if not _is_narrow(step)] == [], statement
    database.close()


@pytest.mark.services
def test_postgresql_answers_by_index(postgres_url: str):
    database = open_database(postgres_url)
    asked = _asked(database)
    with database.engine.connect() as connection:
        # To the planner each table is large, whatever other tests left in the statistics.
        connection.execute(text("DELETE FROM pg_statistic"))
        large = "UPDATE pg_class SET relpages = 1, reltuples = 1e6 WHERE relkind = 'r'"
        connection.execute(text(f"{large} AND relnamespace = current_schema()::regnamespace"))
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, values in asked:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", values).scalars().all()
            steps = "\n".join(plan).split("->")
            reads = [step for step in steps if "Scan" in step and "Bitmap Heap" not in step]
            assert [step for step in reads if not _is_narrow(step)] == [], (statement, plan)
    database.close()
