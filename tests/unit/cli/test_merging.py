"""The merged file that a person edits, and what is taken of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from towline.conflicts import Conflict, ConflictKind, Party
from towline.model import AssetId, AssetPath, AssetState, Digest, ThreeWay
from towline.resolve import LineClash, OpenConflict
from towline_cli.errors import CommandError
from towline_cli.merging import edit_merged, run_merge_tool

BASE, OURS, THEIRS = b"1\n2\n3", b"1\n2\nthree", b"0\n1\n2\nIII"


def conflict(name: str = "a.txt", kind: ConflictKind = ConflictKind.CONTENT) -> OpenConflict:
    """Return a conflict in the last line, which has no line feed."""
    contents: ThreeWay[bytes | None] = ThreeWay(BASE, OURS, THEIRS)
    states: ThreeWay[AssetState | None] = ThreeWay(
        *(AssetState(path=AssetPath(name), digest=Digest.of(each)) for each in (BASE, OURS, THEIRS))
    )
    party = Party(asset_id=AssetId("1" * 24), kind="file", states=states)
    clash = LineClash(lines=ThreeWay(b"3", b"three", b"III"), starts=ThreeWay(3, 3, 4))
    return OpenConflict(
        conflict=Conflict(kind=kind, parties=(party,)),
        party=party,
        contents=contents,
        lines=(clash,),
    )


@pytest.fixture
def editor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An editor that copies its file to ``seen``, and writes ``text`` to it where that exists."""
    script = tmp_path / "editor"
    script.write_text(f'#!/bin/sh\ncd {tmp_path}\ncp "$1" seen\ntest ! -e text || cp text "$1"\n')
    script.chmod(0o700)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(script))
    return tmp_path


def test_the_editor_gets_markers_and_all_that_merges(editor: Path):
    assert edit_merged(conflict()) is None
    assert (editor / "seen").read_bytes() == (
        b"0\n1\n2\n<<<<<<< ours\nthree\n||||||| base\n3\n=======\nIII\n>>>>>>> theirs\n"
    )


def test_what_was_written_is_taken_as_it_is(editor: Path):
    (editor / "text").write_bytes(b"by hand\r\n\xff")
    assert edit_merged(conflict()) == b"by hand\r\n\xff"
    (editor / "text").write_bytes(b">>>>>>> theirs\n")
    with pytest.raises(CommandError, match="markers"):
        edit_merged(conflict())


@pytest.mark.parametrize("name", ["x" * 250 + ".json", "a." + "x" * 250, "名前 'q'.json"])
def test_any_name_can_be_edited(editor: Path, name: str):
    (editor / "text").write_bytes(b"{}")
    assert edit_merged(conflict(name)) == b"{}"


def test_where_paths_clash_there_is_nothing_to_edit(monkeypatch: pytest.MonkeyPatch):
    renamed = conflict(kind=ConflictKind.RENAME_RENAME)
    monkeypatch.setattr("towline_cli.merging.configured_merge_tool", lambda: "true")
    for merge in (edit_merged, run_merge_tool):
        with pytest.raises(CommandError, match="choose theirs or ours"):
            merge(renamed)
