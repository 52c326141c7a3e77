"""Sites whose server lies, and a fetch in a process whose memory can be measured."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path

from tests.contracts.backends import ENVIRONMENT
from towline.remotes.backends import Backend
from towline.remotes.trees import object_id
from towline.testing.git_repository import entry_header
from towline.testing.git_server import Answers, packet

RESULT = "application/x-git-upload-pack-result"

_PROGRAM = """
import json, resource, sys
from pathlib import Path
from towline import GitRemote, Limits, Watch
from towline.errors import TowlineError
url, cache, backend, path, limits = sys.argv[1:]
environment = {"PATH": path}
remote = GitRemote(url, ref="main", cache=Path(cache), backend=backend, environment=environment)
with remote:
    try:
        outcome = remote.fetch(None, Limits(**json.loads(limits)), Watch())
    except TowlineError as error:
        outcome = error.code
status = Path("/proc/self/status").read_text()
own = int(status.partition("VmHWM:")[2].split()[0])
child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([outcome, (own + child) // 1024]))
"""


def measured_fetch(url: str, cache: Path, backend: Backend, **limits: int) -> tuple[str, int]:
    """A revision or an error's code, and the most memory in MiB: of the process and one child.

    The process reads its own peak from VmHWM: ru_maxrss begins with that of the process
    which started it (getrusage(2)), here the test run's.
    """
    command = [sys.executable, "-c", _PROGRAM, url, str(cache), backend, ENVIRONMENT["PATH"]]
    ended = subprocess.run(
        [*command, json.dumps(limits)], capture_output=True, text=True, check=True
    )
    outcome, peak = json.loads(ended.stdout)
    return outcome, peak


def sends_pack(pack: bytes) -> Answers:
    """Answers the fetch of protocol 2 with a pack, whatever it is."""
    pieces = (pack[at : at + 60_000] for at in range(0, len(pack), 60_000))
    bands = b"".join(packet(b"\x01" + piece) for piece in pieces) or packet(b"\x01")
    return sends(packet(b"packfile\n") + bands + b"0000")


def sends(body: bytes, on: str = "command=fetch") -> Answers:
    """Answers a request of protocol 2 with a body."""
    return Answers(status=200, headers={"Content-Type": RESULT}, body=body, on=on)


def varint(value: int) -> bytes:
    """A length in a delta."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    return bytes([*encoded, value])


def delta_entry(base: str, delta: bytes) -> bytes:
    """The entry of a delta on the object of an id."""
    return entry_header(7, len(delta)) + bytes.fromhex(base) + zlib.compress(delta)


def repeating_delta(block: bytes, size: int) -> bytes:
    """The entry of a delta that copies a blob of 64 KiB again and again, up to a size."""
    delta = varint(len(block)) + varint(size) + b"\xf0\xff\xff" * (size // 65535)
    return delta_entry(object_id("blob", block), delta)
