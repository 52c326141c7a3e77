"""The ``towline`` command, whose runs wait at a boundary: to be killed there, or stopped and
continued.

``WAIT_AT`` names the boundary. Each run that comes there logs ``waiting``; once the process is
continued after a stop (SIGCONT), they go on, and no other one waits.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from functools import partial
from uuid import UUID

import pytest

from towline_cli.main import main
from towline_server.runs import runtime

_LOG = logging.getLogger("tests.server")


def _main() -> int:
    wait_at = os.environ["WAIT_AT"]
    continued = threading.Event()
    signal.signal(signal.SIGCONT, lambda *_: continued.set())

    def boundary(run_id: UUID, name: str) -> None:
        if name == wait_at and not continued.is_set():
            _LOG.info("waiting", extra={"run_id": str(run_id), "boundary": name})
            continued.wait()

    with pytest.MonkeyPatch.context() as patch:
        for name in ("open_runtime", "open_orchestrated_worker"):
            patch.setattr(runtime, name, partial(getattr(runtime, name), boundary=boundary))
        return main()


if __name__ == "__main__":
    sys.exit(_main())
