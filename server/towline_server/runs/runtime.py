"""Puts the parts of this floor together, starts them and stops them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from towline.limits import Limits
from towline.remotes.url import ALL_SCHEMES
from towline_server.auth.sealing import Sealer
from towline_server.db.session import Database

from .backends import Backends
from .clock import database_now
from .execute import Boundary, Tools, pass_boundary
from .fetching import SharedFetches, Talk, fetch_here
from .heart import Heart
from .inline import InlineBackend
from .leases import Leases
from .repositories import Repositories
from .service import Runs
from .signals import ProcessSignals
from .worker import Worker


def time_of(database: Database) -> Callable[[], datetime]:
    """The database's clock, without a session."""

    def now() -> datetime:
        with database.reading() as session:
            return database_now(session)

    return now


def open_inline(
    database: Database,
    sealer: Sealer,
    cache_dir: Path,
    *,
    talk: Talk = fetch_here,
    limits: Limits = Limits(total_seconds=60),
    boundary: Boundary = pass_boundary,
) -> Runs:
    """Runs that `Runs.request` itself executes, from any address: for tests and tools."""
    leases = Leases(database)
    tools = Tools(
        database=database,
        leases=leases,
        repositories=Repositories(database, sealer, cache_dir, schemes=ALL_SCHEMES, limits=limits),
        fetches=SharedFetches(talk, now=time_of(database)),
        signals=ProcessSignals(),
        boundary=boundary,
    )
    worker = Worker(tools, Heart(leases), "inline")
    return Runs(database, Backends([InlineBackend(worker)]), signals=tools.signals)
