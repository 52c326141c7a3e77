"""Exit codes, words and hints of every failure."""

from dataclasses import fields

import click
import pytest

from towline import errors
from towline.errors import TowlineError
from towline_cli.error_messages import describe_error
from towline_cli.errors import CommandError

URL = "https://host/x"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RemoteUnavailable(url=URL), 1),
        (errors.StoreBusy(project="p"), 1),
        (errors.AssetLimitExceeded(limit="assets", allowed=1, found=2), 1),
        (errors.UnknownAssets(asset_ids=("x",)), 1),
        (errors.NotAssociated(project="p"), 1),
        (errors.InvalidValue(field="limit", problem="none"), 2),
        (errors.ConflictingResolutions(asset_ids=("x",)), 2),
        (errors.UnresolvedConflicts(asset_ids=("x",)), 3),
        (errors.AuthenticationFailed(url=URL), 4),
        (errors.PermissionDenied(url=URL), 4),
        (errors.Cancelled(), 130),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.UsageError("no"), 2),
        (click.BadParameter("no"), 2),
        (CommandError("declined", "nothing was changed"), 1),
        (PermissionError(13, "Permission denied", "/x"), 1),
        (ZeroDivisionError("boom"), 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_each_failure_has_its_exit_code_and_a_message(error: BaseException, code: int):
    failure = describe_error(error)
    assert failure.code == code
    assert failure.json["code"]
    assert failure.message
    assert failure.message == failure.json["message"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_ctrl_c_claims_nothing_that_it_cannot_know(error: BaseException):
    assert "nothing was changed" in describe_error(errors.Cancelled()).message
    assert "nothing was changed" not in describe_error(error).message
    assert "towline log" in describe_error(error).message
    assert describe_error(error).hint == ""


def test_the_json_of_an_error_has_code_message_and_data():
    error = errors.AssetLimitExceeded(limit="assets", allowed=1000, found=1001)
    failure = describe_error(error)
    assert failure.json == {
        "code": "asset_limit_exceeded",
        "message": error.message,
        "limit": "assets",
        "allowed": 1000,
        "found": 1001,
        "subject": "",
        "count": 1,
        "others": [],
    }
    assert "--max-assets" in failure.hint


def test_a_refused_ssh_key_does_not_advise_a_token():
    for url, advice in (("ssh://git@h/a", "ssh-add"), ("git@h:a", "ssh-add"), (URL, "TOKEN")):
        assert advice in describe_error(errors.AuthenticationFailed(url=url)).hint


def test_another_limit_is_named_in_the_hint():
    failure = describe_error(errors.LimitExceeded(limit="asset_bytes", allowed=5, found=6))
    assert "--limit asset_bytes=VALUE" in failure.hint


@pytest.mark.parametrize(
    "error",
    [
        errors.RemoteUnavailable(url=URL),
        errors.RemoteTimeout(url=URL),
        errors.RemoteRefused(url=URL),
        errors.StoreError(project="p", problem="Permission denied (a)"),
        errors.StoreDamaged(project="p", problem="no database"),
    ],
    ids=lambda error: error.code,
)
def test_a_failure_of_network_or_disk_says_what_to_check(error: TowlineError):
    assert describe_error(error).hint


def test_an_error_of_our_own_shows_no_text_that_could_hold_a_secret():
    failure = describe_error(RuntimeError("password=hunter2"))
    assert "hunter2" not in str(failure)
    assert "RuntimeError" in failure.message
    assert failure.json["code"] == "internal_error"


def test_a_file_that_cannot_be_used_is_named():
    failure = describe_error(FileNotFoundError(2, "No such file or directory", "plan.json"))
    assert failure.message == "plan.json: No such file or directory"


def test_no_error_loses_its_code_or_message_to_its_data():
    def all_kinds(kind: type[TowlineError]) -> list[type[TowlineError]]:
        return [kind, *(below for each in kind.__subclasses__() for below in all_kinds(each))]

    for kind in all_kinds(TowlineError):
        assert not {"code", "message"} & {field.name for field in fields(kind)}, kind
