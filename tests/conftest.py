"""The profiles of hypothesis, ``ci`` unless ``--hypothesis-profile`` names another; the figures."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.laws.budget import PROFILES

pytest_plugins = ["tests.databases", "tests.control_plane", "tests.temporal"]

for _name, _percentage in PROFILES.items():
    settings.register_profile(
        _name,
        max_examples=_percentage,
        # Time is not what these tests are about, and machines are shared.
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        # A red run is then due to what changed, not to chance; "deep" looks further.
        derandomize=_name == "ci",
        print_blob=True,
    )
settings.load_profile("ci")


# A shell that starts something in the background has it ignore Ctrl-C, and so would every command
# that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests recorded, and what was not given to be tested."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "figures":
                terminalreporter.write_line(str(value))
    if not os.environ.get("TRIPLES"):
        terminalreporter.write_line("real merge triples: not given (TRIPLES names the file)")
