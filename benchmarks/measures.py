"""The result of a benchmark: one figure of one contender, beside its peer's and its target."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A figure: the less, the better. ``ratio`` is against the peer's figure in the same run."""

    section: str
    case: str
    size: int
    who: str
    value: float
    unit: str
    ratio: float | None = None
    target: float | None = None

    @property
    def met(self) -> bool | None:
        """Whether it is within its target; None where it has none."""
        return None if self.target is None else self.value <= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much to do: the sizes of projects, and how often to repeat a measurement."""

    merge_sizes: tuple[int, ...]
    pull_sizes: tuple[int, ...]
    backend_sizes: tuple[int, ...]
    counter_size: int
    served_projects: int
    served_assets: int
    served_rounds: int
    repeat: int
    judge_times: bool
    """Whether times are held to their targets; counters always are."""

    def rounds(self, size: int) -> int:
        """How often to repeat what handles this many files: large ones take long."""
        return max(1, min(self.repeat, self.repeat * 5_000 // size))

    def target(self, value: float) -> float | None:
        """A target for a time, where times are judged."""
        return value if self.judge_times else None


FULL = Scale(
    merge_sizes=(1_000, 10_000, 100_000),
    pull_sizes=(1_000, 10_000, 100_000),
    backend_sizes=(1_000, 10_000),
    counter_size=100_000,
    served_projects=50,
    served_assets=500,
    served_rounds=3,
    repeat=7,
    judge_times=True,
)
QUICK = Scale(
    merge_sizes=(100, 200),
    pull_sizes=(100,),
    backend_sizes=(100,),
    counter_size=300,
    served_projects=3,
    served_assets=100,
    served_rounds=1,
    repeat=1,
    judge_times=False,
)


def beside(peer: str, measures: Iterable[Measure]) -> Iterator[Measure]:
    """The same measures, each with its ratio to the peer's of the same case and size."""
    found = list(measures)
    peers = {(m.section, m.case, m.size): m.value for m in found if m.who == peer}
    for measure in found:
        other = peers.get((measure.section, measure.case, measure.size))
        yield replace(measure, ratio=measure.value / other) if other else measure


def compared(
    peer: str, figures: Mapping[str, float], *, section: str, case: str, size: int, unit: str
) -> Iterator[Measure]:
    """One figure of each contender, beside its peer's."""
    yield from beside(
        peer,
        [
            Measure(section=section, case=case, size=size, who=who, value=value, unit=unit)
            for who, value in figures.items()
        ],
    )


def best_cpu(contenders: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The least CPU seconds of each contender, taken in turns so that noise hits all alike."""
    best = dict.fromkeys(contenders, float("inf"))
    for _ in range(rounds):
        for who, work in contenders.items():
            started = time.process_time()
            work()
            best[who] = min(best[who], time.process_time() - started)
    return best
