"""How similar two contents are, as git's ``-M`` estimates it (its diffcore-delta.c).

A content is cut into spans, each a line or 64 bytes, and the bytes of each distinct span are
counted under its hash. What two contents share is the bytes that are in spans of both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from towline.content.lines import is_binary

MAX_SCORE = 60_000
"""The score of equal contents, git's own."""
MINIMUM_SCORE = MAX_SCORE // 2
"""From which score on git takes a pair for a rename."""

_HASH_BASE = 107_927
_SPAN = 64
_WORD = (1 << 32) - 1
_LONG = (1 << 64) - 1


def can_be_similar(size: int, other: int) -> bool:
    """Whether contents of these sizes, in bytes, can reach `MINIMUM_SCORE`."""
    larger, smaller = max(size, other), min(size, other)
    return smaller > 0 and larger * (MAX_SCORE - MINIMUM_SCORE) >= (larger - smaller) * MAX_SCORE


def span_counts(content: bytes) -> dict[int, int]:
    """Return the bytes of a content's spans, by hash of the span."""
    counts: defaultdict[int, int] = defaultdict(int)
    if not is_binary(content):
        content = content.replace(b"\r\n", b"\n")
    for span, times in Counter(_spans(content)).items():
        counts[_hash(span)] += len(span) * times
    return dict(counts)


class SpanIndex:
    """Contents by the spans that they have: a search costs what is shared, not what there is."""

    def __init__(self, contents: Iterable[Mapping[int, int]]) -> None:
        self._holders: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
        self._size = 0
        for number, counts in enumerate(contents):
            self._size += 1
            for span, count in counts.items():
                self._holders[span].append((number, count))

    def work(self, source: Mapping[int, int]) -> int:
        """Return how many counts a search for a content compares."""
        return sum(len(self._holders.get(span, ())) for span in source)

    def copied(self, source: Mapping[int, int]) -> list[int]:
        """Return how many bytes of a content are in each of those that were given."""
        copied = [0] * self._size
        for span, count in source.items():
            for number, other in self._holders.get(span, ()):
                copied[number] += count if count < other else other  # noqa: FURB136 - it is faster
        return copied


def score(copied: int, size: int) -> int:
    """Return the score of two contents that share so many bytes, the larger of ``size`` bytes."""
    return copied * MAX_SCORE // size if size else 0


@lru_cache(maxsize=1 << 16)
def _hash(span: bytes) -> int:
    # 64 bits that turn by 7 for each byte, which is added to the lower 32, modulo 2**32.
    state = 0
    for byte in span:
        state = (state << 7 & _LONG | state >> 57) + byte
        if state & _WORD < byte:
            state -= _WORD + 1
    return ((state & _WORD) + (state >> 32) * 0x61 & _WORD) % _HASH_BASE


def _spans(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        end = content.find(b"\n", start, start + _SPAN)
        stop = end + 1 if end >= 0 else min(start + _SPAN, len(content))
        yield content[start:stop]
        start = stop
