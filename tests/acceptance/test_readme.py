"""What the README shows works as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer

ROOT = Path(__file__).parents[2]


def blocks(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(r"<!-- A test runs this block\. -->\n```python\n(.*?)```", text, re.DOTALL)


def test_the_embedding_example_pulls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    [example] = blocks("README.md")
    repository = GitRepository(tmp_path / "served" / "team.git")
    repository.commit({"pipelines/orders.json": b"{}", "tasks/nightly.json": b"[]"})
    monkeypatch.chdir(tmp_path)
    with GitServer(tmp_path / "served") as server:
        names: dict[str, object] = {"url": f"{server.url}/team.git"}
        exec(compile(example, "README.md", "exec"), names)  # the README is ours
    assert (tmp_path / "shop" / "pipelines" / "orders.json").read_bytes() == b"{}"
    assert (tmp_path / "shop" / "tasks" / "nightly.json").read_bytes() == b"[]"
