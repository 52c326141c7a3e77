"""Tables: every name whole and literal, wherever they are printed."""

import sys

import pytest

from towline.conflicts import Conflict, ConflictKind, Party
from towline.explain import explain
from towline.model import AssetId, AssetPath, AssetState, Digest, Revision, ThreeWay
from towline.plan import Disposition, IgnoredReason, Item
from towline.report import Report, Status
from towline.status import AssetStatus, State
from towline_cli import cells, difference_tables, tables
from towline_cli.reporting import Wording, show_report

HOSTILE_NAME = AssetPath("[red]x[/red] :smile:\x9b31m\u202e")
PRINTED_NAME = "[red]x[/red] :smile:\ufffd31m\ufffd"
LONG = AssetPath("folder/" * 30 + "name.json")
WORDING = Wording(done="Pulled", nothing="Up to date")


def state(path: AssetPath, content: bytes = b"1") -> AssetState:
    return AssetState(path=path, digest=Digest.of(content))


def item(path: AssetPath, disposition: Disposition = Disposition.UPDATED, **more: object) -> Item:
    values: dict[str, object] = {
        "disposition": disposition,
        "asset_id": AssetId("1" * 24),
        "path": path,
        "kind": "file",
        "rule": 1,
        "before": state(path),
        "after": state(path, b"2"),
    }
    return Item(**{**values, **more})  # type: ignore[arg-type] # the fields above


def report(**lists: object) -> Report:
    values: dict[str, object] = {
        "status": Status.UPDATED,
        "base": Revision("a" * 40),
        "revision": Revision("b" * 40),
    }
    return Report(**{**values, **lists})  # type: ignore[arg-type] # the fields above


def test_names_are_printed_literally_and_whole(capsys: pytest.CaptureFixture[str]):
    tables.print_report(report(updated=(item(HOSTILE_NAME), item(LONG))), everything=True)
    printed = capsys.readouterr().out
    assert PRINTED_NAME in printed
    assert LONG in printed
    assert "\x1b" not in printed
    assert "\x9b" not in printed
    assert len(printed.splitlines()) == 3


def test_only_a_terminal_gets_colors(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    shown = report(created=(item(AssetPath("a"), Disposition.CREATED),))
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    tables.print_report(shown, everything=True)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    tables.print_report(shown, everything=True)
    assert "\x1b[32mcreated\x1b[0m" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    tables.print_report(shown, everything=True)
    assert "\x1b" not in capsys.readouterr().out


def test_wide_names_line_up(capsys: pytest.CaptureFixture[str]):
    shown = report(updated=(item(AssetPath("資産")), item(AssetPath("abcd"))))
    tables.print_report(shown, everything=True)
    assert [line.split("path")[-1] for line in capsys.readouterr().out.splitlines()[1:]] == [
        f"updated  {path}  file    {'1' * 24}" for path in ("資産", "abcd")
    ]


def test_a_conflict_shows_its_parties_and_what_is_in_the_way(capsys: pytest.CaptureFixture[str]):
    party = Party(
        asset_id=AssetId("2" * 24),
        kind="rule",
        states=ThreeWay(state(LONG), state(HOSTILE_NAME, b"2"), None),
    )
    conflict = Conflict(
        kind=ConflictKind.PATH_COLLISION, parties=(party,), blockers=(AssetPath("in [b]way[/b]"),)
    )
    tables.print_conflicts([conflict])
    printed = capsys.readouterr().out
    blocker = "in the way: in [b]way[/b]"
    for text in ("path collision", PRINTED_NAME, "rule", "deleted", "2" * 24, blocker):
        assert text in printed


def test_an_explanation_shows_fields_clashes_and_absence(capsys: pytest.CaptureFixture[str]):
    contents = {
        "base": b'{"a": 1, "b": "[red]"}',
        "ours": b'{"a": 2, "b": "\\u001b[31m"}',
        "theirs": b'{"a": 3, "c": null}',
    }
    known = {Digest.of(content): content for content in contents.values()}
    states: ThreeWay[AssetState | None] = ThreeWay(
        *(state(HOSTILE_NAME, contents[side]) for side in ("base", "ours", "theirs"))
    )
    asset = AssetStatus(
        asset_id=AssetId("3" * 24), kind="file", state=State.CONFLICT, states=states
    )
    difference_tables.print_difference(asset, explain(states, known.get))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["/a", "1", "2", "3", "clash"] in lines
    assert ["/b", '"[red]"', '"\\u001b[31m"', "-", "clash"] in lines
    assert ["/c", "-", "-", "null"] in lines


def test_long_values_are_shortened_in_a_table(capsys: pytest.CaptureFixture[str]):
    contents = [b'{"a": "' + letter * 5000 + b'"}' for letter in (b"x", b"y")]
    known = {Digest.of(content): content for content in contents}
    one, two = (state(AssetPath("a"), content) for content in contents)
    asset = AssetStatus(
        asset_id=AssetId("3" * 24),
        kind="file",
        state=State.MODIFIED_HERE,
        states=ThreeWay(one, two, one),
    )
    difference_tables.print_difference(asset, explain(asset.states, known.get))
    assert len(capsys.readouterr().out) < 1500


def test_every_list_and_remark_is_printed(capsys: pytest.CaptureFixture[str]):
    path = AssetPath("a")
    full = report(
        overwritten=(item(path, Disposition.OVERWRITTEN, discarded=True),),
        updated=(item(path, merged=True, renamed_from=AssetPath("old name")),),
        ignored=(item(path, Disposition.IGNORED, reason=IgnoredReason.SYMLINK, asset_id=None),),
        error_msgs=("an edit made during the pull was saved as a.local-12345678",),
        history_rewritten=True,
    )
    assert show_report(full, WORDING, as_json=False, everything=True) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith(
        "Pulled aaaaaaaaaaaa..bbbbbbbbbbbb: 1 overwritten, 1 updated, 1 ignored.\n"
    )
    for words in (
        "rewritten",
        "local edits discarded",
        "renamed from old name, merged with local edits",
        "a symbolic link",
    ):
        assert words in printed.out
    assert "a.local-12345678" in printed.err


def test_remarks_have_lines_of_their_own_where_the_table_is_too_wide(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    old, here = AssetPath("rules/the former name.json"), AssetPath("rules/the new name.json")
    there = AssetPath("rules/the name that they gave it.json")
    asset = AssetStatus(
        asset_id=AssetId("4" * 24),
        kind="rule",
        state=State.CONFLICT,
        states=ThreeWay(state(old), state(here, b"2"), state(there)),
    )
    monkeypatch.setattr(cells, "terminal_width", lambda: 80)
    tables.print_status([asset])
    assert [line.strip() for line in capsys.readouterr().out.splitlines()] == [
        f"conflict  {here}",
        "rule",
        f"renamed and edited: {old} -> {here}",
        f"renamed there: {old} -> {there}",
        "4" * 24,
    ]


def test_nothing_to_do_needs_no_table(capsys: pytest.CaptureFixture[str]):
    quiet = report(status=Status.UP_TO_DATE)
    assert show_report(quiet, WORDING, as_json=False, everything=True) == 0
    assert capsys.readouterr().out == "Up to date at bbbbbbbbbbbb.\n"


def test_refused_conflicts_change_nothing_and_say_what_to_do(capsys: pytest.CaptureFixture[str]):
    party = Party(
        asset_id=AssetId("2" * 24),
        kind="rule",
        states=ThreeWay(None, state(LONG), state(LONG, b"2")),
    )
    conflict = Conflict(kind=ConflictKind.ADD_ADD, parties=(party,))
    refused = report(status=Status.CONFLICTS, conflicts=(conflict,), error_msgs=("a message",))
    assert show_report(refused, WORDING, as_json=False, everything=True) == 3
    printed = capsys.readouterr()
    assert printed.out.startswith("Nothing was changed: 1 conflict left.\n")
    assert "--use-theirs" in printed.err
    assert "a message" not in printed.err
