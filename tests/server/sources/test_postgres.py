"""Tables of PostgreSQL, as snapshots; over TCP, with TLS and passwords."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event

from tests.certificates import CertificateAuthority
from tests.postgres import running_server
from tests.server.sources.pulling import Puller
from tests.server.sources.reading import Reader
from towline.errors import (
    AuthenticationFailed,
    InvalidTree,
    LimitExceeded,
    PermissionDenied,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
)
from towline.limits import Limits
from towline.remotes.credentials import Credential
from towline_server.errors import AddressRefused

pytestmark = pytest.mark.services

SECRET = "s3cr3t-of-mine"


@dataclass
class Served:
    """A database that listens on a port of this machine."""

    url: str
    local: str
    """Where this machine's own programs reach it."""
    authority: Path

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.local, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    authority = CertificateAuthority(tmp_path_factory.mktemp("tls") / "ca")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with running_server() as server:
        server.stop()
        data = server.folder / "data"
        shutil.copy(authority._server_file, data / "server.pem")
        os.chmod(data / "server.pem", 0o600)
        owner = data.stat()
        os.chown(data / "server.pem", owner.st_uid, owner.st_gid)
        rules = data / "pg_hba.conf"
        rules.write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        tls = "-c ssl=on -c ssl_cert_file=server.pem -c ssl_key_file=server.pem"
        server.start(f"-c listen_addresses=127.0.0.1 -c port={port} {tls}")
        local = f"{server.url('postgres')}&port={port}"
        with psycopg.connect(local, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE reader LOGIN PASSWORD '{SECRET}'".encode())
            connection.execute("GRANT pg_read_all_data TO reader")
            connection.execute(f"CREATE ROLE stranger LOGIN PASSWORD '{SECRET}'".encode())
        yield Served(f"postgresql://127.0.0.1:{port}/postgres", local, authority.file)


@pytest.fixture
def database(served: Served, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("SSL_CERT_FILE", str(served.authority))
    served.execute("CREATE TABLE rules (id text PRIMARY KEY, body text, at int)")
    yield served
    served.execute(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT USAGE ON SCHEMA public TO PUBLIC"
    )


@pytest.fixture
def reader(database: Served, tmp_path: Path) -> Reader:
    credential = Credential("reader", SECRET)
    config = {"table": "rules"}
    return Reader("postgres", database.url, tmp_path / "c.git", config, credential)


def test_each_row_is_a_file(database: Served, reader: Reader):
    database.execute("CREATE TYPE mood AS ENUM ('good')")
    database.execute(
        "CREATE TABLE public.everything (a int, b uuid, n numeric, f float8, d double precision,"
        " t timestamptz, l timestamp, y date, x bytea, j jsonb, s text[], v interval, o bool,"
        " e mood, z text, PRIMARY KEY (a, b))"
    )
    database.execute(
        "INSERT INTO everything VALUES (1, '11111111-1111-1111-1111-111111111111',"
        " 12345678901234567890.10, 0.1, 'NaN', '2026-01-02 03:04:05.5+02', '2026-01-02 03:04:05',"
        """ '2026-01-02', '\\x00ff', '{"b": 1.10, "a": []}', '{x,y}', '1 day 0.5 s', true,"""
        " 'good', NULL)"
    )
    reader.config = {"table": "public.everything"}
    assert reader.files() == {
        "1/11111111-1111-1111-1111-111111111111.json": (
            b'{\n  "a": 1,\n  "b": "11111111-1111-1111-1111-111111111111",\n  "d": "nan",\n'
            b'  "e": "good",\n  "f": 0.1,\n  "j": {\n    "a": [],\n    "b": 1.10\n  },\n'
            b'  "l": "2026-01-02T03:04:05",\n  "n": 12345678901234567890.10,\n  "o": true,\n'
            b'  "s": [\n    "x",\n    "y"\n  ],\n  "t": "2026-01-02T01:04:05.500000Z",\n'
            b'  "v": "PT86400.5S",\n  "x": "AP8=",\n  "y": "2026-01-02",\n  "z": null\n}\n'
        )
    }
    assert reader.fetch() == reader.fetch()


def test_only_rows_that_changed_are_read(
    database: Served, reader: Reader, monkeypatch: pytest.MonkeyPatch
):
    from towline_server.sources.postgres import Postgres

    contents: list[str] = []
    original = Postgres._content

    def counted(self: Postgres, shown, values):
        contents.append(values[0])
        return original(self, shown, values)

    monkeypatch.setattr(Postgres, "_content", counted)
    reader.config = {
        "table": "rules",
        "content_column": "body",
        "cursor_field": "at",
        "extension": ".md",
    }
    database.execute("INSERT INTO rules SELECT n, 'text ' || n, 1 FROM generate_series(1, 100) n")
    assert reader.files()["7.md"] == b"text 7"
    assert len(contents) == 100
    contents.clear()
    database.execute("UPDATE rules SET body = 'new', at = 2 WHERE id = '7'")
    database.execute("UPDATE rules SET body = NULL, at = 2 WHERE id = '8'")
    database.execute("DELETE FROM rules WHERE id = '9'")
    found = reader.files()
    assert (found["7.md"], len(found)) == (b"new", 98)
    assert sorted(contents, key=str) == [None, "new"]


def test_a_snapshot_is_of_one_moment(
    database: Served, reader: Reader, monkeypatch: pytest.MonkeyPatch
):
    from towline_server.sources.postgres import Postgres

    original = Postgres.read

    def changed_meanwhile(self: Postgres, entries):
        database.execute("UPDATE rules SET body = 'later'")
        return original(self, entries)

    monkeypatch.setattr(Postgres, "read", changed_meanwhile)
    reader.config = {"table": "rules", "content_column": "body", "cursor_field": "at"}
    database.execute("INSERT INTO rules VALUES ('a', 'now', 1)")
    assert reader.files() == {"a.json": b"now"}


def test_a_view_and_its_columns(database: Served, reader: Reader):
    database.execute("INSERT INTO rules VALUES ('a', 'x', 1); CREATE VIEW v AS TABLE rules")
    reader.config = {"table": "v"}
    with pytest.raises(RemoteRefused, match="no primary key"):
        reader.fetch()
    reader.config = {"table": "v", "primary_key": ["id"], "columns": ["at", "body"]}
    assert reader.files() == {"a.json": b'{\n  "at": 1,\n  "body": "x"\n}\n'}
    reader.config = {"table": "v", "primary_key": ["none"]}
    with pytest.raises(RemoteRefused, match="no column 'none'"):
        reader.fetch()


def test_keys_are_judged_and_rows_counted(database: Served, reader: Reader):
    database.execute("INSERT INTO rules VALUES ('a/b', '', 1)")
    with pytest.raises(InvalidTree, match="'a/b' has a slash"):
        reader.fetch()
    database.execute("UPDATE rules SET id = '..'")
    reader.config = {"table": "rules", "extension": ""}
    with pytest.raises(InvalidTree, match="has the name"):
        reader.fetch()
    database.execute("DELETE FROM rules; INSERT INTO rules SELECT n FROM generate_series(1, 9) n")
    reader.limits = Limits(tree_entries=8)
    with pytest.raises(LimitExceeded):
        reader.fetch()


def test_failures(database: Served, reader: Reader, monkeypatch: pytest.MonkeyPatch):
    def fails(kind: type[RemoteError]) -> None:
        with pytest.raises(RemoteError) as failed:
            reader.fetch()
        assert type(failed.value) is kind, failed.value
        assert SECRET not in failed.value.message

    good, reader.config = reader.config, {"table": "none"}
    fails(RemoteRefused)
    reader.config, reader.credential = good, Credential("reader", "wrong")
    fails(AuthenticationFailed)
    reader.credential = Credential("stranger", SECRET)
    fails(PermissionDenied)
    reader.credential = Credential("reader", SECRET)
    database.execute("CREATE VIEW slow AS SELECT 1 AS id FROM pg_sleep(60)")
    reader.config, reader.limits = {"table": "slow", "primary_key": ["id"]}, Limits(total_seconds=1)
    fails(RemoteTimeout)
    reader.config, reader.networks = good, ()
    with pytest.raises(AddressRefused):
        reader.fetch()


def test_a_certificate_is_verified(
    database: Served, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reader.fetch()
    other = CertificateAuthority(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))
    with pytest.raises(RemoteUnavailable, match="no trusted connection"):
        reader.fetch()
    reader.config = {"table": "rules", "tls": "off"}
    reader.fetch()


def test_nothing_is_written(database: Served, reader: Reader):
    from sqlalchemy import Engine

    sent: list[str] = []

    def record(_connection, _cursor, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        reader.fetch()
    finally:
        event.remove(Engine, "before_cursor_execute", record)
    assert sent
    database.execute(
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO rules VALUES (1) RETURNING 1'"
    )
    database.execute("CREATE VIEW writes AS SELECT f() AS id; GRANT ALL ON rules TO PUBLIC")
    reader.config = {"table": "writes", "primary_key": ["id"]}
    with pytest.raises(RemoteRefused, match="25006"):
        reader.fetch()


def test_a_table_is_pulled_as_a_repository_is(database: Served, puller: Puller):
    database.execute("INSERT INTO rules VALUES ('a', '1', 1), ('b', '1', 1)")
    puller.bind(
        url=database.url.replace("//", f"//reader:{SECRET}@"),
        provider="postgres",
        config={"table": "rules", "content_column": "body", "cursor_field": "at", "tls": "off"},
    )
    assert puller.pull()["outcome"] == "changed"
    puller.edit("b.json", b"ours")
    database.execute("UPDATE rules SET body = '2', at = 2 WHERE id = 'a'")
    assert puller.pull()["outcome"] == "changed"
    assert puller.contents() == {"a.json": b"2", "b.json": b"ours"}


def test_a_sync_pulls_a_table(database: Served, puller: Puller):
    database.execute("INSERT INTO rules VALUES ('a', '1', 1), ('b', '1', 1)")
    connection = puller.bind(
        url=database.url.replace("//", f"//reader:{SECRET}@"),
        provider="postgres",
        config={"table": "rules", "content_column": "body", "cursor_field": "at", "tls": "off"},
    )
    update = "UPDATE rules SET body = '2', at = 2 WHERE id = 'a'"
    puller.sync_changes(connection, "postgres", lambda: database.execute(update))
    assert puller.contents() == {"a.json": b"2", "b.json": b"1"}
