"""Who fetches next, and hosts that do not answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from uuid import UUID

import pytest

from tests.server.runs.fetcher import START, A, Clock, wanted
from towline.errors import RemoteTimeout
from towline.model import Revision
from towline.ports import Phase, Watch
from towline_server.errors import HostPaused
from towline_server.runs.bounds import AtOnce
from towline_server.runs.fetching import FetchTarget, SharedFetches
from towline_server.runs.turns import Breaker

ONE, TWO, THREE = (UUID(int=number) for number in (1, 2, 3))


class Steps:
    """A fetcher of which a test ends each fetch."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._began = threading.Semaphore(0)
        self._may_end = threading.Semaphore(0)
        self.answer: Callable[[Watch], Revision] = lambda _watch: A

    def __call__(self, target: FetchTarget, watch: Watch) -> Revision:
        self.begun.append(target.repository.ref)
        self._began.release()
        self._may_end.acquire()
        return self.answer(watch)

    def await_begun(self, count: int) -> Sequence[str]:
        for _ in range(count):
            self._began.acquire()
        return self.begun

    def end(self, count: int = 1) -> None:
        self._may_end.release(count)


class Fetches:
    """Fetches that wait in threads of their own."""

    def __init__(self, folder: Path, at_once: AtOnce, pool: ThreadPoolExecutor) -> None:
        self.steps, self.time = Steps(), 0.0
        self._folder, self._pool = folder, pool
        breaker = Breaker(clock=lambda: self.time)
        self.shared = SharedFetches(self.steps, now=Clock(), at_once=at_once, breaker=breaker)

    def ask(self, tenant: UUID, *refs: str, host: str = "a.example") -> list[Future[Revision]]:
        """Ask for refs, once what was asked for before waits or has begun."""
        asked = []
        for ref in refs:
            before = self._count
            target = wanted(self._folder, ref, f"https://{host}/r.git", tenant)
            asked.append(self._pool.submit(self.shared.fetch, target, Watch(), since=START))
            while self._count == before:
                pass
        return asked

    @property
    def _count(self) -> int:
        return self.shared.turns.waiting + len(self.steps.begun)

    def fetch(self, ref: str, host: str = "a.example") -> Revision:
        """Fetch a ref to its end."""
        self.steps.end()
        return self._fetch(ref, host)

    def refused(self, ref: str) -> int | None:
        """Ask for a ref at a host that is paused, and return for how long it is."""
        with pytest.raises(HostPaused) as paused:
            self._fetch(ref, "a.example")
        return paused.value.retry_after

    def _fetch(self, ref: str, host: str) -> Revision:
        target = wanted(self._folder, ref, f"https://{host}/r.git")
        return self.shared.fetch(target, Watch(), since=START)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as made:
        yield made


def silent(_watch: Watch) -> Revision:
    raise RemoteTimeout(url="u")


def slow(watch: Watch) -> Revision:
    watch.report(Phase.FETCHING, 10, 1000)
    raise RemoteTimeout(url="u")


def test_tenants_take_turns(tmp_path: Path, pool: ThreadPoolExecutor):
    fetches = Fetches(tmp_path, AtOnce(total=1, tenant=1, host=1), pool)
    fetches.ask(ONE, "1a", "1b", "1c")
    fetches.ask(TWO, "2a", "2b")
    fetches.ask(THREE, "3a")
    fetches.steps.end(6)
    assert fetches.steps.await_begun(6) == ["1a", "2a", "3a", "1b", "2b", "1c"]


def test_a_tenant_and_a_host_have_a_part(tmp_path: Path, pool: ThreadPoolExecutor):
    fetches = Fetches(tmp_path, AtOnce(total=4, tenant=2, host=3), pool)
    fetches.ask(ONE, "1a", "1b", "1c")
    fetches.ask(TWO, "2a", "2b")
    fetches.ask(THREE, "3a", host="b.example")
    assert fetches.steps.await_begun(4) == ["1a", "1b", "2a", "3a"]
    assert fetches.shared.turns.waiting == 2
    fetches.steps.end(6)
    fetches.steps.await_begun(2)


def test_those_that_wait_for_a_silent_host_fail_at_once(tmp_path: Path, pool: ThreadPoolExecutor):
    fetches = Fetches(tmp_path, AtOnce(total=2, tenant=1, host=1), pool)
    first, *others = fetches.ask(ONE, *(str(number) for number in range(10)))
    fetches.steps.answer = silent
    fetches.steps.end()
    with pytest.raises(RemoteTimeout):
        first.result()
    for each in others:
        with pytest.raises(HostPaused) as paused:
            each.result()
        assert paused.value.retry_after == 5
    assert fetches.steps.begun == ["0"]


def test_a_silent_host_is_asked_again_after_a_growing_time(
    tmp_path: Path, pool: ThreadPoolExecutor
):
    fetches = Fetches(tmp_path, AtOnce.of(4), pool)
    fetches.steps.answer = silent
    for number, pause in enumerate([5, 10, 20, 40, 80, 160, 300, 300]):
        with pytest.raises(RemoteTimeout):
            fetches.fetch(f"asked {number}")
        fetches.time += pause - 1
        assert fetches.refused(f"too early {number}") == 1
        fetches.time += 1
    fetches.steps.answer = lambda _watch: A
    # One fetch asks; the others do not wait for it.
    (asking,) = fetches.ask(ONE, "one asks")
    assert fetches.refused("another one") == 5
    fetches.steps.end()
    assert asking.result() == A
    assert fetches.fetch("after it") == A
    assert len(fetches.steps.begun) == 10


def test_a_slow_host_is_not_paused_nor_another_one(tmp_path: Path, pool: ThreadPoolExecutor):
    fetches = Fetches(tmp_path, AtOnce.of(4), pool)
    fetches.steps.answer = slow
    for ref in ("one", "two"):
        with pytest.raises(RemoteTimeout):
            fetches.fetch(ref)
    fetches.steps.answer = silent
    with pytest.raises(RemoteTimeout):
        fetches.fetch("three")
    fetches.steps.answer = lambda _watch: A
    assert fetches.fetch("four", host="b.example") == A
    assert fetches.refused("five") == 5


def test_one_silent_repository_does_not_pause_a_host_that_answers(
    tmp_path: Path, pool: ThreadPoolExecutor
):
    fetches = Fetches(tmp_path, AtOnce(total=2, tenant=2, host=2), pool)
    asked = [*fetches.ask(ONE, "one"), *fetches.ask(TWO, "two")]
    fetches.steps.await_begun(2)
    fetches.steps.end()
    (answered,), (stuck,) = wait(asked, return_when=FIRST_COMPLETED)
    assert answered.result() == A
    fetches.steps.answer = silent
    fetches.steps.end()
    with pytest.raises(RemoteTimeout):
        stuck.result()
    fetches.steps.answer = lambda _watch: A
    assert fetches.fetch("after it") == A
