"""A fetcher that is stopped and released, and a clock that is set."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from towline.limits import Limits
from towline.model import Revision
from towline.ports import CancelToken, Watch
from towline.remotes.url import RemoteUrl
from towline_server.runs.fetching import BoundRepository, FetchTarget

START = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = UUID(int=1)
A, B = Revision("a" * 40), Revision("b" * 40)


class Clock:
    """A time that is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Fetcher:
    """Fetches that end when a test allows it."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.answers: dict[int, Revision | Exception] = {}
        self.may_end = threading.Event()
        self.calls = 0
        self.tokens: list[CancelToken] = []

    def __call__(self, wanted: FetchTarget, watch: Watch) -> Revision:
        self.calls += 1
        assert watch.cancel is not None
        self.tokens.append(watch.cancel)
        self.begun.release()
        while not self.may_end.wait(0.01):
            watch.check()
        answer = self.answers.get(self.calls, A)
        if isinstance(answer, Exception):
            raise answer
        return answer


def wanted(
    tmp_path: Path,
    ref: str = "main",
    url: str = "https://example.org/r.git",
    tenant_id: UUID = TENANT,
) -> FetchTarget:
    repository = BoundRepository(
        tenant_id=tenant_id,
        url=RemoteUrl.parse(url),
        ref=ref,
        scope="",
        cache=tmp_path / "c.git",
    )
    return FetchTarget(repository=repository, limits=Limits(total_seconds=60))
