"""Fetches in a child process: bounded in memory, time and file size, with an empty environment."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from towline.errors import RemoteRefused, RemoteTimeout, TowlineError
from towline.limits import MIB, Limits
from towline.model import Revision
from towline.ports import Phase, Watch
from towline.remotes.git_environment import DEFAULT_PATH
from towline_server import disk
from towline_server.errors import AddressRefused, DiskFull

from .fetching import Wanted

_LOOK_SECONDS = 0.1
_STOP_SECONDS = 6.0
"""How long a child has to stop its own children; git itself gets two seconds, twice."""
_PASSED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProcess:
    """What fetches (`fetching.Talk`), one child a call.

    ``networks`` are those beyond the public ones that it may connect to. ``environment`` is all
    that the child knows of this machine's: CA files, and where git is.
    """

    networks: Sequence[str] = ()
    memory_bytes: int = 2048 * MIB
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def __call__(self, wanted: Wanted, watch: Watch) -> Revision:
        """Fetch; raises as `towline.ports.Remote.fetch`."""
        watch.report(Phase.FETCHING, 0)
        with _started(self._variables()) as child:
            talk = _Talk(child, wanted, watch)
            return talk.carry_out(self._request(wanted))

    def _variables(self) -> dict[str, str]:
        passed = {name: self.environment[name] for name in _PASSED if name in self.environment}
        return {**passed, "PATH": self.environment.get("PATH", DEFAULT_PATH), "LC_ALL": "C.UTF-8"}

    def _request(self, wanted: Wanted) -> dict[str, Any]:
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
class _Talk:
    child: subprocess.Popen[bytes]
    wanted: Wanted
    watch: Watch

    def carry_out(self, request: Mapping[str, Any]) -> Revision:
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
        return self.wanted.repository.url.shown

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
