from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from towline.limits import Limits
from towline.ports import Watch
from towline.remotes.git_child import Bounds, run_git


def test_the_trace_is_read_and_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    bounds = Bounds(
        shown_url="https://h/a",
        limits=Limits(),
        watch=Watch(),
        network=False,
        http=True,
        arrived=lambda: 0,
    )
    script = f'echo "=> Send header: GET /a" >>"$GIT_TRACE_CURL"; ls "{tmp_path}"'
    ended = run_git(["/bin/sh", "-c", script], {"PATH": "/bin:/usr/bin"}, bounds)
    assert (ended.code, ended.requests) == (0, 1)
    assert ended.output == b"", "what has a name outlives a process that is killed"
