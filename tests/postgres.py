"""A real PostgreSQL server of our own: made, used and stopped within one test session.

It needs the server's programs, found through ``pg_config`` or where Debian puts them, and fails
where they are missing. It listens on a socket in a temporary folder alone.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

_USER = "towline"


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A server that runs."""

    folder: Path
    control: Sequence[Any]
    """The command that starts and stops it."""

    def start(self, options: str = "-c listen_addresses=''") -> None:
        """Start it, once it was stopped."""
        options = f"-k {self.folder} -c fsync=off -c max_connections=100 {options}"
        _call([*self.control, "--log", self.folder / "log", "-o", options, "start"], self.folder)

    def stop(self) -> None:
        """End every connection, and stop."""
        _call([*self.control, "--mode=fast", "stop"], self.folder)

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return f"postgresql://{_USER}@/{database}?host={self.folder}"

    def create(self, database: str) -> str:
        """Make an empty database; returns its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(SQL("CREATE DATABASE {}").format(Identifier(database)))
        return self.url(database)


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server that runs in the block, and is gone after it."""
    programs = _programs()
    # A socket's path has to be short: pytest's folders are too deep.
    folder = Path(tempfile.mkdtemp(prefix="tl-pg-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, _owner())
        data = folder / "data"
        # Sorting by language, as production databases do: what must sort by bytes has to say so.
        language = ["--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
        unsafe = ["--no-sync", "--auth=trust", "--encoding=UTF8", f"--username={_USER}"]
        _call([programs / "initdb", "--pgdata", data, *unsafe, *language], folder)
        control: list[Any] = [programs / "pg_ctl", "--pgdata", data, "--wait", "--silent"]
        server = PostgresServer(folder=folder, control=control)
        server.start()
        try:
            yield server
        finally:
            _call([*control, "--mode=immediate", "stop"], folder)
    finally:
        shutil.rmtree(folder)


def _programs() -> Path:
    """The folder of initdb and pg_ctl."""
    found = sorted(glob("/usr/lib/postgresql/*/bin"), key=lambda each: -float(each.split("/")[4]))
    if config := shutil.which("pg_config"):
        found.insert(0, subprocess.check_output([config, "--bindir"], text=True).strip())
    for folder in map(Path, found):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    raise FileNotFoundError("PostgreSQL's initdb and pg_ctl: install the PostgreSQL server")


def _owner() -> str:
    """Whose server it is when we are root: PostgreSQL refuses to run as root."""
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else pwd.getpwuid(65534).pw_name


def _call(command: Sequence[Any], folder: Path) -> None:
    """Run a program of the server's as its owner, and show its output if it fails."""
    owner = _owner() if os.geteuid() == 0 else None
    # Into a file: a server that was started would hold a pipe open, and be waited for.
    with tempfile.TemporaryFile("w+") as output:
        done = subprocess.run(
            list(map(str, command)),
            user=owner,
            extra_groups=[] if owner is not None else None,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
        output.seek(0)
        assert done.returncode == 0, f"{command[0]} failed:\n{output.read()}"
