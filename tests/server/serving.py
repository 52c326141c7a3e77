"""The server as a real process: started, told by signals, heard through its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

ROOT = Path(__file__).parents[2]
LONG = 120
"""Seconds after which a test fails that waits in vain."""


@dataclass
class ServerProcess:
    """A server that runs."""

    child: subprocess.Popen[str]
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    """Its log so far."""

    def hear(self, message: str) -> Mapping[str, Any]:
        """Wait for a line of its log."""
        assert self.child.stderr is not None
        for text in self.child.stderr:
            # A warning of the interpreter itself is none of the log's lines.
            line = json.loads(text) if text.startswith("{") else {"message": text.rstrip()}
            self.lines.append(line)
            if line["message"] == message:
                return line
        raise AssertionError(f"it left without saying {message!r}: {self.lines}")

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.child.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to stop; its exit code. It says nothing that is no line of its log."""
        self.tell(number)
        _, said = self.child.communicate(timeout=LONG)
        assert [line for line in said.splitlines() if not line.startswith("{")] == []
        return self.child.returncode


def environment(**variables: str) -> dict[str, str]:
    """This process's environment, with no setting but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TOWLINE_")}
    return {**kept, **variables}


@contextmanager
def serving(arguments: Sequence[str], **variables: str) -> Iterator[ServerProcess]:
    """``towline serve`` in a process of its own; killed at the end of the block, if it is there."""
    child = subprocess.Popen(
        [sys.executable, "-m", "towline_cli", "serve", *arguments],
        cwd=ROOT,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield ServerProcess(child)
    finally:
        child.kill()
        child.communicate()


@contextmanager
def client_of(server: ServerProcess) -> Iterator[httpx2.Client]:
    """A client, once the server listens."""
    url = str(server.hear("listening")["url"])
    with httpx2.Client(base_url=url, timeout=LONG, trust_env=False) as client:
        yield client
