"""How many connections to the database a process has.

No thread holds one while it waits for another: so each thread needs one at most, and whatever
waits gets one. What executes runs and renews their leases waits for none.
"""

from __future__ import annotations

from sqlalchemy import Engine, text

from towline_server.errors import InvalidSettings

LOOPS = 9
"""The threads of a process that work by themselves: the heartbeat, the dispatcher and the like."""
REQUESTS = 16
"""Requests that use the database at one moment; further ones wait until one of them has read."""

_ALLOWED = text("""
    SELECT least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int,
        nullif(datconnlimit, -1),
        nullif(rolconnlimit, -1)
    )
    FROM pg_database, pg_roles
    WHERE datname = current_database() AND rolname = current_user
""")


def connections_for(*, runs: int, answers: bool) -> int:
    """Return how many connections a process has that executes so many runs at once."""
    return runs + LOOPS + (REQUESTS if answers else 0)


def check_allowed(engine: Engine, needed: int) -> None:
    """Refuse settings that need more connections than the database's server allows.

    Raises:
        InvalidSettings: they do.
    """
    if engine.dialect.name == "sqlite":
        return
    with engine.connect() as connection:
        allowed = connection.scalar(_ALLOWED)
    if allowed is not None and needed > allowed:
        problem = (
            f"runs_at_once: the processes of this server need {needed} connections to the"
            f" database, which allows {allowed}: lower runs_at_once or the number of workers, or"
            " raise max_connections"
        )
        raise InvalidSettings(problems=(problem,))
