from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from towline.limits import Limits
from towline.ports import Traffic, Watch
from towline.remotes.fetcher import FetchRequest
from towline.remotes.git_process import ErrorEvent, run_git
from towline.remotes.url import RemoteUrl

REQUEST = FetchRequest(RemoteUrl.parse("https://h/a"), None, Limits(), Watch(), Traffic())


def test_traces_are_read_and_have_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    event = '{"event":"error","fmt":"no %s","msg":"no x"}'
    script = (
        f'echo "=> Send header: GET /a" >>"$GIT_TRACE_CURL"; ls "{tmp_path}";'
        f"echo '{event}' >>\"$GIT_TRACE2_EVENT\"; echo '{event}' >&2"
    )
    command = ["/bin/sh", "-c", script]
    ended = run_git(command, {"PATH": "/bin:/usr/bin"}, "/", REQUEST, lambda: 0)
    assert (ended.code, ended.requests) == (0, 1)
    assert list(ended.errors) == [ErrorEvent(format="no %s", message="no x")]
    assert ended.output == b"", "what has a name outlives a process that is killed"
