"""The entry point. It loads the command's modules itself, so that Ctrl-C meanwhile is answered."""

from __future__ import annotations

import gc
import os
import sys
from types import FrameType

INTERRUPTED = 130
_ALLOCATIONS = 100_000
"""Between two collections of garbage; by default 700, a tenth of the time in which modules load."""


def run() -> int:
    """Run the command line of this process and return the exit code."""
    gc.set_threshold(_ALLOCATIONS)
    try:
        import signal

        # A shell's background job has the signal ignored, and keeps it so.
        answered = signal.getsignal(signal.SIGINT) is signal.default_int_handler
        if answered:
            signal.signal(signal.SIGINT, _stop)
        from towline_cli.main import main

        try:
            if answered:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return main()
        finally:
            # All memory is freed with the process; looking for garbage in it takes milliseconds.
            gc.freeze()
            # The command has ended; nothing is left to be stopped.
            if answered:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        # Before the handler is there, or a second time, while the first is answered.
        _print("interrupted")
        return INTERRUPTED


def _stop(_: int, __: FrameType | None) -> None:
    """End the process at once: an exception could be swallowed by the module that loads."""
    _print("interrupted; nothing was changed")
    os._exit(INTERRUPTED)


def _print(message: str) -> None:
    error = f'{{"error": {{"code": "interrupted", "message": "{message}"}}}}'
    stream, line = (1, error) if "--json" in sys.argv else (2, f"towline: {message}")
    try:
        os.write(stream, f"{line}\n".encode())
    except OSError:
        # The stream is closed; the exit code has the same meaning.
        return


if __name__ == "__main__":
    sys.exit(run())
