"""Workers in processes of their own, and runs asked for from outside of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.server.runs.git_tenant import GitTenant
from towline_server.runs.domain import BackendName
from towline_server.runs.service import Runs
from towline_server.runs.worker import Backends

LONG = 120
"""Seconds after which a test fails that waits in vain."""


@dataclass
class WorkerProcess:
    """A worker that runs."""

    child: subprocess.Popen[str]

    def hear(self) -> list[str]:
        """The next thing it says."""
        assert self.child.stdout is not None
        return self.child.stdout.readline().split()

    def hear_stop(self) -> UUID:
        """Wait until a run is at the boundary."""
        word, _name, run_id = self.hear()
        assert word == "at"
        return UUID(run_id)

    def go(self) -> None:
        """Let one run go on."""
        assert self.child.stdin is not None
        self.child.stdin.write("go\n")
        self.child.stdin.flush()

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()
        self.child.wait()

    def freeze(self) -> None:
        """Stop it; to the others it is as a dead one."""
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.child.send_signal(signal.SIGCONT)

    def shut_down(self) -> None:
        """As a server is stopped."""
        assert self.child.stdin is not None
        self.child.stdin.close()
        assert self.hear() == ["stopped"]
        self.child.wait()


@dataclass
class Workers:
    """The workers of a test, killed at its end."""

    tenant: GitTenant
    url: str
    started: list[WorkerProcess] = field(default_factory=list)

    def start(
        self, *, folder: str = "one", stop_at: str | None = None, **settings: Any
    ) -> WorkerProcess:
        """A worker that executes; the same folder makes it the same executor."""
        sent = {
            "stop_at": stop_at,
            "settings": {
                "data_dir": str(self.tenant.folder / folder),
                "database_url": self.url,
                "secret_keys": ["x" * 32],
                "remote_schemes": ["http"],
                "remote_networks": ["127.0.0.0/8"],
                **settings,
            },
        }
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.server.runs.worker_process"],
            cwd=Path(__file__).parents[3],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        worker = WorkerProcess(child)
        self.started.append(worker)
        assert child.stdin is not None
        child.stdin.write(json.dumps(sent) + "\n")
        child.stdin.flush()
        assert worker.hear() == ["ready"]
        return worker


@contextmanager
def workers(tenant: GitTenant, url: str) -> Iterator[Workers]:
    """Workers over a tenant's database."""
    made = Workers(tenant, url)
    try:
        yield made
    finally:
        for worker in made.started:
            worker.kill()
            assert worker.child.stdin is not None
            assert worker.child.stdout is not None
            worker.child.stdin.close()
            worker.child.stdout.close()


class IdleBackend:
    """A backend whose executors are other processes: they find what waits."""

    def __init__(self, name: BackendName = BackendName.NATIVE) -> None:
        self.name = name

    def submit(self, run_ids: Sequence[UUID]) -> None:
        pass

    def stop_run(self, run_id: UUID) -> None:
        pass


def runs_elsewhere(tenant: GitTenant) -> Runs:
    """Runs that other processes execute."""
    return Runs(tenant.database, Backends([IdleBackend()]))
