"""A real Prefect server and workers of it, from an environment of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import httpx2

from tests.server.descendants import await_end, descendants
from tests.server.serving import LONG, ROOT, environment

PROGRAM = ROOT / ".venv-prefect" / "bin" / "prefect"
_QUIET = {
    "DO_NOT_TRACK": "1",
    "NO_COLOR": "1",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_WORKER_QUERY_SECONDS": "0.5",
    # For the command that a worker starts in a folder of its own.
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
}


@dataclass
class PrefectProcess:
    """A process of Prefect's that runs, and what it prints."""

    child: subprocess.Popen[str]
    printed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        # A pipe that is not read would stop it when it is full.
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.child.stdout is not None
        for line in self.child.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def hear(self, pattern: str) -> re.Match[str]:
        """Wait for a line that it prints."""
        try:
            while (line := self._lines.get(timeout=LONG)) is not None:
                self.printed.append(line)
                if found := re.search(pattern, line):
                    return found
        except Empty:
            pass
        raise AssertionError(f"it does not print {pattern!r}:\n{''.join(self.printed[-50:])}")

    def kill(self) -> None:
        """kill -9, of what it has started, too."""
        self._end(signal.SIGKILL)

    def end(self) -> None:
        """SIGTERM, and wait until what it has started is gone, too."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        below = descendants(self.child.pid)
        self.child.send_signal(number)
        if number is signal.SIGKILL:
            for each in below:
                signal.pidfd_send_signal(each, number)
        self.child.wait(LONG)
        await_end(below)
        self._listener.join(LONG)
        assert self.child.stdout is not None
        self.child.stdout.close()


@dataclass
class PrefectServer:
    """A server over a folder; it may be stopped, and started again at the same address."""

    folder: Path
    port: int = 0
    _process: PrefectProcess | None = None

    @property
    def api_url(self) -> str:
        """The address of its API."""
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = ["server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = self._started(*command, "--log-level", "INFO", variables={})
        self.port = int(self._process.hear(r"Uvicorn running on http://127\.0\.0\.1:(\d+)")[1])

    def stop(self) -> None:
        """Stop it; what it stores stays."""
        assert self._process is not None
        self._process.end()

    @contextmanager
    def worker(self, pool: str, **variables: str) -> Iterator[PrefectProcess]:
        """A worker of processes in the block."""
        words = ["worker", "start", "--pool", pool, "--type", "process"]
        worker = self._started(*words, variables=variables)
        try:
            worker.hear("started!")
            yield worker
        finally:
            if worker.child.poll() is None:
                worker.kill()

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call its API as another client does."""
        url = f"{self.api_url}{path}"
        while True:
            answer = httpx2.request(method, url, json=body, timeout=LONG, trust_env=False)
            if answer.status_code != 503:  # its database was locked
                break
        assert answer.is_success, answer.text
        return answer.json()

    def _started(self, *words: str, variables: Mapping[str, str]) -> PrefectProcess:
        own = {"PREFECT_HOME": str(self.folder), "PREFECT_API_URL": self.api_url}
        return PrefectProcess(
            subprocess.Popen(
                [str(PROGRAM), *words],
                cwd=ROOT,
                env=environment(**{**_QUIET, **own, **variables}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                # Ctrl-C is for the tests, which stop it.
                start_new_session=True,
            )
        )


@contextmanager
def running_prefect() -> Iterator[PrefectServer]:
    """A server that runs in the block, and is gone after it.

    Raises:
        FileNotFoundError: its environment was not made.
    """
    if not os.access(PROGRAM, os.X_OK):
        raise FileNotFoundError(f"{PROGRAM}: run `make test-services`, which makes it")
    with tempfile.TemporaryDirectory(prefix="towline-prefect-") as folder:
        server = PrefectServer(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
