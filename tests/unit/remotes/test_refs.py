from __future__ import annotations

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from towline.errors import EmptyRepository, InvalidValue, RefNotFound
from towline.remotes.refs import WantedRef

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
