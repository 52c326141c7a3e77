"""Bodies of webhooks: as large as hosts send them, and read as streams.

A push may tell of thousands of commits, while a few of its members matter here. The body is kept
in a file, and of its JSON only those members are ever built.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import Any, Self

from towline.limits import MIB

_CHUNK = 64 * 1024
_MOST_EVENTS = 2_000_000
"""Tokens of a body; a host's are several bytes long on average."""
_MOST_MEMBERS = 100_000
_MEMBERS = frozenset(
    {
        "after",
        "changes",
        "default_branch",
        "deleted",
        "id",
        "name",
        "new",
        "project",
        "push",
        "ref",
        "repository",
        "type",
    }
)
"""What `towline_server.projects.hooks` reads of any host's payload, at any depth."""


class HookBody:
    """A webhook's body, in memory up to a mebibyte and else in a temporary file."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=MIB)  # noqa: SIM115 - closed by `close`

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, chunk: bytes) -> None:
        """Append what came next."""
        self._file.write(chunk)

    def chunks(self) -> Iterator[bytes]:
        """The whole body, in parts."""
        self._file.seek(0)
        return iter(lambda: self._file.read(_CHUNK), b"")

    def members(self) -> Any:
        """The body's JSON, of its objects' members only those that say what was pushed.

        Raises:
            ValueError: it is no JSON, or too much of it.
            RecursionError: it is nested too deep.
        """
        import ijson

        self._file.seek(0)
        tokens = islice(ijson.basic_parse(self._file, use_float=True), _MOST_EVENTS)
        try:
            found = _Reader(tokens).next_value()
            next(tokens, None)  # nothing may follow
        except ijson.JSONError as error:
            raise ValueError(str(error)) from None
        return found


class _Reader:
    """Builds values of tokens, without the members that do not matter."""

    def __init__(self, tokens: Iterator[tuple[str, Any]]) -> None:
        self._tokens = tokens
        self._left = _MOST_MEMBERS

    def next_value(self) -> Any:
        """The value that begins with the next token. Raises ValueError where it does not end."""
        return self._value(*self._next())

    def _value(self, event: str, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("has too many members")
        if event == "start_map":
            return dict(self._object())
        if event == "start_array":
            return list(self._array())
        return value

    def _object(self) -> Iterator[tuple[str, Any]]:
        while (token := self._next())[0] != "end_map":
            first = self._next()
            if token[1] in _MEMBERS:
                yield token[1], self._value(*first)
            else:
                self._skip(first[0])

    def _array(self) -> Iterator[Any]:
        while (token := self._next())[0] != "end_array":
            yield self._value(*token)

    def _skip(self, event: str) -> None:
        depth = int(event.startswith("start_"))
        while depth:
            event = self._next()[0]
            depth += event.startswith("start_") - event.startswith("end_")

    def _next(self) -> tuple[str, Any]:
        token = next(self._tokens, None)
        if token is None:
            raise ValueError("is too long")
        return token
