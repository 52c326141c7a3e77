"""The harness of all benchmarks: contenders do the same work in turns, and each is set beside a
baseline in the same round.

A figure is a median: of what the rounds took, and of the ratios to the baseline of each round, so
that what slows the machine for a while slows both sides of a ratio. Targets are ratios too.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias

Sample: TypeAlias = Mapping[str, float]
"""What one go took, by unit; the first unit is the one that is judged."""
Work: TypeAlias = Callable[[], Sample]

US = "towline"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchCase:
    """Something that contenders do, on a project of some size."""

    section: str
    name: str
    size: int
    baseline: str
    """The contender that the ratios are to."""
    target: float | None = None
    """The most that towline's ratio may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """What a contender took in a case, in one unit."""

    section: str
    case: str
    size: int
    who: str
    unit: str
    rounds: int
    median: float
    ratio: float | None
    """To the baseline: the median of the rounds' ratios, and their quartiles."""
    low: float | None
    high: float | None
    baseline: str
    target: float | None = None

    @property
    def of_case(self) -> tuple[str, str, int]:
        """What all figures of a case have in common."""
        return self.section, self.case, self.size

    @property
    def met(self) -> bool | None:
        """Whether the ratio is within its target; None where there is none."""
        if self.target is None or self.ratio is None:
            return None
        return self.ratio <= self.target


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCase:
    """A contender that failed, or ended in a wrong state; it is out of the cases that follow."""

    section: str
    case: str
    size: int
    who: str
    reason: str


class WrongResult(Exception):
    """A contender did not do what the others did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many rounds: as many as fit in some seconds, within bounds."""

    least: int
    most: int
    seconds: float

    def goes_on(self, rounds: int, elapsed: float) -> bool:
        """Whether there is another round after these."""
        return rounds < self.least or (rounds < self.most and elapsed < self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How much to do."""

    sizes: Sequence[int]
    """Assets of a project."""
    crowds: Sequence[int]
    """Projects of one repository, on the server."""
    served_assets: int
    pace: Pace
    judge: bool = True
    """Whether ratios are held to their targets, which needs real sizes."""


FULL = Scale(
    sizes=(1_000, 10_000),
    crowds=(50, 200),
    served_assets=200,
    pace=Pace(least=3, most=15, seconds=10),
)
QUICK = Scale(
    sizes=(100,),
    crowds=(3,),
    served_assets=100,
    pace=Pace(least=1, most=1, seconds=0),
    judge=False,
)


@dataclass
class Bench:
    """One run of the benchmarks: what it measured so far."""

    scale: Scale
    seed: int = 0
    figures: list[Figure] = field(default_factory=list)
    failures: list[FailedCase] = field(default_factory=list)

    def __post_init__(self) -> None:
        # The order must differ between rounds, and need not be secret.
        self._random = random.Random(self.seed)
        self._began = time.monotonic()

    def compare(
        self,
        case: BenchCase,
        contenders: Mapping[str, Work],
        *,
        pace: Pace | None = None,
        before: Callable[[], None] = lambda: None,
        check: Callable[[str], None] = lambda _: None,
    ) -> set[str]:
        """Let contenders work in turns, in another order each round; return those that failed.

        ``before`` prepares a round. ``check`` looks at what a contender has done after the last
        round, and raises `WrongResult`.
        """
        pace = pace or self.scale.pace
        going, failed = dict(contenders), set[str]()
        samples: dict[str, list[Sample]] = {who: [] for who in contenders}
        started, rounds = time.monotonic(), 0
        while pace.goes_on(rounds, time.monotonic() - started):
            before()
            for who in self._random.sample(list(going), len(going)):
                with self._noting_failure(case, who, failed):
                    samples[who].append(going[who]())
            rounds += 1
            going = {who: work for who, work in going.items() if who not in failed}
        for who in going:
            with self._noting_failure(case, who, failed):
                check(who)
        self.add(case, {who: found for who, found in samples.items() if who not in failed})
        return failed

    def add(self, case: BenchCase, samples: Mapping[str, Sequence[Sample]]) -> None:
        """Add the figures of a case from its samples, which are in the order of the rounds."""
        found = figures_of(case, samples, judge=self.scale.judge)
        self.figures += found
        for figure in judged(found):
            self._note(figure)

    def record(
        self, section: str, name: str, size: int, values: Mapping[str, float], unit: str
    ) -> None:
        """Add figures that have no baseline, each by what it is of."""
        case = BenchCase(section=section, name=name, size=size, baseline="")
        self.add(case, {what: [{unit: value}] for what, value in values.items()})

    def fail(self, case: BenchCase, who: str, reason: str) -> None:
        """Add a failure."""
        failure = FailedCase(
            section=case.section, case=case.name, size=case.size, who=who, reason=reason
        )
        self.failures.append(failure)
        say(f"FAILED: {describe(failure)}")

    @contextmanager
    def _noting_failure(self, case: BenchCase, who: str, failed: set[str]) -> Iterator[None]:
        try:
            yield
        except subprocess.CalledProcessError as error:
            self.fail(case, who, f"{error}\n{error.stderr or ''}".strip())
        except (WrongResult, subprocess.TimeoutExpired) as error:
            self.fail(case, who, str(error))
        else:
            return
        failed.add(who)

    def _note(self, figure: Figure) -> None:
        """Progress on stderr: a run takes minutes."""
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        ratio = "" if figure.ratio is None else f", {figure.ratio:.2f} of {figure.baseline}"
        say(
            f"{minutes:3}:{seconds:02} {figure.section}: {figure.case}, {figure.size:,}, "
            f"{figure.who}: {figure.median:.4g} {figure.unit}{ratio}"
        )


def figures_of(
    case: BenchCase, samples: Mapping[str, Sequence[Sample]], *, judge: bool
) -> list[Figure]:
    """The figures of a case from its samples."""
    base = samples.get(case.baseline, ())
    figures = []
    for who, found in samples.items():
        for number, unit in enumerate(found[0] if found else ()):
            taken = [sample[unit] for sample in found]
            ratios = [own / other[unit] for own, other in zip(taken, base, strict=False)]
            low, middle, high = quartiles(ratios) if ratios else (None, None, None)
            held = judge and number == 0 and who.startswith(US) and who != case.baseline
            figures.append(
                Figure(
                    section=case.section,
                    case=case.name,
                    size=case.size,
                    who=who,
                    unit=unit,
                    rounds=len(taken),
                    median=statistics.median(taken),
                    ratio=middle,
                    low=low,
                    high=high,
                    baseline=case.baseline,
                    target=case.target if held else None,
                )
            )
    return figures


def judged(figures: Iterable[Figure]) -> list[Figure]:
    """The figures in the first unit of each contender and case: those that are judged."""
    first: dict[tuple[tuple[str, str, int], str], Figure] = {}
    for each in figures:
        first.setdefault((each.of_case, each.who), each)
    return list(first.values())


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The lower quartile, the median and the upper one."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def describe(of: Figure | FailedCase) -> str:
    """Which contender, in which case."""
    what = f"{of.section}: {of.case}, {of.size:,}, {of.who}"
    return f"{what}: {of.reason}" if isinstance(of, FailedCase) else what


def say(text: str) -> None:
    """Print a line on stderr, at once."""
    print(text, file=sys.stderr, flush=True)
