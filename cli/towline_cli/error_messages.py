"""The message and hint of each error."""

from __future__ import annotations

from typing import Any

import click

from towline.errors import AuthenticationFailed, Cancelled, LimitExceeded, TowlineError
from towline.frozen import frozen

from .errors import CommandError
from .exit_codes import FAILURE, INTERRUPTED, USAGE, of_error
from .output import without_credentials


@frozen(kw_only=True)
class ErrorMessage:
    """The exit code and message of a failed command."""

    code: int
    json: dict[str, Any]
    hint: str = ""
    usage: str = ""

    @property
    def message(self) -> str:
        """Return the message as text."""
        return str(self.json["message"])


def describe_error(error: BaseException) -> ErrorMessage:
    """Return the exit code and message of an error."""
    match error:
        case CommandError():
            about = _json(error.code, error.problem)
            return ErrorMessage(code=error.exit_with, json=about, hint=error.advice)
        case click.UsageError():
            usage = error.ctx.get_usage() if error.ctx is not None else ""
            hint = f"{error.ctx.command_path} --help" if error.ctx is not None else ""
            about = _json("usage", _line(error))
            return ErrorMessage(code=USAGE, json=about, usage=usage, hint=hint)
        case click.ClickException():
            return ErrorMessage(code=FAILURE, json=_json("failure", _line(error)))
        case Cancelled() | KeyboardInterrupt() | click.Abort():
            # An interrupt may come after the pull, before its report.
            done = "nothing was changed" if isinstance(error, Cancelled) else _SEE_LOG
            return ErrorMessage(code=INTERRUPTED, json=_json("interrupted", f"interrupted; {done}"))
        case TowlineError():
            about = _json(error.code, error.message, error.data())
            return ErrorMessage(code=of_error(error.code), json=about, hint=_hint(error))
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            about = _json("os_error", f"{name}{error.strerror or type(error).__name__}")
            return ErrorMessage(code=FAILURE, json=about)
        case _:
            # Its text may contain secrets.
            message = f"internal error ({type(error).__name__}); please report it"
            hint = "set TOWLINE_TRACEBACK=1 to see the traceback"
            return ErrorMessage(code=FAILURE, json=_json("internal_error", message), hint=hint)


def _line(error: click.ClickException) -> str:
    """Return click's message on one line."""
    return " ".join(error.format_message().split())


def _json(code: str, message: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"code": code, "message": without_credentials(message), **_scrubbed(data or {})}


def _scrubbed(value: Any) -> Any:
    """Remove credentials from data, which may contain URLs of the command line."""
    if isinstance(value, dict):
        return {name: _scrubbed(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_scrubbed(item) for item in value]
    return without_credentials(value) if isinstance(value, str) else value


def _hint(error: TowlineError) -> str:
    if isinstance(error, LimitExceeded):
        return _LIMIT_HINTS.get(error.limit, f"raise it with --limit {error.limit}=VALUE")
    if isinstance(error, AuthenticationFailed):
        if not error.url.startswith("http"):
            return _SSH_KEYS
        return _REFUSED if error.refused else _CREDENTIALS
    return _HINTS.get(error.code, "")


_SEE_LOG = "towline log shows whether a pull was made"
_LIMIT_HINTS = {
    "assets": "raise it with --max-assets N, or permanently with towline config limit.assets N",
    "deletes": "if these deletions are intended, raise it with --max-deletes N",
}
_REFUSED = (
    "correct or remove them there; the URL is used first, then TOWLINE_TOKEN or "
    "TOWLINE_PASSWORD, then ~/.netrc, then git's credential helper"
)
_CREDENTIALS = (
    "set TOWLINE_TOKEN, or TOWLINE_USERNAME and TOWLINE_PASSWORD, or add the host to ~/.netrc "
    "or to git's credential helper"
)
_SSH_KEYS = (
    "add your key to the ssh agent (ssh-add), and your public key to your account on that host"
)
_REF = "choose another with towline config ref NAME, or with --ref in clone and init"
_HINTS = {
    "not_associated": "run towline clone URL, or towline init URL in a folder that has assets",
    "already_associated": "towline config url shows which; towline config url URL changes it",
    "permission_denied": _CREDENTIALS,
    "ref_not_found": _REF,
    "empty_repository": _REF,
    "unknown_assets": "towline status --json lists ids and paths",
    "no_remote_version": "towline status shows what is local only",
    "colliding_resolutions": "towline plan shows which assets claim the path",
    "unresolved_conflicts": "towline resolve goes through them one by one",
    "empty_remote": "if everything was really deleted there, use --allow-empty",
    "stale_plan": "make a new plan with towline plan --plan-out FILE",
    "unknown_pull": "towline log lists the pulls",
    "undo_blocked": "towline diff shows the edits",
    "unsafe_owner": (
        "if you trust that user, set TOWLINE_ANY_OWNER=1 for one command, "
        "or run git config --global --add safe.directory FOLDER"
    ),
    "redirect_refused": "if you trust the new address, run towline config url URL",
    "content_missing": "run towline pull to fetch it again",
    "store_error": "check that you can read and write the folder, and that its disk has space",
    "store_damaged": "restore .towline from a backup, or clone into a new folder",
    "remote_unavailable": "check the network and the address",
    "remote_timeout": "check the network; --limit total_seconds=VALUE allows more time",
    "remote_refused": "check the address; a private repository needs credentials",
}
