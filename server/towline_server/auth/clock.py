"""What time it is, as an argument: nothing in auth asks the machine by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds; those of the epoch where tokens are judged, else from any start, never going back."""

epoch: Clock = time.time
monotonic: Clock = time.monotonic
