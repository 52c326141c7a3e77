"""The process that fetches: told what on its first line of input, bounded, and stopped by EOF.

It answers in JSON, an object a line: ``progress`` now and then, at last ``revision`` or ``error``.
What a hostile repository breaks is this process alone.
"""

from __future__ import annotations

import errno
import json
import os
import resource
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_PINNING_GIT = (2, 37)
"""The first git that can be told where to connect (``http.curloptResolve``)."""

Answer = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Fetch what standard input says."""
    request = json.loads(_first_line())
    answer = _answers()
    for name, bound in request["bounds"].items():
        _bind(getattr(resource, name), bound)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_await_end, args=(stop,), daemon=True).start()
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


def _answers() -> Answer:
    """Writes to what was standard output; libraries that print write nowhere."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)

    def answer(value: Mapping[str, Any]) -> None:
        # Nobody may be there to read it any more.
        with suppress(OSError):
            out.write(json.dumps(value) + "\n")
            out.flush()

    return answer


def _bind(what: int, bound: int) -> None:
    _, hard = resource.getrlimit(what)
    if hard != resource.RLIM_INFINITY:
        bound = min(bound, hard)
    resource.setrlimit(what, (bound, bound))


def _await_end(stop: threading.Event) -> None:
    while os.read(0, 65536):
        pass
    stop.set()


def _fetch(request: Mapping[str, Any], stop: threading.Event, answer: Answer) -> dict[str, Any]:
    # Imported here: under the bounds.
    from towline.errors import TowlineError
    from towline.limits import Limits
    from towline.model import Revision
    from towline.ports import Phase, Watch
    from towline.remotes.backends import Backend
    from towline.remotes.credentials import Credential
    from towline.remotes.git import GitRemote
    from towline.remotes.git_process import find_git, git_version
    from towline_server.addresses import AddressPolicy

    def progress(_phase: Phase, done: int, total: int | None) -> None:
        answer({"progress": [done, total]})

    policy = AddressPolicy.parse(request["networks"])
    policy.guard_sockets()
    git = find_git(request["environment"])
    pins = git is not None and git_version(git) >= _PINNING_GIT
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
