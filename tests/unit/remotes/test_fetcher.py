from __future__ import annotations

import pytest

from towline.errors import RedirectRefused
from towline.remotes.credentials import Credential, fixed
from towline.remotes.fetcher import MAX_DETAIL, RemoteAddress, cleaned
from towline.remotes.url import RemoteUrl

TAIL = "/info/refs?service=git-upload-pack"
SECRET = Credential("u", "p")


def addresses(text: str = "https://h.example/old.git") -> RemoteAddress:
    return RemoteAddress(RemoteUrl.parse(text), SECRET, None)


def test_remote_text_is_made_fit_to_be_shown() -> None:
    assert cleaned("a\x1b[31mb\r\n\tc\x00\u202ed") == "a [31mb c d"
    assert len(cleaned("x" * 10_000)) == MAX_DETAIL


@pytest.mark.parametrize(
    ("target", "moved"),
    [
        (f"https://h.example/new.git{TAIL}", "https://h.example/new.git"),
        (f"https://H.example:443/new.git{TAIL}", "https://H.example:443/new.git"),
        (f"/new.git{TAIL}", "https://h.example/new.git"),
    ],
)
def test_redirects_within_the_origin(target: str, moved: str) -> None:
    found = addresses()
    found.follow(target)
    assert found.current.address == moved
    assert found.credential() == SECRET


@pytest.mark.parametrize(
    "target",
    [
        f"https://evil.example/new.git{TAIL}",
        f"https://h.example:444/new.git{TAIL}",
        f"http://h.example/new.git{TAIL}",
        f"//evil.example/new.git{TAIL}",
        f"https://h.example@evil.example/new.git{TAIL}",
        f"https://h.example.evil.example/new.git{TAIL}",
        f"https://h.example\\@evil.example/new.git{TAIL}",
        "ext::sh -c touch%20x",
        "file:///etc/passwd",
        "https:///x",
        "",
    ],
)
def test_redirects_elsewhere(target: str) -> None:
    found = addresses()
    with pytest.raises(RedirectRefused) as caught:
        found.follow(target)
    assert found.current == found.url
    assert caught.value.url == "https://h.example/old.git"


def test_an_upgrade_to_encryption_leaves_the_urls_credential_behind() -> None:
    found = addresses("http://h.example/old.git")
    assert found.credential() == SECRET
    found.follow(f"https://h.example/new.git{TAIL}")
    assert found.current.address == "https://h.example/new.git"
    assert found.credential() is None
    found.sources = fixed(SECRET)
    assert found.credential() == SECRET


def test_a_refusal_shows_no_credentials() -> None:
    with pytest.raises(RedirectRefused) as caught:
        addresses().follow(f"https://u:geheim@evil.example/x{TAIL}")
    assert "geheim" not in str(caught.value)
    assert "evil.example" in str(caught.value)
