"""Structured logs: a JSON object a line, with the request, run and project it belongs to.

No secret is ever logged on purpose; what looks like one is masked on its way out all the same.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

from towline_server import telemetry

_about: ContextVar[dict[str, str]] = ContextVar("towline_log_about", default={})  # noqa: B039 - it is never mutated

_SECRETS = re.compile(
    r"(?P<user>(?<=://)[^/@\s\"]+(?=@))"
    r"|twl_[A-Za-z0-9_-]{8,}"
    r"|whsec_[A-Za-z0-9+/=]{8,}"
    r"|eyJ[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*){1,2}"
    r"|(?i:(?<=\bbasic )|(?<=\bbearer ))[A-Za-z0-9+/=._~-]{6,}"
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


@contextmanager
def about(**names: str) -> Iterator[None]:
    """Put names, such as ``run_id`` and ``project_id``, on every line logged within the block."""
    token = _about.set({**_about.get(), **names})
    try:
        yield
    finally:
        _about.reset(token)


class JsonLines(logging.Formatter):
    """A record as one line of JSON; fields given as ``extra`` are beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            **_trace(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return masked(json.dumps(line, default=str))


def _trace() -> dict[str, str]:
    found = telemetry.trace_id()
    return {} if found is None else {"trace_id": found}


def masked(text: str) -> str:
    """Return a text without what looks like a credential: keys, tokens, users of URLs."""
    return _SECRETS.sub("***", text)


def set_up(level: str, stream: TextIO | None = None) -> None:
    """Log everything of this process as JSON lines; for a program's start alone."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Request lines come from towline's own access log, which has no query in them.
    logging.getLogger("uvicorn.access").disabled = True
    # Addresses may hold secrets, and so may headers.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
