"""Where this command looks for credentials; used for one call, never stored or shown."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .output import print_error

if TYPE_CHECKING:
    from towline.remotes.credentials import Credential, Credentials
    from towline.remotes.url import Origin


_answers: dict[Origin, Credential] = {}
"""What was answered at the terminal, for this process alone."""


def ask_about(error: Exception) -> bool:
    """Ask at the terminal for the credentials that an HTTP remote requires.

    Return whether there is an answer, so that the command can be tried again.
    """
    from towline.errors import AuthenticationFailed
    from towline.remotes.credentials import TOKEN_USERNAME, Credential
    from towline.remotes.url import RemoteUrl

    if not isinstance(error, AuthenticationFailed):
        return False
    url = RemoteUrl.parse(error.url)
    if not url.is_http:
        return False
    print_error(error.message)
    question = f"Username for {url.host} (leave empty for a token)"
    username = click.prompt(question, "", show_default=False, err=True)
    question = "Password or token" if username else "Token"
    secret = click.prompt(question, "", show_default=False, hide_input=True, err=True)
    if secret:
        _answers[url.origin] = Credential(username or TOKEN_USERNAME, secret, "the terminal")
    return bool(secret)


def credentials(given: Credential | None, *, helpers: bool) -> Credentials:
    """What was answered, else from the URL, the environment, netrc, git's credential helpers.

    ``helpers`` is whether git has any: without one it need not be asked.
    """
    from towline.remotes.credentials import (
        first_of,
        fixed,
        from_git_credential,
        from_mapping,
        from_netrc,
    )

    sources: list[Credentials] = [
        lambda url: _answers.get(url.origin),
        *([fixed(given)] if given is not None else []),
        from_mapping(os.environ),
        from_netrc(Path(os.environ.get("NETRC") or Path.home() / ".netrc")),
    ]
    if helpers:
        sources.append(from_git_credential("git", os.environ))
    return first_of(*sources)
