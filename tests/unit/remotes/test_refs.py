from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from towline.errors import EmptyRepository, InvalidValue, RefNotFound
from towline.remotes.refs import WantedRef

ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40


def test_a_branch_before_a_tag_and_tags_peeled() -> None:
    wanted = WantedRef.parse("x")
    tags = {"refs/tags/x": ONE, "refs/tags/x^{}": TWO}
    assert wanted.choose("u", tags) == ("refs/tags/x", TWO)
    assert wanted.choose("u", {**tags, "refs/heads/x": THREE}) == ("refs/heads/x", THREE)


def test_nothing_to_choose() -> None:
    with pytest.raises(RefNotFound) as missing:
        WantedRef.parse("x").choose("u", {"refs/heads/y": ONE})
    assert type(missing.value) is RefNotFound
    with pytest.raises(EmptyRepository):
        WantedRef.parse("x").choose("u", {})
    with pytest.raises(EmptyRepository):
        WantedRef.parse(None).choose("u", {"refs/heads/y": ONE})


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
