"""The state machine of `tests.laws.pull_machine`, run."""

from __future__ import annotations

from hypothesis import settings

from tests.laws.budget import law
from tests.laws.pull_machine import PullMachine

TestPullMachine = PullMachine.TestCase
TestPullMachine.settings = settings(law("machine"), stateful_step_count=20)
