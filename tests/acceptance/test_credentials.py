"""Credentials: where they come from, and that they are shown nowhere."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler

import pytest

from tests.acceptance.command import BASE, SECRET, THEIRS, USER, Command, files
from tests.loopback import Quiet, http_server
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer


def test_without_credentials_the_answer_is_4(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    error = towline.json("clone", url, code=4)["error"]
    assert (error["code"], error["url"]) == ("authentication_failed", url)
    ran = towline("clone", url, code=4)
    assert ran.err.splitlines()[0] == f"towline: {url}: authentication required"
    assert "hint: set TOWLINE_TOKEN" in ran.err
    assert not any(towline.folder.iterdir())
    assert guarded.tally.requests


def with_secret(url: str, user: str = USER, secret: str = SECRET) -> str:
    from urllib.parse import quote

    return url.replace("://", f"://{user}:{quote(secret, safe='')}@")


def test_wrong_credentials_are_named_nowhere(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    wrong = with_secret(url, user="someone")
    assert towline.json("clone", wrong, code=4)["error"]["url"] == url
    assert towline("clone", url, code=4, TOWLINE_TOKEN=SECRET).out == ""
    # A wrong one is asked for once, not fifteen times.
    assert len(guarded.tally.requests) <= 6


def test_refused_credentials_name_their_source(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)

    def refused(address: str = url, **variables: str) -> str:
        ran = towline("clone", address, code=4, **variables)
        assert "hint: correct or remove them" in ran.err
        return ran.err.splitlines()[0].removeprefix(f"towline: {url}: ")

    (towline.home / ".git-credentials").write_text(f"{with_secret(guarded.url, user='someone')}\n")
    (towline.home / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    assert refused() == "the credentials from git's credential helper were refused"
    netrc = towline.home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login someone password {SECRET}\n")
    netrc.chmod(0o600)
    assert refused() == f"the credentials from {netrc} were refused"
    assert refused(TOWLINE_USERNAME="x", TOWLINE_PASSWORD=SECRET) == (
        "the credentials from TOWLINE_PASSWORD were refused"
    )
    assert refused(TOWLINE_TOKEN=SECRET) == "the credentials from TOWLINE_TOKEN were refused"
    assert refused(with_secret(url, user="someone")) == "the credentials from the URL were refused"


def test_credentials_in_the_url_are_used_once_and_not_stored(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    assert "not stored" in towline("clone", with_secret(url)).err
    clone = towline.at(towline.folder / "team")
    assert clone.json("config", "url") == {"url": url}
    assert clone.json("pull", code=4)["error"]["url"] == url
    assert guarded.tally.requests


def test_credentials_come_from_the_environment(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    towline("clone", url, TOWLINE_USERNAME=USER, TOWLINE_PASSWORD=SECRET)
    clone = towline.at(towline.folder / "team")
    clone("pull", TOWLINE_USERNAME=USER, TOWLINE_TOKEN=SECRET)
    clone("pull", code=4, TOWLINE_USERNAME="someone", TOWLINE_PASSWORD=SECRET)
    assert guarded.tally.requests


def test_credentials_come_from_netrc(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    netrc = towline.home / ".netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {SECRET}\n")
    netrc.chmod(0o600)
    towline("clone", url)
    assert guarded.tally.requests


def test_credentials_come_from_git(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    (towline.home / ".git-credentials").write_text(f"{with_secret(guarded.url)}\n")
    (towline.home / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    towline("clone", url)
    assert files(towline.at(towline.folder / "team")) == BASE


class _Proxy(Quiet, BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(407)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_CONNECT = do_GET  # noqa: N815 - named by the protocol


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_requires_credentials(towline: Command, scheme: str):
    with http_server(_Proxy) as port:
        variables = {f"{scheme}_proxy": f"http://127.0.0.1:{port}"}
        ran = towline("clone", f"{scheme}://h.invalid/team.git", code=1, **variables)
    assert "the proxy requires credentials (HTTP 407)" in ran.err
    assert "https_proxy" in ran.err
    assert "TOWLINE_TOKEN" not in ran.err


def test_an_address_is_rewritten_as_git_is_configured(
    towline: Command, guarded: GitServer, repository: GitRepository, url: str
):
    repository.commit(BASE)
    base = with_secret(guarded.url)
    (towline.home / ".gitconfig").write_text(f'[url "{base}/"]\n\tinsteadOf = https://h.invalid/\n')
    towline("clone", f"https://h.invalid/{url.rpartition('/')[2]}")
    assert files(towline.at(towline.folder / "team")) == BASE


def test_a_url_with_a_secret_is_shown_without_it_wherever_it_lands(project: Command, url: str):
    secret = with_secret(url)
    for arguments in (["status", secret], ["diff", secret], ["apply", secret], ["log", secret]):
        ran = project(*arguments, code=1 if arguments[0] == "diff" else 2)
        assert ran.out == ""
        project.json(*arguments, code=ran.code)
    project("config", "url", secret)
    assert project.json("config", "url") == {"url": url}
    assert THEIRS
