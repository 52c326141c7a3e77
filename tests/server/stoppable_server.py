"""The ``towline`` command, whose server's runs stand still at a boundary: to be killed there, or
stopped and woken.

``STANDS_AT`` names the boundary. Each run that comes there says ``state`` in the log; once the
process is woken from a stop (SIGCONT), they go on, and no other one stands.
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


def _stand() -> int:
    stands_at = os.environ["STANDS_AT"]
    woken = threading.Event()
    signal.signal(signal.SIGCONT, lambda *_: woken.set())

    def boundary(run_id: UUID, name: str) -> None:
        if name == stands_at and not woken.is_set():
            _LOG.info("state", extra={"run_id": str(run_id), "boundary": name})
            woken.wait()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "open_runtime", partial(runtime.open_runtime, boundary=boundary))
        return main()


if __name__ == "__main__":
    sys.exit(_stand())
