"""A frozen class is what ``dataclass(frozen=True, slots=True)`` makes."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any, Generic, TypeVar, get_type_hints

import pytest

from towline.frozen import frozen

T = TypeVar("T")


def _classes(make: Callable[..., Any]) -> list[type]:
    """The same classes, made by one decorator."""

    @make
    class Plain:
        """Of positions and defaults."""

        a: int
        b: str = "b"

    @make
    class Below(Plain):
        """Of inherited fields."""

        c: tuple[int, ...] = (1,)

    @make(kw_only=True)
    class Named:
        """Of names, in any order."""

        a: int = 0
        b: str
        items: list[int] = field(default_factory=list)
        hidden: str = field(default="x", repr=False, compare=False)

    @make
    class Checked:
        """Of what it checks and derives."""

        a: int
        b: str = ""
        twice: int = field(init=False)
        fixed: int = field(init=False, default=3)

        def __post_init__(self) -> None:
            if self.a < 0:
                raise ValueError(self.a)
            object.__setattr__(self, "twice", 2 * self.a)

        def __repr__(self) -> str:
            return "mine"

    @make
    class Empty:
        """Of nothing."""

    return [Plain, Below, Named, Checked, Empty]


def _standard(cls: type | None = None, /, **options: Any) -> Any:
    return dataclass(cls, frozen=True, slots=True, **options)


PAIRS = list(zip(_classes(frozen), _classes(_standard), strict=True))
FILLED = [pair for pair in PAIRS if fields(pair[0])]
by_name = pytest.mark.parametrize(("ours", "standard"), PAIRS, ids=[o.__name__ for o, _ in PAIRS])
filled = pytest.mark.parametrize(("ours", "standard"), FILLED, ids=[o.__name__ for o, _ in FILLED])


@by_name
def test_it_has_the_fields_and_the_signature(ours: Any, standard: Any):
    assert str(inspect.signature(ours)) == str(inspect.signature(standard))
    assert get_type_hints(ours.__init__) == get_type_hints(standard.__init__)
    assert [str(f) for f in fields(ours)] == [str(f) for f in fields(standard)]
    assert ours.__slots__ == standard.__slots__
    assert ours.__match_args__ == standard.__match_args__


@filled
def test_values_are_equal_and_shown_alike(ours: Any, standard: Any):
    assert repr(ours(a=1, b="q")) == repr(standard(a=1, b="q"))
    assert ours(a=1, b="q") == ours(a=1, b="q")
    assert ours(a=1, b="q") != ours(a=2, b="q")
    assert ours(a=1, b="q") != standard(a=1, b="q")
    assert replace(ours(a=1, b="q"), a=2) == ours(a=2, b="q")


@by_name
@pytest.mark.parametrize("wrong", [{"a": 1, "z": 2}, {"b": "x", "z": 1}])
def test_wrong_arguments_are_refused_alike(ours: Any, standard: Any, wrong: dict[str, Any]):
    for each in (ours, standard):
        with pytest.raises(TypeError):
            each(**wrong)


@filled
def test_it_cannot_be_changed(ours: Any, standard: Any):
    for value in (ours(a=1, b="q"), standard(a=1, b="q")):
        with pytest.raises(FrozenInstanceError):
            value.a = 3
        with pytest.raises(FrozenInstanceError):
            del value.a
        assert value.a == 1


def test_hashes_are_those_of_the_fields_that_are_compared():
    plain, standard = PAIRS[0]
    assert hash(plain(1, "q")) == hash(standard(1, "q"))
    with pytest.raises(TypeError, match="unhashable"):
        hash(PAIRS[2][0](b="q"))


def test_one_field_is_compared_as_several_are():
    @frozen
    class One:
        """Of one field."""

        a: float

    not_a_number = float("nan")
    assert One(not_a_number) == One(not_a_number)
    assert hash(One(1.5)) == hash((1.5,))


def test_what_is_not_compared_and_what_a_function_makes():
    named = PAIRS[2][0]
    assert named(b="q", hidden="y") == named(b="q")
    assert named(b="q").items == []
    assert named(b="q").items is not named(b="q").items
    with pytest.raises(TypeError):
        named(1, "q")


def test_a_value_checks_itself_and_derives():
    checked = PAIRS[3][0]
    assert (checked(2).twice, checked(2).fixed, repr(checked(2))) == (4, 3, "mine")
    with pytest.raises(ValueError, match="-1"):
        checked(-1)


@frozen
class Pair(Generic[T]):
    """Of a parameter."""

    first: T
    second: T


def test_a_value_is_copied_and_pickled():
    value = Pair([1], [2])
    for copied in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
        assert copied == value
    assert Pair[int](1, 2) == Pair(1, 2)


def test_a_method_of_the_class_itself_stays():
    @frozen
    class Same:
        """Equal to all."""

        a: int

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Same)

        def __hash__(self) -> int:
            return 1

    assert Same(1) == Same(2)
    assert hash(Same(7)) == 1
