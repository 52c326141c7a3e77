"""The benchmarks run, and their counters hold; what they say of times is not judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_a_quick_run_measures_every_section_and_meets_every_counter():
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    measures = json.loads(ended.stdout)["measures"]
    sections = {measure["section"] for measure in measures}
    assert sections == {"merge", "contents", "start", "counters", "backends", "pull", "serving"}
    judged = [measure for measure in measures if measure["target"] is not None]
    assert {measure["section"] for measure in judged} == {"counters"}
    assert [measure for measure in judged if not measure["met"]] == []
