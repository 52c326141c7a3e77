"""Recursion as deep as a document is: pending calls are in a list, not on Python's stack."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Steps: TypeAlias = Generator[Any, Any, T]
"""A call that yields the calls that it makes, is sent what each returns, and returns a result."""


def run(steps: Steps[T]) -> T:
    """Return what a call returns, after all that it yields were run likewise."""
    pending: list[Steps[Any]] = [steps]
    result: Any = None
    while pending:
        try:
            inner = pending[-1].send(result)
        except StopIteration as end:
            pending.pop()
            result = end.value
        else:
            pending.append(inner)
            result = None
    found: T = result
    return found
