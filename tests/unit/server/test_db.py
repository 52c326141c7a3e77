"""The database's ground floor, on SQLite."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError, OperationalError, StatementError

from towline.errors import InvalidValue
from towline_server.db import Database, make_engine, upgrade
from towline_server.db.failures import is_busy
from towline_server.db.session import WriteQueue, once_committed
from towline_server.projects.tables import ProjectRow, TenantRow

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


@pytest.fixture
def engine(tmp_path):
    engine = make_engine(f"sqlite:///{tmp_path}/db.sqlite", lock_seconds=0)
    yield engine
    engine.dispose()


@pytest.fixture
def database(engine):
    upgrade(engine)
    # Migrating sets its own connection up in its own way.
    engine.dispose()
    return Database(engine)


def _tenant(name: str = "one", at: datetime = NOW) -> TenantRow:
    return TenantRow(id=uuid4(), name=name, created_at=at)


def test_connections_are_set_up(database: Database):
    with database.engine.connect() as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar()
            for name in ("journal_mode", "foreign_keys", "synchronous")
        }
        driver = connection.connection.dbapi_connection
        assert driver is not None
        assert driver.isolation_level is None, "sqlite3 begins no transactions of its own"
    assert settings == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2}


def test_a_block_that_fails_writes_nothing(database: Database):
    def fail() -> None:
        with database.writing() as session:
            session.add(_tenant())
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with database.reading() as session:
        assert session.scalars(select(TenantRow)).all() == []


def test_a_reader_sees_one_moment(database: Database):
    with database.reading() as session:
        assert session.scalars(select(TenantRow)).all() == []
        with database.writing() as other:
            other.add(_tenant())
        assert session.scalars(select(TenantRow)).all() == []
    with database.reading() as session:
        assert len(session.scalars(select(TenantRow)).all()) == 1


def test_a_writer_takes_the_lock_at_once_and_a_second_is_refused(database: Database):
    with database.writing() as session:
        session.scalars(select(TenantRow)).all()
        with pytest.raises(OperationalError) as caught, database.writing() as other:
            other.scalars(select(TenantRow)).all()
    assert is_busy(caught.value)


def test_writers_get_their_turns_in_the_order_of_arrival():
    """The queue is first in, first out."""
    queue = WriteQueue(60)
    written: list[int] = []
    writers = [threading.Thread(target=_write_in_turn, args=(queue, written, n)) for n in range(20)]
    with queue.turn():
        for number, writer in enumerate(writers):
            writer.start()
            while len(queue._waiting) <= number:
                pass
    for writer in writers:
        writer.join()
    assert written == list(range(20))


def _write_in_turn(queue: WriteQueue, written: list[int], number: int) -> None:
    with queue.turn():
        written.append(number)


def test_a_writer_that_waits_too_long_leaves_the_queue():
    queue = WriteQueue(0)
    with queue.turn(), queue.turn():
        pass
    with queue.turn():
        assert queue._taken
    assert not queue._taken


def test_what_is_called_once_committed_may_write(engine: Engine):
    upgrade(engine)
    database = Database(engine)
    with database.writing() as session:
        once_committed(session, lambda: _add(database, "after"))
        session.add(_tenant("before"))
    with database.reading() as other:
        assert {*other.scalars(select(TenantRow.name))} == {"before", "after"}


def _add(database: Database, name: str) -> None:
    with database.writing() as session:
        session.add(_tenant(name))


def test_foreign_keys_hold(database: Database):
    project = ProjectRow(
        id=uuid4(), tenant_id=uuid4(), path="p", created_at=NOW, kinds={}, names="exact"
    )
    with pytest.raises(IntegrityError) as caught, database.writing() as session:
        session.add(project)
    assert not is_busy(caught.value)


def test_errors_show_no_values(database: Database):
    with database.writing() as session:
        session.add(_tenant("secret"))
    with pytest.raises(IntegrityError) as caught, database.writing() as session:
        session.add(_tenant("secret"))
    assert "secret" not in str(caught.value)


def test_moments_come_back_in_utc_and_naive_ones_are_refused(database: Database):
    east = timezone(timedelta(hours=5))
    with database.writing() as session:
        session.add(_tenant(at=NOW.astimezone(east)))
    with database.reading() as session:
        found = session.scalars(select(TenantRow.created_at)).one()
    assert (found, found.tzinfo) == (NOW, UTC)
    with pytest.raises(StatementError, match="time zone"), database.writing() as session:
        session.add(_tenant("two", at=NOW.replace(tzinfo=None)))


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "nonsense secret", ""]
)
def test_other_urls_are_refused_without_showing_them(url: str):
    with pytest.raises(InvalidValue) as caught:
        make_engine(url)
    assert "secret" not in str(caught.value)


def test_postgresql_is_spoken_through_psycopg_3():
    engine = make_engine("postgresql://user@localhost/db")
    assert engine.url.drivername == "postgresql+psycopg"
