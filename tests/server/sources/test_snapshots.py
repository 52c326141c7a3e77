"""Snapshots that are interrupted, and many at once."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.server.sources.list_server import Answer, ListServer
from tests.server.sources.reading import Reader

STEPS = ("open", "os.rename", "os.mkdir", "os.remove")


@pytest.fixture
def reader(server: ListServer, tmp_path: Path) -> Reader:
    config = {"extension": "", "content_url_field": "at", "cursor_field": "v"}
    return Reader("http_api", f"{server.url}/rules", tmp_path / "c.git", config=config)


def serve(server: ListServer, version: int, names: str) -> None:
    items = [{"id": f"f/{name}", "at": f"/{name}", "v": version} for name in names]
    server.answers["/rules"] = Answer(items)
    for name in names:
        server.answers[f"/{name}"] = Answer(f"{name}{version}".encode())


def killed_at(step: int, reader: Reader) -> bool:
    """Take a snapshot in a process that is killed at a step in the cache, if it has so many."""
    pid = os.fork()
    if pid == 0:
        left = [step]

        def count(event: str, arguments: tuple[object, ...]) -> None:
            if event in STEPS and str(reader.cache) in str(arguments[0]):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        reader.fetch()
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended in (0, -signal.SIGKILL)
    return ended != 0


def test_a_kill_at_any_step_leaves_the_cache_whole(server: ListServer, reader: Reader):
    serve(server, 1, "ab")
    first, original = reader.fetch(), reader.cache
    serve(server, 2, "bcd")
    step = 1
    while True:
        reader.cache = original.with_name(f"{step}.git")
        shutil.copytree(original, reader.cache)
        was_killed = killed_at(step, reader)
        assert reader.git("fsck", "--strict", "--no-dangling") == b""
        assert reader.at(first) == {"f/a": b"a1", "f/b": b"b1"}
        assert reader.files() == {"f/b": b"b2", "f/c": b"c2", "f/d": b"d2"}
        if not was_killed:
            break
        step += 1
    assert step > 10


def test_many_files_are_one_pack(server: ListServer, reader: Reader):
    reader.config = {"extension": ""}
    server.answers["/rules"] = Answer([{"id": f"{number:03}"} for number in range(150)])
    revision = reader.fetch()
    assert len(reader.files()) == 150
    assert len(list((reader.cache / "objects/pack").glob("*.pack"))) == 1
    assert reader.fetch() == revision
