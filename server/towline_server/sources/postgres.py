"""The rows of a table of PostgreSQL, each of which is a file that its primary key names."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg.types.json import set_json_loads
from sqlalchemy import Column, Connection, MetaData, NullPool, Table, create_engine, select
from sqlalchemy import tuple_ as row_of
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError

from towline.errors import (
    AuthenticationFailed,
    InvalidTree,
    PermissionDenied,
    RemoteError,
    RemoteRefused,
    RemoteTimeout,
    RemoteUnavailable,
)
from towline.remotes.fetcher import FetchRequest
from towline.remotes.git_failures import SILENT

from .config import PostgresConfig
from .documents import document, parse
from .ports import SourceFile

_AT_ONCE = 64
_WRONG_PASSWORD = ("password authentication failed", "no password supplied", "authentication")
_BY_STATE: Mapping[str, tuple[type[RemoteError], str]] = {
    "28": (AuthenticationFailed, "the credential was refused"),
    "42501": (PermissionDenied, "the user may not read the table"),
    "57014": (RemoteTimeout, SILENT),
    "57": (RemoteUnavailable, "it is shutting down"),
    "53": (RemoteUnavailable, "it is out of resources"),
    "08": (RemoteUnavailable, "the connection was lost"),
}
"""By SQLSTATE, or the class that it begins with."""


@contextmanager
def open_source(config: PostgresConfig, request: FetchRequest) -> Iterator[Postgres]:
    """Open the table, in one transaction that only reads: all of a snapshot is of one moment."""

    def connect() -> psycopg.Connection[Any]:
        opened = psycopg.connect(**_parameters(config, request))
        set_json_loads(parse, opened)
        return opened

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with _failures(request):
        opened = engine.connect()
    with opened as connection:
        yield Postgres(config, request, connection.execution_options(**options))


def _parameters(config: PostgresConfig, request: FetchRequest) -> dict[str, Any]:
    url, limits, given = request.url, request.limits, request.credential
    seconds = 1000 * limits.total_seconds
    settings = {"statement_timeout": seconds, "TimeZone": "UTC", "IntervalStyle": "postgres"}
    addresses = request.addresses or (url.host,)
    parameters = {
        # The name is for the certificate; only what was resolved and permitted is connected to.
        "host": ",".join([url.host] * len(addresses)),
        "hostaddr": ",".join(addresses),
        "port": url.origin.port,
        "dbname": unquote(url.path).strip("/"),
        "user": given.username if given is not None else "",
        "password": given.password if given is not None else "",
        "passfile": os.devnull,
        "application_name": "towline",
        "connect_timeout": limits.connect_seconds,
        "tcp_user_timeout": 1000 * limits.idle_seconds,
        "gssencmode": "disable",
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
    if config.tls == "off":
        # Nor is the password sent to whatever answers there.
        only = {} if given is None else {"require_auth": "scram-sha-256"}
        return {**parameters, "sslmode": "disable", **only}
    authorities = ssl.get_default_verify_paths().cafile
    return {**parameters, "sslmode": "verify-full", "sslrootcert": authorities or "system"}


@dataclass
class Postgres:
    """A `Source` over the rows of a table."""

    config: PostgresConfig
    request: FetchRequest
    connection: Connection
    _keys: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    """The primary key of each path."""
    _reflected: Table | None = None

    @property
    def name(self) -> str:
        """The author of the commits."""
        return f"{self.request.url.address} {self.config.table}"

    def entries(self) -> Iterator[SourceFile]:
        """Yield an entry for each row; without a column of versions it has the content."""
        with self._failures():
            table = self._table()
            keys = self._primary_key(table)
            cursor = self.config.cursor_field
            shown = [self._column(table, cursor)] if cursor else self._shown(table)
            most = self.request.limits.tree_entries + 1
            query = select(*keys, *shown).order_by(*keys).limit(most)
            options = {"stream_results": True, "yield_per": _AT_ONCE}
            with self.connection.execute(query, execution_options=options) as rows:
                for row in rows:
                    key, values = tuple(row[: len(keys)]), row[len(keys) :]
                    entry = SourceFile(path=_path(key, self.config.extension), version="")
                    self._keys[entry.path] = key
                    if cursor:
                        yield entry._replace(version=_version(values[0]))
                    elif (content := self._content(shown, values)) is not None:
                        yield entry._replace(content=content)

    def read(self, entries: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Yield the contents of rows; a row whose content is null is no file."""
        by_key = {self._keys[entry.path]: entry for entry in entries}
        with self._failures():
            table = self._table()
            keys = self._primary_key(table)
            shown = self._shown(table)
            wanted = row_of(*keys).in_(list(by_key))
            for row in self.connection.execute(select(*keys, *shown).where(wanted)):
                content = self._content(shown, row[len(keys) :])
                if content is not None:
                    yield by_key[tuple(row[: len(keys)])], content

    # --- the table ----------------------------------------------------------------------------

    def _table(self) -> Table:
        if self._reflected is None:
            schema, _, name = self.config.table.rpartition(".")
            place = schema or None
            self._reflected = Table(name, MetaData(), schema=place, autoload_with=self.connection)
        return self._reflected

    def _column(self, table: Table, name: str) -> Column[Any]:
        found: Column[Any] | None = table.columns.get(name)
        if found is None:
            raise self.request.error(RemoteRefused, f"{self.config.table} has no column {name!r}")
        return found

    def _primary_key(self, table: Table) -> list[Column[Any]]:
        named = [self._column(table, name) for name in self.config.primary_key]
        found = named or list(table.primary_key.columns)
        if not found:
            detail = f"{self.config.table} has no primary key: name its columns in primary_key"
            raise self.request.error(RemoteRefused, detail)
        return found

    def _shown(self, table: Table) -> list[Column[Any]]:
        if self.config.content_column:
            return [self._column(table, self.config.content_column)]
        if self.config.columns:
            return [self._column(table, name) for name in self.config.columns]
        return list(table.columns)

    def _content(self, shown: Sequence[Column[Any]], values: Sequence[Any]) -> bytes | None:
        if not self.config.content_column:
            return document(
                {column.name: value for column, value in zip(shown, values, strict=True)}
            )
        match values[0]:
            case None:
                return None
            case str():
                return str(values[0]).encode()
            case bytes() | memoryview():
                return bytes(values[0])
            case value:
                return document(value)

    def _failures(self) -> AbstractContextManager[None]:
        return _failures(self.request, self.config.table)


def _path(key: tuple[Any, ...], extension: str) -> str:
    names = [str(value) for value in key]
    for name in names:
        if "/" in name:
            raise InvalidTree(problems=(f"the key {name!r} has a slash, so it cannot name a file",))
    return "/".join(names) + extension


def _version(value: Any) -> str:
    return "" if value is None else document(value).decode().strip()


@contextmanager
def _failures(request: FetchRequest, table: str = "") -> Iterator[None]:
    """Turn what the libraries raise into the errors of a remote, without the server's text."""
    try:
        yield
    except NoSuchTableError:
        raise request.error(RemoteRefused, f"there is no table {table}") from None
    except DBAPIError as error:
        raise _failure(request, error.orig) from None
    except psycopg.Error as error:
        raise _failure(request, error) from None
    except SQLAlchemyError as error:
        detail = f"its table cannot be read ({type(error).__name__})"
        raise request.error(RemoteRefused, detail) from None


def _failure(request: FetchRequest, error: BaseException | None) -> RemoteError:
    state = str(getattr(error, "sqlstate", None) or "")
    for known in (state, state[:2]):
        if known in _BY_STATE:
            kind, detail = _BY_STATE[known]
            return request.error(kind, f"{detail} ({state})")
    if state:
        return request.error(RemoteRefused, f"it refused to be read ({state})")
    text = str(error)
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return request.error(RemoteTimeout, SILENT)
    if any(each in text for each in _WRONG_PASSWORD):
        detail = "it requires another credential, or another way to log in"
        return AuthenticationFailed(url=request.url.address, detail=detail, refused=True)
    if "certificate" in text or "SSL" in text:
        return request.error(RemoteUnavailable, "no trusted connection: see `tls`, and its CA")
    if isinstance(error, psycopg.DataError):
        return request.error(RemoteRefused, "it has a value that cannot be read")
    return request.error(RemoteUnavailable, "it cannot be reached, or the connection was lost")
