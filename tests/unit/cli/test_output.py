"""What reaches a terminal is text, whatever the names hold."""

import json

import pytest

from towline_cli.output import print_error, print_json, printable, without_credentials


@pytest.mark.parametrize(
    "text",
    [
        "pipelines/Über uns: was?.json",
        "名前 / 이름 / שם / اسم",
        'it\'s "quoted" [red]bold[/red] :smile:',
        "👩‍👩‍👧 क्‍ष",
    ],
)
def test_names_of_any_script_stay_as_they_are(text: str):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("\x1b[31mred", "\u241b[31mred"),
        ("\x9b31mred", "\ufffd31mred"),
        ("a\rb\nc\td", "a\u240db\u240ac\u2409d"),
        ("bell\x07 del\x7f", "bell\u2407 del\u2421"),
        ("gpj\u202eexe.", "gpj\ufffdexe."),
        ("\u2066a\u2069", "\ufffda\ufffd"),
        ("a\u2028b\u2029c", "a\ufffdb\ufffdc"),
        ("lone \udc9b", "lone \ufffd"),
    ],
)
def test_what_a_terminal_would_act_on_becomes_visible(text: str, fit: str):
    assert printable(text) == fit


def test_json_is_ascii_and_exact(capsys: pytest.CaptureFixture[str]):
    document = {"path": "名\x9b31m\u202e/\udc9b[red]"}
    print_json(document)
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "\x1b" not in printed
    assert json.loads(printed) == document


def test_urls_show_no_credentials(capsys: pytest.CaptureFixture[str]):
    assert without_credentials("at https://user:s3cret@host/x: no") == "at https://host/x: no"
    assert without_credentials("ssh://git@host/x") == "ssh://host/x"
    assert without_credentials("(http://user:s3/cr@et@host/x)") == "(http://host/x)"
    assert without_credentials("mail me@host") == "mail me@host"
    print_error("unexpected https://s3cret@host\n", hint="look")
    assert capsys.readouterr().err == "towline: unexpected https://host\u240a\nhint: look\n"
