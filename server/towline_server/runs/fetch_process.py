"""Fetches in a child process: both ends of the pipe between the server and the child.

The child gets a request on each line of input, is bounded, and is stopped by the end of its input.
It answers in JSON, an object a line: ``began`` at once, ``progress`` now and then, at last
``revision`` or ``error``. A hostile repository breaks that process alone, and git's, which reads
what comes from it.
"""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from towline.errors import RemoteRefused, RemoteTimeout, TowlineError
from towline.frozen import frozen
from towline.limits import MIB, Limits
from towline.model import Revision
from towline.ports import Phase, Watch
from towline.remotes.git_process import DEFAULT_PATH, git_version
from towline_server import disk
from towline_server.errors import AddressRefused, DiskFull, FetchFailed

from .fetch_children import FETCHES, IDLE_SECONDS, FetchChild, FetchChildren

if TYPE_CHECKING:
    from towline.remotes.credentials import Credential
    from towline_server.addresses import AddressPolicy

    from .fetching import FetchTarget

_LOG = logging.getLogger("towline.runs")

_PINNING_GIT = (2, 37)
"""The first git that takes the address to connect to (``http.curloptResolve``)."""

Answer = Callable[[Mapping[str, Any]], None]

_PASSED = ("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH")


@frozen(kw_only=True)
class FetchProcess:
    """A `fetching.FetchRevision` whose children fetch one after another (`FetchChildren`).

    ``networks`` are those beyond the public ones that it may connect to. ``environment`` is
    what the child gets of this machine's: CA files, and the path of git.
    """

    networks: Sequence[str] = ()
    memory_bytes: int = 2048 * MIB
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    _children: FetchChildren = field(default_factory=FetchChildren, init=False, repr=False)

    def __call__(self, wanted: FetchTarget, watch: Watch) -> Revision:
        """Fetch; raises as `towline.ports.Remote.fetch`."""
        watch.report(Phase.FETCHING, 0)
        variables, request = self._variables(), self._request(wanted)
        # What is read in the child itself, not by git, is followed by no other tenant's.
        by_git = wanted.repository.provider.is_git and _pins(variables)
        fetches = FETCHES if by_git else 1
        while True:
            with (
                self._children.child(variables, request["bounds"], fetches=fetches) as child,
                suppress(_EndedBefore),
            ):
                return _ChildFetch(child, wanted, watch).run(request)

    def _variables(self) -> dict[str, str]:
        passed = {name: self.environment[name] for name in _PASSED if name in self.environment}
        return {**passed, "PATH": self.environment.get("PATH", DEFAULT_PATH), "LC_ALL": "C.UTF-8"}

    def _request(self, wanted: FetchTarget) -> dict[str, Any]:
        repository, limits = wanted.repository, wanted.limits
        credential = repository.credential
        return {
            "provider": str(repository.provider),
            "config": dict(repository.config),
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
                "RLIMIT_CPU": limits.total_seconds + 30,  # for each fetch
                # git's own files have the limit itself; this is for those of others.
                "RLIMIT_FSIZE": 2 * limits.pack_bytes + 64 * MIB,
                "RLIMIT_CORE": 0,
            },
        }


def _pins(environment: Mapping[str, str]) -> bool:
    """Whether git fetches, from the addresses that were resolved; else dulwich does."""
    return git_version(environment) >= _PINNING_GIT


def _seconds(limits: Limits) -> int:
    """Return how long a child may live: it may wait for another that writes the cache."""
    return 3 * limits.total_seconds + 30


class _EndedBefore(Exception):
    """A child that had fetched before ended before it began with this request."""


@dataclass
class _ChildFetch:
    child: FetchChild
    wanted: FetchTarget
    watch: Watch

    def run(self, request: Mapping[str, Any]) -> Revision:
        began = False
        try:
            for answer in self.child.ask(request, _seconds(self.wanted.limits), self.watch.check):
                began = True
                if "progress" in answer:
                    self.watch.report(Phase.FETCHING, *answer["progress"])
                elif "revision" in answer:
                    self.child.has_answered = True
                    return Revision(answer["revision"])
                elif "error" in answer:
                    raise self._full() or self._error(answer)
        except TimeoutError:
            raise RemoteTimeout(url=self._url, detail="fetching it took too long") from None
        if not began and self.child.fetches > 1:
            raise _EndedBefore
        raise self._full() or self._refused(
            "fetching it took more memory or time than this server allows"
        )

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
        if "traceback" in answer:
            _LOG.error("fetching failed in its child", extra={"exception": answer["traceback"]})
            return FetchFailed(url=self._url, problem=answer["error"])
        kind = _classes().get(answer["error"])
        self.child.has_answered = kind is not None
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


# --- the child --------------------------------------------------------------------------------


def main() -> None:
    """Fetch what the lines of standard input request; run by the child."""
    answer = _open_answers()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    requests: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read_requests, args=(requests, stop), daemon=True).start()
    is_bounded = False
    # Where nothing is left to fetch, its server ends it first; none does if it forgot the child.
    with suppress(Empty, MemoryError):
        while line := requests.get(timeout=2 * IDLE_SECONDS):
            request = json.loads(line)
            answer({"began": True})
            _bound(request["bounds"], again=is_bounded)
            is_bounded = True
            try:
                answer(_fetch(request, stop, answer))
            except MemoryError:
                answer({"error": "memory"})
                raise
    # No clean-up: a thread still waits for the end of the input.
    os._exit(0)


def _read_requests(requests: SimpleQueue[bytes], stop: threading.Event) -> None:
    """Pass on each line of the input, and nothing at its end."""
    received = b""
    while data := os.read(0, 65536):
        *lines, received = (received + data).split(b"\n")
        for line in lines:
            requests.put(line)
    stop.set()
    requests.put(b"")


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


def _bound(bounds: Mapping[str, int], *, again: bool) -> None:
    """Bound this process, once; its processor time for each fetch by itself."""
    for name, bound in bounds.items():
        what = getattr(resource, name)
        _, hard = resource.getrlimit(what)
        most = sys.maxsize if hard == resource.RLIM_INFINITY else hard
        if what == resource.RLIMIT_CPU:
            soft = min(most, bound + math.ceil(time.process_time()))
            resource.setrlimit(what, (soft, hard))
        elif not again:
            resource.setrlimit(what, (min(most, bound), min(most, bound)))


def _fetch(request: Mapping[str, Any], stop: threading.Event, answer: Answer) -> dict[str, Any]:
    # Imported here: under the bounds.
    from towline_server.addresses import AddressPolicy
    from towline_server.sources.config import SOURCES

    def progress(_phase: Phase, done: int, total: int | None) -> None:
        answer({"progress": [done, total]})

    try:
        policy = AddressPolicy.parse(request["networks"])
        policy.guard_sockets()
        fetch = _fetch_source if request["provider"] in SOURCES else _fetch_git
        return {"revision": fetch(request, policy, Watch(progress=progress, cancel=stop))}
    except TowlineError as error:
        return {"error": error.code, "data": error.data()}
    except MemoryError:
        raise
    except Exception as error:
        if isinstance(error, OSError):
            if error.errno == errno.ENOMEM:
                raise MemoryError from error
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                data = {"project": "", "problem": str(error.strerror)}
                return {"error": "disk_full", "data": data}
        return {"error": type(error).__name__, "traceback": _places(error)}


def _places(error: BaseException) -> str:
    """Return where an exception and those before it were raised, without what they say.

    Their messages may hold a secret: of the credential, or of what was fetched.
    """
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = traceback.format_tb(error.__traceback__)
    here = f"{''.join(lines)}{type(error).__name__}"
    return here if before is None else f"{_places(before)}\n\n{here}"


def _fetch_git(request: Mapping[str, Any], policy: AddressPolicy, watch: Watch) -> Revision:
    from towline.remotes.backends import Backend
    from towline.remotes.git import GitRemote

    credential, revision = _credential(request), request["revision"]
    with GitRemote(
        request["url"],
        ref=request["ref"],
        cache=Path(request["cache"]),
        credentials=lambda _url: credential,
        backend=Backend.GIT if _pins(request["environment"]) else Backend.DULWICH,
        environment=request["environment"],
        resolver=policy.resolve,
    ) as remote:
        wanted = None if revision is None else Revision(revision)
        return remote.fetch(wanted, Limits(**request["limits"]), watch)


def _fetch_source(request: Mapping[str, Any], policy: AddressPolicy, watch: Watch) -> Revision:
    from towline.remotes.url import ALL_SCHEMES, RemoteUrl, WantedRef
    from towline_server.sources.fetch import SourceRemote

    remote = SourceRemote(
        provider=request["provider"],
        config=request["config"],
        url=RemoteUrl.parse(request["url"], ALL_SCHEMES),
        credential=_credential(request),
        cache=Path(request["cache"]),
        policy=policy,
    )
    wanted = WantedRef.parse(request["revision"] or request["ref"])
    return remote.fetch(wanted, Limits(**request["limits"]), watch)


def _credential(request: Mapping[str, Any]) -> Credential | None:
    from towline.remotes.credentials import Credential

    given = request["credential"]
    return None if given is None else Credential(*given)


if __name__ == "__main__":
    main()
