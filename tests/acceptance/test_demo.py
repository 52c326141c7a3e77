"""The demo ends with a report that has an entry in each list, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures import demo
from fixtures.projects import integration
from towline.plan import LISTED

ROOT = Path(__file__).parents[2]


def test_the_demo_shows_every_list_and_leaves_nothing_behind(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, "-m", "fixtures.demo"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    printed = ended.stdout.splitlines()
    assert all(any(line.startswith(str(name)) for line in printed) for name in LISTED)
    assert list(tmp_path.iterdir()) == []


def test_the_demo_fails_where_a_list_is_not_as_promised(capsys: pytest.CaptureFixture[str]):
    lists = {**integration.PROJECT.lists, "created": ()}
    assert demo.main(replace(integration.PROJECT, lists=lists)) == 1
    assert "created" in capsys.readouterr().err
