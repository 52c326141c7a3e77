"""The process that brings a pack into the cache for dulwich: what a pack unpacks to is bounded.

Standard input is the pack, the argument the cache's folder of objects. The code it ends with says
how it went: `OUT_OF_MEMORY`, `MALFORMED`, or zero.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from towline.remotes.fetcher import FetchRequest
from towline.remotes.git_environment import closed_environment
from towline.remotes.git_failures import Unexplained, out_of_memory
from towline.remotes.rlimits import restrict

OUT_OF_MEMORY, MALFORMED = 3, 4
_POLL_SECONDS = 0.02


def index_pack(pack: IO[bytes], objects: Path, talk: FetchRequest) -> None:
    """Bring a pack into a folder of objects, in a bounded child.

    Raises:
        Unexplained: it is malformed, or lacks what its deltas start from.
        LimitExceeded: unpacking takes more memory than the limits allow.
        RemoteTimeout: it took longer than the limits allow.
        Cancelled: the caller asked to stop.
    """
    pack.seek(0)
    child = subprocess.Popen(
        [sys.executable, "-I", "-m", __name__, os.fspath(objects)],
        env=closed_environment({}),
        cwd="/",
        stdin=pack,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        restrict(child.pid, talk.limits)
        while child.poll() is None:
            talk.check()
            time.sleep(_POLL_SECONDS)
    finally:
        child.kill()
        child.wait()
    if child.returncode == OUT_OF_MEMORY:
        raise out_of_memory(talk)
    if child.returncode != 0:
        raise Unexplained("it sent a malformed pack")


def main(objects: str) -> int:
    """Index what standard input holds; the exit code."""
    from dulwich.object_store import DiskObjectStore

    try:
        file, commit, abort = DiskObjectStore(objects).add_pack()
        try:
            shutil.copyfileobj(sys.stdin.buffer, file)
            commit()
        except BaseException:
            abort()
            raise
    except MemoryError:
        return OUT_OF_MEMORY
    except Exception:  # noqa: BLE001 - whatever a library raises for a hostile pack
        return MALFORMED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
