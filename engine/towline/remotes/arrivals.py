"""Looks in the cache for what a fetch asks for: before it asks, and when it is done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Protocol

from towline.model import Revision
from towline.remotes.git_failures import Unexplained
from towline.remotes.objects import ObjectMissing, ObjectReader, peel


class ClosingReader(ObjectReader, Protocol):
    """A reader that must be closed."""

    def close(self) -> None:
        """Let go of files."""
        ...


def is_here(opened: Callable[[], ClosingReader], oid: str) -> bool:
    """Whether an object is in the cache. ``opened`` gives a reader of it as it stands now."""
    with closing(opened()) as reader:
        try:
            reader.header(oid)
        except ObjectMissing:
            return False
        return True


def arrived(opened: Callable[[], ClosingReader], oid: str) -> Revision:
    """The commit that a fetched object names.

    Raises:
        Unexplained: it did not come, though the remote named it.
        InvalidTree: it is no commit.
    """
    with closing(opened()) as reader:
        try:
            return peel(reader, oid)
        except ObjectMissing:
            raise Unexplained("the remote did not send what it named") from None
