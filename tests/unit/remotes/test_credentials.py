from __future__ import annotations

import os
from pathlib import Path

import pytest

from towline.remotes.credentials import (
    TOKEN_USERNAME,
    Credential,
    first_of,
    fixed,
    from_git_credential,
    from_mapping,
    from_netrc,
)
from towline.remotes.url import RemoteUrl

URL = RemoteUrl.parse("https://h.example:8443/team/a.git")


def test_a_credential_hides_itself() -> None:
    credential = Credential("token-geheim", "pass-geheim")
    assert "geheim" not in f"{credential} {credential!r}"
    assert credential.basic == "Basic dG9rZW4tZ2VoZWltOnBhc3MtZ2VoZWlt"


@pytest.mark.parametrize(
    ("variables", "credential"),
    [
        ({}, None),
        ({"TOWLINE_TOKEN": ""}, None),
        ({"TOWLINE_TOKEN": "t"}, Credential(TOKEN_USERNAME, "t")),
        ({"TOWLINE_TOKEN": "t", "TOWLINE_USERNAME": "u"}, Credential("u", "t")),
        ({"TOWLINE_USERNAME": "u", "TOWLINE_PASSWORD": "p"}, Credential("u", "p")),
        ({"TOWLINE_USERNAME": "u"}, None),
    ],
)
def test_from_a_mapping(variables: dict[str, str], credential: Credential | None) -> None:
    assert from_mapping(variables)(URL) == credential


def test_from_netrc(tmp_path: Path) -> None:
    path = tmp_path / "netrc"
    assert from_netrc(path)(URL) is None
    path.write_text("machine other login x password y\n")
    assert from_netrc(path)(URL) is None
    path.write_text("machine h.example login u password p\n")
    assert from_netrc(path)(URL) == Credential("u", "p")
    path.write_text("machine h.example geheim\n")
    assert from_netrc(path)(URL) is None, "a malformed one stops no public clone"


def test_the_first_that_knows() -> None:
    one, other = Credential("1", "1"), Credential("2", "2")
    assert first_of(lambda _: None, fixed(one), fixed(other))(URL) == one
    assert first_of()(URL) is None


def _environment(folder: Path, helper: str) -> dict[str, str]:
    config = folder / "gitconfig"
    config.write_text(f"[credential]\n\thelper = {helper}\n\tuseHttpPath = true\n")
    return {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": str(config), "HOME": str(folder)}


def test_from_gits_helpers(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    helper = f'"!f() {{ cat > {asked}; echo username=u; echo password=p; }}; f"'
    source = from_git_credential("git", _environment(tmp_path, helper))
    assert source(URL) == Credential("u", "p")
    lines = asked.read_text().splitlines()
    assert {"protocol=https", "host=h.example:8443", "path=team/a.git"} <= set(lines)


def test_gits_helpers_know_nothing(tmp_path: Path) -> None:
    """Nothing prompts: the askpass programs of the environment are not run either."""
    trap = tmp_path / "asked"
    askpass = tmp_path / "askpass"
    askpass.write_text(f"#!/bin/sh\ntouch {trap}\necho geheim\n")
    askpass.chmod(0o755)
    environment = _environment(tmp_path, "")
    environment |= {"GIT_ASKPASS": str(askpass), "SSH_ASKPASS": str(askpass), "DISPLAY": ":0"}
    assert from_git_credential("git", environment)(URL) is None
    assert not trap.exists()
    assert from_git_credential(str(tmp_path / "no-git"), environment)(URL) is None
