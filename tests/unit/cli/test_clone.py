"""What a clone does on a file system that folds case, as the probe would find it."""

import json
import os
from pathlib import Path

import pytest

from towline.names import NamePolicy
from towline.stores.directory import state_folder
from towline.testing.git_repository import GitRepository
from towline_cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``team`` is to be cloned from ``team.git``, which holds case twins."""
    monkeypatch.setattr(state_folder, "probe_names", lambda _: NamePolicy.FOLDS_CASE)
    monkeypatch.chdir(tmp_path)
    GitRepository(tmp_path / "team.git").commit({"README": b"1\n", "readme": b"2\n", "a": b"3\n"})
    return tmp_path / "team"


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder)) - {".towline"}


def test_case_twins_are_left_in_conflict_and_the_rest_is_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert main(["clone", "team.git", "team", "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert [item["path"] for item in report["created"]] == ["a"]
    assert {item["path"] for item in report["ignored"]} == {"README", "readme"}
    (conflict,) = report["conflicts"]
    assert [party["path"] for party in conflict["parties"]] == ["README", "readme"]
    assert names(folder) == {"a"}

    monkeypatch.chdir(folder)
    assert main(["pull"]) == 3
    printed = capsys.readouterr()
    assert "choose a side for each asset" in printed.err
    assert main(["pull", "--use-theirs", "README"]) == 3
    assert main(["pull", "--use-theirs", "README", "--use-ours", "readme"]) == 0
    assert names(folder) == {"a", "README"}
    assert main(["pull"]) == 0


def test_a_collision_says_that_each_party_takes_a_choice(folder: Path, capsys):
    main(["clone", "team.git", "team", "--json"])
    (message,) = json.loads(capsys.readouterr().out)["error_msgs"]
    assert "for each" in message
