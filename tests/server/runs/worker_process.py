"""A server's worker as a real process, which can be stopped at a boundary, and killed there.

It reads a JSON object from its first line: settings, and the boundary at which every run is
stopped. It writes ``ready`` when it executes, and ``at NAME RUN`` when a run is stopped; a line
with ``go`` lets it go on. At the end of its input it shuts down.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from uuid import UUID

from tests.databases import open_database
from tests.server.runs.git_tenant import SEALER
from towline_server.runs.runtime import open_runtime
from towline_server.settings import Settings


def main() -> None:
    received = json.loads(sys.stdin.readline())
    go = threading.Semaphore(0)
    lock = threading.Lock()

    def say(text: str) -> None:
        with lock:
            os.write(1, f"{text}\n".encode())

    def boundary(run_id: UUID, name: str) -> None:
        if name == received["stop_at"]:
            say(f"at {name} {run_id}")
            go.acquire()

    settings = Settings(**received["settings"])
    database = open_database(settings.database)
    runtime = open_runtime(settings, database, SEALER, boundary=boundary)
    runtime.start()
    say("ready")
    for line in sys.stdin:
        if line.strip() == "go":
            go.release()
    runtime.stop()
    database.close()
    say("stopped")


if __name__ == "__main__":
    main()
