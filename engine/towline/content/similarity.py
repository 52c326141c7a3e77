"""How similar two contents are, as git's ``-M`` estimates it (its diffcore-delta.c).

A content is cut into spans, each a line or 64 bytes, and the bytes of each distinct span are
counted under its hash. What two contents share is the bytes that are in spans of both.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from functools import lru_cache

from towline.content.lines import is_binary

MAX_SCORE = 60_000
"""The score of equal contents, git's own."""
MINIMUM_SCORE = MAX_SCORE // 2
"""From which score on git takes a pair for a rename."""

_HASH_BASE = 107_927
_SPAN = 64
_WORD = 0xFFFFFFFF


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


def similarity(source: Mapping[int, int], target: Mapping[int, int], size: int) -> int:
    """Return the score of two contents' span counts, ``size`` being the larger's bytes."""
    if not size:
        return 0
    copied = sum(min(count, target.get(span, 0)) for span, count in source.items())
    return copied * MAX_SCORE // size


@lru_cache(maxsize=1 << 16)
def _hash(span: bytes) -> int:
    low = high = 0
    for byte in span:
        previous = low
        low = ((((low << 7) & _WORD) ^ (high >> 25)) + byte) & _WORD
        high = ((high << 7) & _WORD) ^ (previous >> 25)
    return ((low + high * 0x61) & _WORD) % _HASH_BASE


def _spans(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        end = content.find(b"\n", start, start + _SPAN)
        stop = end + 1 if end >= 0 else min(start + _SPAN, len(content))
        yield content[start:stop]
        start = stop
