"""Saved resolutions as values: what they refuse, and for which states they hold."""

import pytest

from towline.codec import decode, encode
from towline.errors import InvalidValue
from towline.model import AssetId, ThreeWay
from towline.options import Side
from towline.resolutions import MAX_CONTENT_BYTES, SavedResolution
from towline.testing.plans import state_of

BASE, OURS, THEIRS = (state_of("a", content) for content in (b"1", b"2", b"3"))


STATES = ThreeWay(BASE, OURS, THEIRS)


def saved(states=STATES, **choice):
    return SavedResolution(asset_id=AssetId("a"), states=states, **choice)


@pytest.mark.parametrize(
    ("choice", "problem"),
    [
        ({}, "must be a side, a content, or fields"),
        ({"side": Side.OURS, "content": b""}, "must be a side, a content, or fields"),
        ({"side": Side.OURS, "states": ThreeWay(None, None, None)}, "must not all be absent"),
        ({"content": b"x" * (MAX_CONTENT_BYTES + 1)}, "exceed the limit of 5242880"),
        ({"fields": (("a", Side.OURS),)}, "'a' is not a JSON pointer"),
        ({"fields": (("/a", Side.OURS), ("/a", Side.THEIRS))}, "lists the same pointer twice"),
    ],
)
def test_a_choice_that_is_none_is_refused(choice, problem):
    with pytest.raises(InvalidValue, match=problem):
        saved(**choice)


@pytest.mark.parametrize(
    "choice", [{"side": Side.THEIRS}, {"content": b"\xff"}, {"fields": (("", Side.OURS),)}]
)
def test_it_is_encoded_and_decoded(choice):
    value = saved(ThreeWay(None, OURS, THEIRS), **choice)
    assert decode(SavedResolution, encode(value)) == value


def test_the_sides_that_moved_are_named():
    value = saved(side=Side.OURS)
    assert value.moved(STATES) == ()
    assert value.moved(ThreeWay(None, OURS, state_of("a", b"3", executable=True))) == (
        "base",
        "theirs",
    )


def test_its_identity_is_that_of_its_choice_and_states():
    one = saved(content=b"4")
    assert one.identity == saved(content=b"4").identity
    others = [saved(content=b"5"), saved(ThreeWay(None, OURS, THEIRS), content=b"4")]
    assert one.identity not in [other.identity for other in others]
