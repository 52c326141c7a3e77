from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.errors import EmptyRepository, InvalidValue, RefNotFound
from towline.remotes.credentials import Credential
from towline.remotes.url import RemoteUrl, Scheme, WantedRef


@pytest.mark.parametrize(
    ("text", "address", "scheme", "host", "port", "path"),
    [
        ("https://h.example/a/b.git", None, "https", "h.example", None, "/a/b.git"),
        ("HTTPS://H.example:8443/a", "https://H.example:8443/a", "https", "H.example", 8443, "/a"),
        ("https://h.example", "https://h.example/", "https", "h.example", None, "/"),
        ("http://127.0.0.1:80/x y", None, "http", "127.0.0.1", 80, "/x y"),
        ("http://[::1]:8080/a", None, "http", "::1", 8080, "/a"),
        ("ssh://git@h.example:2222/~u/a", None, "ssh", "h.example", 2222, "/~u/a"),
        ("git+ssh://git@h/a", "ssh://git@h/a", "ssh", "h", None, "/a"),
        ("git@h.example:team/a.git", None, "ssh", "h.example", None, "team/a.git"),
        ("h.example:a", None, "ssh", "h.example", None, "a"),
        ("git@[::1]:a", None, "ssh", "::1", None, "a"),
        ("file:///srv/a%20b", None, "file", "", None, "/srv/a b"),
        ("file://localhost/srv/a", "file:///srv/a", "file", "", None, "/srv/a"),
        ("/srv/a b:c", None, "file", "", None, "/srv/a b:c"),
        ("../a", None, "file", "", None, "../a"),
        ("./odd:name", None, "file", "", None, "./odd:name"),
    ],
)
def test_addresses(
    text: str, address: str | None, scheme: str, host: str, port: int | None, path: str
) -> None:
    url = RemoteUrl.parse(text)
    assert url.address == str(url) == (address or text)
    assert (url.scheme, url.host, url.port, url.path) == (scheme, host, port, path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-x",
        "--upload-pack=touch /tmp/x",
        "ext::sh -c touch% /tmp/x",
        "fd::3",
        "http::https://h/a",
        "git://h/a",
        "ftp://h/a",
        "rsync://h/a",
        "https:///a",
        "https://:80/a",
        "https://-h/a",
        "https://h:port/a",
        "https://h:0/a",
        "https://h:65536/a",
        "https://h h/a",
        "https://h\\x/a",
        "https://[::1/a",
        "https://[x]/a",
        "https://h/a\nb",
        "https://h%0ahost=evil/a",
        "https://h/a%0ab",
        "https://h/a\0",
        "https://h/a\udcff",
        "/srv/a\udcff.git",
        "ssh://-oProxyCommand=x/a",
        "ssh://h/-a",
        "ssh://-l@h/a",
        "-oProxyCommand=x:a",
        "git@-oProxyCommand=x:a",
        "git@h:-a",
        "https:/u:geheim@h/a",
        "https://u:gehe/im@h/a",
        "https://u:1/geheim@h/a",
        "u:geheim@h:a",
        "file://h/a",
        "file://a",
        "file://u@/a",
    ],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        RemoteUrl.parse(text)
    assert caught.value.field == "url"


@pytest.mark.parametrize(
    ("text", "credential"),
    [
        ("https://u:p@h/a", Credential("u", "p")),
        ("https://u%40x:p%3Aq%2F@h/a", Credential("u@x", "p:q/")),
        ("https://u:p@q@h/a", Credential("u", "p@q")),
        ("https://token@h/a", Credential("token", "")),
        ("http://:p@h:81/a", Credential("", "p")),
        ("https://h/a%40b", None),
        ("ssh://git:geheim@h/a", None),
        ("git@h:a", None),
    ],
)
def test_credentials_are_split_off(text: str, credential: Credential | None) -> None:
    url, found = RemoteUrl.split(text)
    assert found == credential
    assert RemoteUrl.parse(str(url)) == url, "an address is its own"
    assert "geheim" not in repr(url)


@pytest.mark.parametrize(
    "text",
    [
        "https://h/a.git?private_token=geheim",
        "https://h/a.git?geheim",
        "https://h/a.git#access_token=geheim",
        "https://h/a.git;private-token=geheim",
        "https://h/token%3Dgeheim/a.git",
        "ssh://git@h/a?key=geheim",
        "git@h:a?password=geheim",
    ],
)
def test_parameters_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(InvalidValue, match="parameters") as caught:
        RemoteUrl.parse(text)
    assert "geheim" not in f"{caught.value} {caught.value!r}"


def test_the_login_of_ssh_stays() -> None:
    assert str(RemoteUrl.parse("ssh://git:geheim@h/a")) == "ssh://git@h/a"
    assert RemoteUrl.parse("git@h:a").user == "git"


def test_only_what_is_allowed() -> None:
    server = frozenset([Scheme.HTTPS])
    assert RemoteUrl.parse("https://h/a", server).host == "h"
    for text in ("http://h/a", "git@h:a", "/srv/a", "file:///a", "ssh://h/a"):
        with pytest.raises(InvalidValue, match="not allowed"):
            RemoteUrl.parse(text, server)


def test_origins() -> None:
    def origin(text: str) -> object:
        return RemoteUrl.parse(text).origin

    assert origin("https://H.example/a") == origin("https://h.example:443/b")
    assert origin("https://h/a") != origin("http://h/a")
    assert origin("https://h/a") != origin("https://h:444/a")
    assert origin("git@h:a") == origin("ssh://h:22/a")


@given(st.text(max_size=40) | st.from_regex(r"[a-z+]{1,5}:/?/?[^\n]{0,20}", fullmatch=True))
def test_any_text_is_an_address_or_an_error(text: str) -> None:
    try:
        url = RemoteUrl.parse(text)
    except InvalidValue:
        return
    assert not url.address.startswith("-")
    assert url.address.isprintable() or not url.address.isascii()
    assert RemoteUrl.parse(url.address) == url


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=20))
def test_no_error_repeats_a_password(password: str) -> None:
    for text in (f"https://user:{password}@h/a", f"https:/user:{password}@h/a"):
        try:
            shown = repr(RemoteUrl.parse(text))
        except InvalidValue as error:
            shown = f"{error} {error!r}"
        assert password not in shown


ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40


def test_a_branch_before_a_tag_and_tags_peeled() -> None:
    wanted = WantedRef.parse("x")
    tags = {"refs/tags/x": ONE, "refs/tags/x^{}": TWO}
    assert wanted.choose(tags) == ("refs/tags/x", TWO)
    assert wanted.choose({**tags, "refs/heads/x": THREE}) == ("refs/heads/x", THREE)


def test_nothing_to_choose() -> None:
    assert WantedRef.parse("x").choose({"refs/heads/y": ONE}) is None
    assert type(WantedRef.parse("x").missing("u", empty=False)) is RefNotFound
    assert type(WantedRef.parse("x").missing("u", empty=True)) is EmptyRepository
    assert type(WantedRef.parse(None).missing("u", empty=False)) is EmptyRepository


@given(st.text(st.sampled_from("ab/.@{~^:?*[\\ -\x7f\n\té") | st.characters(), max_size=8))
@settings(max_examples=60)
def test_git_would_take_what_is_taken(text: str) -> None:
    try:
        wanted = WantedRef.parse(text)
    except InvalidValue:
        return
    for name in wanted.names:
        if name != "HEAD" and text.isprintable():
            command = ["git", "check-ref-format", name]
            assert subprocess.run(command, check=False).returncode == 0, name
