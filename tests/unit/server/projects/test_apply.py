"""Applying plans to the SQL store: who may, what else is written, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Barrier, Event

import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.orm import Session

from tests.databases import everything, open_database
from towline import Watch, apply
from towline.errors import (
    Cancelled,
    ContentMissing,
    StalePlan,
    StoreBusy,
    StoreDamaged,
    StoreError,
)
from towline.model import AssetPath, Digest
from towline.ports import Applied
from towline.records import Contents
from towline.testing.plans import now
from towline_server.db import Database
from towline_server.errors import NotFound
from towline_server.projects.asset_tables import BlobRow, PullRow
from towline_server.projects.locking import claim
from towline_server.projects.store import SqlStore
from towline_server.projects.tables import ProjectRow, TenantRow

from .pulled import WATCH, A, B, PulledProject, make_project


@pytest.fixture
def here(database: Database) -> PulledProject:
    return make_project(database)


def _claimed(here: PulledProject) -> int:
    with here.database.writing() as session:
        return claim(session, here.project_id).fence


def _names_tenant(session: Session, applied: Applied) -> None:
    """A row of the caller's own: any table will do."""
    session.execute(update(TenantRow).values(name=f"after pull {applied.number}"))


def _tenants(here: PulledProject) -> list[str]:
    with here.database.reading() as session:
        return list(session.scalars(select(TenantRow.name)))


@dataclass
class ContentsAfter:
    """Contents that are given after something else has happened."""

    contents_of: Contents | None
    what: object

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        assert callable(self.what)
        self.what()
        assert self.contents_of is not None
        yield from self.contents_of.contents(digests)


# --- races -------------------------------------------------------------------------------------


def test_a_plan_that_was_overtaken_while_it_fetched_changes_nothing(here: PulledProject):
    plan = here.plan(a=b"1", b=b"2")
    done: list[dict[str, object]] = []

    def overtake() -> None:
        apply(plan, here.elsewhere().store)
        done.append(dict(everything(here.database)))

    with pytest.raises(StalePlan):
        here.store.apply(plan, ContentsAfter(plan.source, overtake), WATCH)
    assert everything(here.database) == done[0]


def test_of_two_that_apply_at_once_exactly_one_wins(database_url: str, database: Database):
    here = make_project(database)
    patient = open_database(database_url).engine
    plan = here.plan(a=b"1", b=b"2")
    together = Barrier(2, timeout=60)

    def attempt(_: int) -> object:
        try:
            store = SqlStore(Database(patient), here.project_id)
            return store.apply(plan, ContentsAfter(plan.source, together.wait), WATCH)
        except StalePlan as error:
            return error

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(attempt, range(2)))
    patient.dispose()
    assert sorted(type(answer).__name__ for answer in answers) == ["Applied", "StalePlan"]
    assert [logged.number for logged in here.store.log()] == [1]
    assert here.contents() == {"a": b"1", "b": b"2"}


def test_an_edit_of_what_the_plan_touches_makes_it_stale(here: PulledProject):
    here.pull(a=b"1", b=b"1")
    plan = here.plan(a=b"2", b=b"1")
    source = ContentsAfter(plan.source, lambda: here.store.put(A, b"mine"))
    with pytest.raises(StalePlan) as caught:
        here.store.apply(plan, source, WATCH)
    assert caught.value.paths == ("a",)
    assert here.contents() == {"a": b"mine", "b": b"1"}


def test_an_edit_in_the_way_of_what_the_plan_creates_makes_it_stale(here: PulledProject):
    plan = here.plan(a=b"2")
    source = ContentsAfter(plan.source, lambda: here.store.put(AssetPath("a/below"), b"mine"))
    with pytest.raises(StalePlan):
        here.store.apply(plan, source, WATCH)
    assert here.contents() == {"a/below": b"mine"}


def test_an_edit_of_another_asset_does_not_disturb_the_plan(here: PulledProject):
    here.pull(a=b"1", b=b"1")
    plan = here.plan(a=b"2", b=b"1")
    here.store.apply(plan, ContentsAfter(plan.source, lambda: here.store.put(B, b"mine")), WATCH)
    assert here.contents() == {"a": b"2", "b": b"mine"}


def test_a_lock_that_someone_holds_is_reported_as_busy(here: PulledProject):
    plan = here.plan(a=b"1")
    with here.database.writing() as session:
        session.execute(update(ProjectRow).values(edition=ProjectRow.edition + 1))
        with ThreadPoolExecutor() as elsewhere:
            with pytest.raises(StoreBusy):
                elsewhere.submit(apply, plan, here.store).result()
            with pytest.raises(StoreBusy):
                elsewhere.submit(here.store.put, A, b"mine").result()
    assert here.contents() == {}


# --- the fence ---------------------------------------------------------------------------------


def test_who_holds_the_fence_applies_once(here: PulledProject):
    store = here.open(fence=_claimed(here))
    first = here.plan(a=b"1")
    apply(first, store)
    second = here.plan(a=b"2")
    before = everything(here.database)
    with pytest.raises(StoreBusy):
        apply(second, store)
    assert everything(here.database) == before


def test_who_lost_the_fence_changes_nothing_however_late_it_wakes(here: PulledProject):
    old = here.open(fence=_claimed(here), before_commit=_names_tenant)
    plan = here.plan(a=b"1")
    new = here.open(fence=_claimed(here))
    before = everything(here.database)
    with pytest.raises(StoreBusy):
        apply(plan, old)
    assert everything(here.database) == before
    apply(plan, new)
    before = everything(here.database)
    with pytest.raises(StalePlan):
        apply(plan, old)
    assert everything(here.database) == before


def test_a_fence_that_is_lost_while_fetching_is_noticed(here: PulledProject):
    plan = here.plan(a=b"1")
    store = here.open(fence=_claimed(here), before_commit=_names_tenant)
    with pytest.raises(StoreBusy):
        store.apply(plan, ContentsAfter(plan.source, lambda: _claimed(here)), WATCH)
    assert here.contents() == {}


def test_nothing_to_do_is_fenced_too(here: PulledProject):
    here.pull(a=b"1")
    store = here.open(fence=_claimed(here), before_commit=_names_tenant)
    plan = here.plan()
    assert plan.is_noop
    _claimed(here)
    before = everything(here.database)
    with pytest.raises(StoreBusy):
        apply(plan, store)
    assert everything(here.database) == before


def test_nothing_to_do_is_fenced_up_to_its_transaction(here: PulledProject, database_url: str):
    here.pull(a=b"1")
    store, plan = here.open(fence=_claimed(here), before_commit=_names_tenant), here.plan()
    another = open_database(database_url)
    assert store.names

    def overtake(*_: object) -> None:
        """When the check's connection goes back to its pool."""
        _claimed(PulledProject(another, here.project_id))

    event.listen(here.database.engine, "checkin", overtake, once=True)
    with pytest.raises(StoreBusy):
        apply(plan, store)
    another.close()
    assert "after pull None" not in _tenants(here)


def test_a_project_that_is_gone_is_not_found(here: PulledProject):
    plan = here.plan(a=b"1")

    def remove() -> None:
        with here.database.writing() as session:
            session.delete(session.get(ProjectRow, here.project_id))

    with pytest.raises(NotFound):
        here.store.apply(plan, ContentsAfter(plan.source, remove), WATCH)
    for ask in (now(here.store).state, lambda: here.store.names, lambda: _claimed(here)):
        with pytest.raises(NotFound):
            ask()
    with pytest.raises(NotFound):
        here.store.put(A, b"mine")


# --- the transaction ---------------------------------------------------------------------------


def test_the_caller_writes_in_the_same_transaction(here: PulledProject):
    report = apply(here.plan(a=b"1"), here.open(before_commit=_names_tenant))
    assert (report.pull, _tenants(here)) == (1, ["after pull 1"])
    apply(here.plan(), here.open(before_commit=_names_tenant))
    assert _tenants(here) == ["after pull None"]


def _fails(_: Session, __: Applied) -> None:
    raise ZeroDivisionError


def _fails_in_sql(session: Session, _: Applied) -> None:
    session.execute(text("SELECT nonsense"))


@pytest.mark.parametrize(
    ("also", "error"), [(_fails, ZeroDivisionError), (_fails_in_sql, StoreError)]
)
def test_when_the_caller_fails_nothing_is_written(here: PulledProject, also, error):
    here.pull(a=b"1", b=b"2")
    plan = here.plan(a=b"3", c=b"4")
    before = everything(here.database)
    with pytest.raises(error):
        apply(plan, here.open(before_commit=also))
    assert everything(here.database) == before
    apply(plan, here.store)


def test_cancelling_is_honoured_up_to_the_commit(here: PulledProject):
    plan = here.plan(a=b"1")
    stop = Event()
    store = here.open(before_commit=lambda _, __: stop.set())
    before = everything(here.database)
    with pytest.raises(Cancelled):
        apply(plan, store, watch=Watch(cancel=stop))
    assert everything(here.database) == before


@dataclass
class FalseContents:
    """Contents that are not what they are asked for."""

    def contents(self, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
        for digest in digests:
            yield digest, b"something else"


def test_wrong_contents_are_refused_before_anything_is_locked(here: PulledProject):
    plan = here.plan(a=b"1")
    before = everything(here.database)
    with pytest.raises(ContentMissing):
        here.store.apply(plan, FalseContents(), WATCH)
    assert everything(here.database) == before


@contextmanager
def _without_kinds(database: Database) -> Iterator[None]:
    """A database that someone else has altered."""
    with database.writing() as session:
        session.execute(text("ALTER TABLE assets RENAME COLUMN kind TO sort"))
    try:
        yield
    finally:
        with database.writing() as session:
            session.execute(text("ALTER TABLE assets RENAME COLUMN sort TO kind"))


def test_what_the_database_raises_does_not_leave_the_store(here: PulledProject):
    plan = here.plan(a=b"1")
    with _without_kinds(here.database):
        for fails in (
            lambda: now(here.store).at(A),
            lambda: list(now(here.store).records()),
            lambda: here.store.put(A, b"mine"),
            lambda: apply(plan, here.store),
        ):
            with pytest.raises(StoreError) as caught:
                fails()
            assert "mine" not in f"{caught.value} {caught.value.__cause__}"


def test_text_that_is_no_unicode_does_not_leave_the_store(here: PulledProject):
    with pytest.raises(StoreError, match="not Unicode"):
        now(here.store).at(AssetPath("\ud800"))
    with pytest.raises(StoreError, match="not Unicode"):
        here.store.put(AssetPath("\ud800"), b"")


# --- what the log retains -----------------------------------------------------------------------


def test_the_log_retains_plans_and_bytes_up_to_its_bound(database: Database):
    here = make_project(database, keep=2)
    for content in (b"1", b"2", b"3", b"4"):
        here.pull(a=content)
    assert [logged.number for logged in here.store.log()] == [4, 3]
    with database.reading() as session:
        rows = session.execute(select(PullRow.number, PullRow.report, PullRow.plan.is_(None))).all()
        bytes_held = set(session.scalars(select(BlobRow.content)))
    assert [(number, gone) for number, _, gone in sorted(rows, key=lambda row: row[0])] == [
        (1, True),
        (2, True),
        (3, False),
        (4, False),
    ]
    assert all(report["status"] == "updated" for _, report, _ in rows)
    assert bytes_held == {b"2", b"3", b"4"}


def test_a_log_that_retains_nothing_has_the_contents_of_ours_alone(database: Database):
    here = make_project(database, keep=0)
    here.pull(a=b"1")
    here.pull(a=b"2")
    with database.reading() as session:
        assert list(session.scalars(select(BlobRow.content))) == [b"2"]
    assert here.store.log() == []


def test_a_log_that_cannot_be_read_is_damage(here: PulledProject):
    here.pull(a=b"1")
    with here.database.writing() as session:
        session.execute(update(PullRow).values(plan="{}"))
    with pytest.raises(StoreDamaged):
        here.store.log()


def test_a_project_goes_with_all_that_it_has(here: PulledProject):
    here.pull(a=b"1")
    here.pull(a=b"2")
    here.store.put(B, b"mine")
    with here.database.writing() as session:
        session.delete(session.get(ProjectRow, here.project_id))
    left = {name for name, rows in everything(here.database).items() if rows}
    assert left == {"tenants"}


def test_a_snapshot_sees_one_moment(here: PulledProject):
    here.pull(a=b"1")
    with here.store.snapshot() as then, ThreadPoolExecutor() as elsewhere:
        before = list(then.records())
        elsewhere.submit(here.store.put, A, b"mine").result()
        elsewhere.submit(here.pull, a=b"1", b=b"2").result()
        assert list(then.records()) == before
        assert (then.at(B), then.state().tracked, len(then.log())) == (None, 1, 1)
    assert now(here.store).at(B) is not None
