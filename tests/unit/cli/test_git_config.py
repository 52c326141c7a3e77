from __future__ import annotations

from pathlib import Path

import pytest

from towline_cli.git_config import has_credential_helper, resolve_url, start_reading

CONFIG = """\
[url "https://mirror.example/"]
\tinsteadOf = https://h.example/
[url "git@h.example:"]
\tinsteadOf = https://h.example/team/
[http]
\tsslCAInfo = ~/ca.pem
[http "https://mirror.example"]
\tproxy = http://proxy.example:3128
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.delenv("GIT_SSL_CAINFO", raising=False)
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    return tmp_path


def test_without_settings_nothing_changes() -> None:
    url, environment = resolve_url("https://h.example/a.git", start_reading()())
    assert url == "https://h.example/a.git"
    assert "https_proxy" not in environment


@pytest.mark.parametrize(
    ("url", "used", "proxied"),
    [
        ("https://h.example/a.git", "https://mirror.example/a.git", True),
        ("https://h.example/team/a.git", "git@h.example:a.git", False),
        ("https://other.example/a.git", "https://other.example/a.git", False),
    ],
)
def test_the_users_settings_count(home: Path, url: str, used: str, proxied: bool) -> None:
    (home / ".gitconfig").write_text(CONFIG)
    found, environment = resolve_url(url, start_reading()())
    assert found == used
    assert ("https_proxy" in environment) is proxied
    if used.startswith("https"):
        assert environment["GIT_SSL_CAINFO"] == str(home / "ca.pem")


@pytest.mark.parametrize(
    ("pattern", "asked"),
    [
        (None, True),
        ("https://h.example", True),
        ("https://me@H.example:8443/team", True),
        ("https://*.example", True),
        ("h.example", True),
        ("https://", True),
        ("https://other.example", False),
    ],
)
def test_a_helper_of_another_host_is_not_asked(home: Path, pattern: str | None, asked: bool):
    section = "credential" if pattern is None else f'credential "{pattern}"'
    (home / ".gitconfig").write_text(f"[{section}]\n\thelper = !false\n")
    assert has_credential_helper(start_reading()(), "https://h.example/team/a.git") is asked
