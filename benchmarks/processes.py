"""What a command takes, from start to end with all its children, and what a function takes."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from towline.testing.git_repository import CLOSED_ENVIRONMENT

from .bench import Sample, Work

WALL, CPU = "ms", "ms CPU"
LONGEST = 300.0
"""Seconds after which a process is stopped, and its contender fails."""


def environment(home: Path) -> dict[str, str]:
    """Nothing of the machine's configuration, the installed command first, bytecode cached."""
    scripts = sysconfig.get_path("scripts")
    path = os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])
    return {**CLOSED_ENVIRONMENT, "PATH": path, "HOME": str(home), "LC_ALL": "C.UTF-8"}


def run(command: Sequence[str], cwd: Path, home: Path) -> Sample:
    """What a command takes.

    Raises:
        subprocess.CalledProcessError: it failed; ``stderr`` says why.
        subprocess.TimeoutExpired: it took too long.
    """
    with (home / "stderr").open("w+b") as errors:
        started = time.perf_counter()
        child = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
        stopper = threading.Timer(LONGEST, child.kill)
        stopper.start()
        try:
            # Returns the CPU time of the child and of the children it waited for, and of no other.
            _, status, usage = os.wait4(child.pid, 0)
        finally:
            stopper.cancel()
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if wall >= LONGEST:
            raise subprocess.TimeoutExpired(list(command), LONGEST)
        if child.returncode:
            errors.seek(0)
            raise subprocess.CalledProcessError(
                child.returncode, list(command), stderr=errors.read().decode(errors="replace")
            )
    return {WALL: 1000 * wall, CPU: 1000 * (usage.ru_utime + usage.ru_stime)}


def in_process(work: Callable[[], object]) -> Work:
    """What a function takes in this process."""

    def measured() -> Sample:
        began = time.process_time()
        work()
        return {CPU: 1000 * (time.process_time() - began)}

    return measured
