"""Bounds on the memory and processor time of a child process, and on the files it writes."""

from __future__ import annotations

import resource
from contextlib import suppress

from towline.limits import Limits

_OTHER_FILES = 1024 * 1024
"""What a pack's index may need beside a pack at its limit."""


def restrict(pid: int, limits: Limits) -> None:
    """Bound a child; its own children inherit that. Does nothing where the system cannot (macOS).

    Memory is bounded without what is mapped from files: five eighths of ``memory_bytes``, since
    the children of one fetch share it with this process.
    """
    if not hasattr(resource, "prlimit"):
        return
    memory = max(limits.memory_bytes * 5 // 8, 3 * limits.asset_bytes)
    for what, bound in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, limits.total_seconds),
        (resource.RLIMIT_FSIZE, limits.pack_bytes + _OTHER_FILES),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(OSError):  # it has ended
            _, hard = resource.prlimit(pid, what)
            most = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
            resource.prlimit(pid, what, (most, most))
