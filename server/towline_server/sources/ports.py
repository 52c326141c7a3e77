"""The port of a source: each module that is named as a provider has an ``open_source`` for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol


class SourceFile(NamedTuple):
    """A file of a source, as its list shows it."""

    path: str
    """Where it is in the repository; not yet checked."""
    version: str
    """Changes whenever the content does; empty: unknown, the content is read each time."""
    where: str = ""
    """What the source finds the content by."""
    size: int = 0
    """In bytes, as far as the source reports it."""
    content: bytes | None = None
    """Where the list has it already."""


class Source(Protocol):
    """Lists files and reads them. Every failure is an error of `towline.errors`."""

    @property
    def name(self) -> str:
        """The author of the commits."""
        ...

    def entries(self) -> Iterator[SourceFile]:
        """Yield every file."""
        ...

    def read(self, entries: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, bytes]]:
        """Yield the content of some of them, in any order."""
        ...
