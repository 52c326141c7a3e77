"""The server as a real process: started, sent signals, its log read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx2

from tests.control_plane import new_key
from tests.server.runs.git_tenant import GitTenant
from towline_server.auth.roles import Role

ROOT = Path(__file__).parents[2]
LONG = 120
"""Seconds after which a test fails that waits in vain."""
SERVER = "towline_cli"
"""The module that is the command."""
STOPPABLE = "tests.server.stoppable_server"
"""The same, stopped where a test says."""


@dataclass
class ServerProcess:
    """A server that runs."""

    child: subprocess.Popen[str]
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    """Its log, as far as it was heard."""

    def __post_init__(self) -> None:
        self._output: Queue[str | None] = Queue()
        # A pipe that is not read would stop it when it is full.
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        assert self.child.stderr is not None
        for text in self.child.stderr:
            self._output.put(text)
        self._output.put(None)

    def hear(self, message: str) -> Mapping[str, Any]:
        """Wait for a line of its log."""
        deadline = time.monotonic() + LONG
        while (text := self._next(message, deadline)) is not None:
            # A warning of the interpreter itself is none of the log's lines.
            line = json.loads(text) if text.startswith("{") else {"message": text.rstrip()}
            self.lines.append(line)
            if line["message"] == message:
                return line
        raise AssertionError(f"it left without saying {message!r}: {self.lines}")

    def _next(self, awaited: str, deadline: float) -> str | None:
        try:
            return self._output.get(timeout=max(0.0, deadline - time.monotonic()))
        except Empty:
            raise AssertionError(f"it does not say {awaited!r}: {self.lines}") from None

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.child.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it; its exit code. It must print nothing that is no line of its log."""
        self.send_signal(number)
        code = self.child.wait(LONG)
        self._listener.join(LONG)
        rest = list(iter(self._output.get_nowait, None))
        noise = "".join(line for line in rest if not line.startswith("{"))
        assert not noise, noise
        self.lines += map(json.loads, rest)
        assert not [line for line in self.lines if "exception" in line], self.lines
        return code

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self.child.wait(LONG)

    def close(self) -> None:
        """Leave nothing of it."""
        self.kill()
        self._listener.join(LONG)
        for pipe in (self.child.stdout, self.child.stderr):
            assert pipe is not None
            pipe.close()


def environment(**variables: str) -> dict[str, str]:
    """This process's environment, with no setting but these."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("TOWLINE_")}
    return {**others, **variables}


@contextmanager
def serving(
    arguments: Sequence[str], *, module: str = SERVER, command: str = "serve", **variables: str
) -> Iterator[ServerProcess]:
    """``towline serve``, or ``work``, in a process of its own; killed at the end of the block."""
    server = ServerProcess(
        subprocess.Popen(
            [sys.executable, "-m", module, command, *arguments],
            cwd=ROOT,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    try:
        yield server
    finally:
        server.close()


@contextmanager
def client_of(server: ServerProcess) -> Iterator[httpx2.Client]:
    """A client, once the server listens."""
    url = str(server.hear("listening")["url"])
    with httpx2.Client(base_url=url, timeout=LONG, trust_env=False) as client:
        yield client


def settings_file(tenant: GitTenant, url: str, *, name: str = "towline", **more: object) -> Path:
    """The settings of a server over a tenant's database; ``name`` distinguishes servers."""
    values = {
        "database_url": url,
        "data_dir": str(tenant.folder / f"{name}-data"),
        "secret_keys": ["k" * 40],
        "remote_schemes": ["http"],
        "remote_networks": ["127.0.0.0/8"],
        # A remote that is silent is so until the test has seen what it waits for. By default a
        # fetch ends after 10 s, which another server takes to start where the machine is busy.
        "limits.idle_seconds": LONG,
        "limits.total_seconds": LONG,
        **more,
    }
    file = tenant.folder / f"{name}.toml"
    # A Python literal of these kinds is TOML too, but for the quotes.
    lines = (f"{key} = {value!r}".replace("'", '"') for key, value in values.items())
    file.write_text("\n".join(lines) + "\n")
    return file


def admin_key(tenant: GitTenant) -> str:
    """An API key of an administrator of the tenant."""
    return new_key(tenant.database, tenant.tenant_id, Role.ADMIN)
