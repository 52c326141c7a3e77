"""Fetches in a child process: both ends of the pipe between the server and the child.

The child gets a request on its first line of input, is bounded, and is stopped by the end of its
input. It answers in JSON, an object a line: ``progress`` now and then, at last ``revision`` or
``error``. A hostile repository breaks that process alone.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from towline.errors import RemoteRefused, RemoteTimeout, TowlineError
from towline.limits import MIB, Limits
from towline.model import Revision
from towline.ports import Phase, Watch
from towline.remotes.git_process import DEFAULT_PATH, git_version
from towline_server import disk
from towline_server.errors import AddressRefused, DiskFull

if TYPE_CHECKING:
    from .fetching import FetchTarget

_PINNING_GIT = (2, 37)
"""The first git that takes the address to connect to (``http.curloptResolve``)."""

Answer = Callable[[Mapping[str, Any]], None]

_LOOK_SECONDS = 0.1
_STOP_SECONDS = 6.0
"""How long a child has to stop its own children; git gets two seconds, twice."""
_PASSED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProcess:
    """A `fetching.Fetcher` that starts one child for each fetch.

    ``networks`` are those beyond the public ones that it may connect to. ``environment`` is
    what the child gets of this machine's: CA files, and the path of git.
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
                # git's own files have the limit itself; this is for those of others.
                "RLIMIT_FSIZE": 2 * limits.pack_bytes + 64 * MIB,
                "RLIMIT_CORE": 0,
            },
        }


def _seconds(limits: Limits) -> int:
    """Return how long a child may live: it may wait for another that writes the cache."""
    return 3 * limits.total_seconds + 30


@dataclass
class _ChildFetch:
    child: subprocess.Popen[bytes]
    wanted: FetchTarget
    watch: Watch

    def run(self, request: Mapping[str, Any]) -> Revision:
        assert self.child.stdin is not None
        with suppress(BrokenPipeError):
            # The input stays open: its end stops the child.
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
        received = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while True:
                if selector.select(_LOOK_SECONDS):
                    data = os.read(self.child.stdout.fileno(), 65536)
                    if not data:
                        return
                    *lines, received = (received + data).split(b"\n")
                    yield from map(json.loads, lines)
                self.watch.check()
                if time.monotonic() > deadline:
                    raise RemoteTimeout(url=self._url, detail="fetching it took too long")

    @property
    def _url(self) -> str:
        return self.wanted.repository.url.address

    def _full(self) -> DiskFull | None:
        """Return the error of a full disk under the cache; the child cannot report it."""
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
    """Return every class of errors, by its code."""
    found: dict[str, Callable[..., TowlineError]] = {}
    # Importing the server's own makes it a subclass here, too.
    todo: list[type[TowlineError]] = [TowlineError, AddressRefused]
    while todo:
        kind = todo.pop()
        found.setdefault(kind.code, kind)
        todo += kind.__subclasses__()
    return found


@contextmanager
def _started(variables: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a child, and end it after the block."""
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "towline_server.runs.fetch_process"],
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
    """End a child, once it has stopped its own; git's are in a process group of their own."""
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)


# --- the child --------------------------------------------------------------------------------


def main() -> None:
    """Fetch what the first line of standard input requests; run by the child."""
    request = json.loads(_first_line())
    answer = _open_answers()
    for name, bound in request["bounds"].items():
        _limit(getattr(resource, name), bound)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_await_eof, args=(stop,), daemon=True).start()
    try:
        answer(_fetch(request, stop, answer))
    except MemoryError:
        answer({"error": "memory"})
    # No clean-up: a thread still waits for the end of the input.
    os._exit(0)


def _first_line() -> bytes:
    line = bytearray()
    while not line.endswith(b"\n") and (data := os.read(0, 65536)):
        line += data
    return bytes(line)


def _open_answers() -> Answer:
    """Return what writes to standard output; what libraries print is dropped."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)

    def answer(value: Mapping[str, Any]) -> None:
        # The reader may be gone.
        with suppress(OSError):
            out.write(json.dumps(value) + "\n")
            out.flush()

    return answer


def _limit(what: int, bound: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(what, (bound, bound))


def _await_eof(stop: threading.Event) -> None:
    while os.read(0, 65536):
        pass
    stop.set()


def _fetch(request: Mapping[str, Any], stop: threading.Event, answer: Answer) -> dict[str, Any]:
    # Imported here: under the bounds.
    from towline.remotes.backends import Backend
    from towline.remotes.credentials import Credential
    from towline.remotes.git import GitRemote
    from towline_server.addresses import AddressPolicy

    def progress(_phase: Phase, done: int, total: int | None) -> None:
        answer({"progress": [done, total]})

    policy = AddressPolicy.parse(request["networks"])
    policy.guard_sockets()
    pins = git_version(request["environment"]) >= _PINNING_GIT
    given = request["credential"]
    credential = None if given is None else Credential(*given)
    revision = request["revision"]
    try:
        with GitRemote(
            request["url"],
            ref=request["ref"],
            cache=Path(request["cache"]),
            credentials=lambda _url: credential,
            backend=Backend.GIT if pins else Backend.DULWICH,
            environment=request["environment"],
            resolver=policy.resolve,
        ) as remote:
            found = remote.fetch(
                None if revision is None else Revision(revision),
                Limits(**request["limits"]),
                Watch(progress=progress, cancel=stop),
            )
        return {"revision": found}
    except TowlineError as error:
        return {"error": error.code, "data": error.data()}
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return {"error": "disk_full", "data": {"project": "", "problem": str(error.strerror)}}


if __name__ == "__main__":
    main()
