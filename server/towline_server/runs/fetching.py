"""One fetch per repository and ref, shared by every run that waits for it.

A run wants the ref as it stood when the run was asked for, or later. So any fetch that began after
that serves it: one under way, and one that has ended already. One that began before may have
missed what was pushed since, and does not.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from towline.errors import Cancelled, RemoteRefused, RemoteTimeout, TowlineError
from towline.limits import MIB, Limits
from towline.model import Revision
from towline.ports import Phase, Watch
from towline.remotes.git_process import DEFAULT_PATH
from towline_server import disk, metrics
from towline_server.errors import AddressRefused, DiskFull

from .heartbeat import RunToken, Stop
from .repositories import Repository

_LOOK_SECONDS = 0.1
_REMEMBERED = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchTarget:
    """What to fetch: the ref of a repository, or one revision of it."""

    repository: Repository
    limits: Limits
    revision: Revision | None = None

    @property
    def key(self) -> tuple[Path, str, Revision | None]:
        """What makes two fetches the same."""
        return self.repository.cache, self.repository.ref, self.revision


Fetcher: TypeAlias = Callable[[FetchTarget, Watch], Revision]
"""Fetches; raises as `towline.ports.Remote.fetch`."""


@dataclass(eq=False)
class _SharedFetch:
    """A fetch under way, or ended."""

    began: datetime
    stop: RunToken = field(default_factory=RunToken)
    ended: threading.Event = field(default_factory=threading.Event)
    waiting: int = 0
    progress: tuple[int, int | None] = (0, None)
    revision: Revision | None = None
    error: BaseException | None = None


class SharedFetches:
    """The fetches of this process. ``now`` must be of the clock that runs are stamped with."""

    def __init__(self, fetcher: Fetcher, *, now: Callable[[], datetime], at_once: int = 4) -> None:
        self._fetcher = fetcher
        self._now = now
        self._turns = threading.BoundedSemaphore(at_once)
        self._lock = threading.Lock()
        self._shared: OrderedDict[object, _SharedFetch] = OrderedDict()
        self.count = 0
        """How many fetches were begun."""

    def fetch(self, wanted: FetchTarget, watch: Watch, *, since: datetime) -> Revision:
        """The revision that a ref named at some moment after ``since``, with its objects here.

        Raises:
            Cancelled: the watch says so; the fetch goes on for whoever else waits for it.
            TowlineError: as `towline.ports.Remote.fetch`.
        """
        shared = self._join(wanted, since)
        try:
            while not shared.ended.wait(_LOOK_SECONDS):
                watch.report(Phase.FETCHING, *shared.progress)
        finally:
            self._leave(shared)
        watch.check()
        if shared.error is not None:
            raise shared.error
        assert shared.revision is not None, "a fetch that did not fail has a revision"
        return shared.revision

    def _join(self, wanted: FetchTarget, since: datetime) -> _SharedFetch:
        with self._lock:
            shared = self._shared.get(wanted.key)
            if shared is None or shared.began < since or shared.stop.is_set():
                shared = _SharedFetch(began=self._now())
                self._remember(wanted, shared)
                self.count += 1
                metrics.FETCHES.inc()
                thread = threading.Thread(
                    target=self._run, args=(wanted, shared), name="towline-fetch", daemon=True
                )
                thread.start()
            else:
                metrics.FETCHES_SHARED.inc()
            shared.waiting += 1
            return shared

    def _remember(self, wanted: FetchTarget, shared: _SharedFetch) -> None:
        self._shared[wanted.key] = shared
        self._shared.move_to_end(wanted.key)
        while len(self._shared) > _REMEMBERED:
            self._shared.popitem(last=False)

    def _leave(self, shared: _SharedFetch) -> None:
        """Who leaves last stops a fetch that nobody wants any more."""
        with self._lock:
            shared.waiting -= 1
            if shared.waiting == 0 and not shared.ended.is_set():
                shared.stop.set(Stop.CANCELLED)

    def _run(self, wanted: FetchTarget, shared: _SharedFetch) -> None:
        def progress(_phase: Phase, done: int, total: int | None) -> None:
            shared.progress = (done, total)

        watch = Watch(progress=progress, cancel=shared.stop)
        try:
            with self._turns:
                watch.check()
                shared.revision = self._fetcher(wanted, watch)
        except BaseException as error:  # noqa: BLE001 - it is raised where it was asked for
            shared.error = error
            if isinstance(error, Cancelled):
                # Nobody may take the answer of a fetch that was stopped for an answer.
                shared.stop.set(Stop.CANCELLED)
        finally:
            shared.ended.set()


def fetch_here(wanted: FetchTarget, watch: Watch) -> Revision:
    """Fetch in this process. For tests; `FetchProcess` has the bounds that a server needs."""
    from towline.remotes.git import GitRemote

    repository = wanted.repository
    with GitRemote(
        repository.url,
        ref=repository.ref,
        cache=repository.cache,
        credentials=lambda _url: repository.credential,
    ) as remote:
        return remote.fetch(wanted.revision, wanted.limits, watch)


_LOOK_SECONDS = 0.1
_STOP_SECONDS = 6.0
"""How long a child has to stop its own children; git itself gets two seconds, twice."""
_PASSED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProcess:
    """What fetches (`fetching.Fetcher`), one child a call.

    ``networks`` are those beyond the public ones that it may connect to. ``environment`` is all
    that the child knows of this machine's: CA files, and where git is.
    """

    networks: Sequence[str] = ()
    memory_bytes: int = 2048 * MIB
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __call__(self, wanted: FetchTarget, watch: Watch) -> Revision:
        """Fetch; raises as `towline.ports.Remote.fetch`."""
        watch.report(Phase.FETCHING, 0)
        with _started(self._variables()) as child:
            fetcher = _ChildFetch(child, wanted, watch)
            return fetcher.run(self._request(wanted))

    def _variables(self) -> dict[str, str]:
        passed = {name: self.environment[name] for name in _PASSED if name in self.environment}
        return {**passed, "PATH": self.environment.get("PATH", DEFAULT_PATH), "LC_ALL": "C.UTF-8"}

    def _request(self, wanted: FetchTarget) -> dict[str, Any]:
        repository, limits = wanted.repository, wanted.limits
        credential = repository.credential
        return {
            "url": repository.url.address,
            "ref": repository.ref,
            "revision": wanted.revision,
            "cache": str(repository.cache.absolute()),
            "credential": None
            if credential is None
            else [credential.username, credential.password],
            "limits": asdict(limits),
            "networks": [str(network) for network in self.networks],
            "environment": self._variables(),
            "bounds": {
                "RLIMIT_AS": self.memory_bytes,
                "RLIMIT_DATA": limits.memory_bytes,
                "RLIMIT_CPU": limits.total_seconds + 30,
                # Of git's files the limit itself holds; this is for everybody else's.
                "RLIMIT_FSIZE": 2 * limits.pack_bytes + 64 * MIB,
                "RLIMIT_CORE": 0,
            },
        }


def _seconds(limits: Limits) -> int:
    """How long a child may live: it may have to wait for another that writes the cache."""
    return 3 * limits.total_seconds + 30


@dataclass
class _ChildFetch:
    child: subprocess.Popen[bytes]
    wanted: FetchTarget
    watch: Watch

    def run(self, request: Mapping[str, Any]) -> Revision:
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):
            # The input stays open: its end means stop.
            self.child.stdin.write(json.dumps(request).encode() + b"\n")
            self.child.stdin.flush()
        for answer in self._answers():
            if "progress" in answer:
                self.watch.report(Phase.FETCHING, *answer["progress"])
            elif "revision" in answer:
                return Revision(answer["revision"])
            else:
                raise self._full() or self._error(answer)
        raise self._full() or self._refused(
            "fetching it took more memory or time than this server allows"
        )

    def _answers(self) -> Iterator[dict[str, Any]]:
        assert self.child.stdout is not None
        deadline = time.monotonic() + _seconds(self.wanted.limits)
        heard = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(_LOOK_SECONDS):
                    data = os.read(self.child.stdout.fileno(), 65536)
                    if not data:
                        return
                    *lines, heard = (heard + data).split(b"\n")
                    yield from map(json.loads, lines)
                self.watch.check()
                if time.monotonic() > deadline:
                    raise RemoteTimeout(url=self._url, detail="fetching it took too long")

    @property
    def _url(self) -> str:
        return self.wanted.repository.url.address

    def _full(self) -> DiskFull | None:
        """What failed if the cache's disk has no room left; seen here, not told by anybody."""
        if not disk.is_full(self.wanted.repository.cache):
            return None
        return DiskFull(project=self._url, problem="no space left for what is fetched")

    def _refused(self, detail: str) -> RemoteRefused:
        return RemoteRefused(url=self._url, detail=detail)

    def _error(self, answer: Mapping[str, Any]) -> TowlineError:
        kind = _classes().get(answer["error"])
        if kind is None:
            return self._refused("fetching it took more memory than this server allows")
        data = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in answer["data"].items()
        }
        return kind(**data)


def _classes() -> dict[str, Callable[..., TowlineError]]:
    """Every class of errors, by its code."""
    found: dict[str, Callable[..., TowlineError]] = {}
    # Naming the server's own makes it known here, too.
    todo: list[type[TowlineError]] = [TowlineError, AddressRefused]
    while todo:
        kind = todo.pop()
        found.setdefault(kind.code, kind)
        todo += kind.__subclasses__()
    return found


@contextmanager
def _started(variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A child that runs in the block, and is gone after it."""
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "towline_server.runs.fetch_child"],
        env=dict(variables),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        try:
            yield child
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Let a child stop its own children first; git's are in a process group of their own."""
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
