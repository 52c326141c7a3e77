"""Values to JSON and back."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given

from tests.laws.merging import SKIP, attempt
from towline.codec import decode, encode
from towline.errors import InvalidValue, TowlineError
from towline.limits import Limits
from towline.model import AssetId, AssetPath, AssetState, Digest, NonAsset, NonAssetReason
from towline.options import OnConflict, PullOptions, Renames, Resolutions, Selection
from towline.plan import Edit, Item, Plan
from towline.records import AssetRecord
from towline.testing.choices import pull_options, resolved_sides
from towline.testing.sides import ThreeSides
from towline.testing.strategies import three_sides

A = AssetState(path=AssetPath("a"), digest=Digest("0" * 40))
RECORD = AssetRecord(
    id=AssetId("f" * 24),
    kind="file",
    base=None,
    ours=A,
    recorded=NonAsset(path=AssetPath("a"), reason=NonAssetReason.SYMLINK),
)


def there_and_back(kind: type, value: object) -> object:
    return decode(kind, json.loads(json.dumps(encode(value))))


@given(resolved_sides(three_sides()), pull_options())
def test_a_plan_comes_back_as_it_was(project: tuple[ThreeSides, Resolutions], options: PullOptions):
    sides, chosen = project
    plan = attempt(sides, chosen, options)
    if not isinstance(plan, TowlineError):
        plan = replace(plan, merged=((Digest.of(b"\0\xff"), b"\0\xff"),))
        assert there_and_back(Plan, plan) == plan


@given(three_sides())
def test_a_record_comes_back_as_it_was(sides: ThreeSides):
    for record in sides.records:
        assert there_and_back(AssetRecord, record) == record


def test_a_plan_with_conflicts_comes_back():
    """Their states are generic, which was once not understood: the log could not be read."""
    theirs = replace(A, digest=Digest("1" * 40))
    record = replace(RECORD, recorded=None)
    from towline.changes import RemoteAsset

    sides = ThreeSides(
        records=(record,), base={}, theirs={AssetPath("a"): RemoteAsset(state=theirs)}
    )
    plan = attempt(sides, options=SKIP)
    assert isinstance(plan, Plan)
    assert plan.conflicts
    assert there_and_back(Plan, plan) == plan


def test_defaults_are_left_out():
    assert encode(A) == {"path": "a", "digest": "0" * 40}
    assert encode(Limits()) == {}
    assert encode(Edit(before=None, after=None)) == {"before": None, "after": None}


def test_a_field_that_is_absent_has_its_default():
    assert decode(Limits, {"assets": 7}) == Limits(assets=7)
    assert decode(PullOptions, {}) == PullOptions()


def test_a_renamed_field_is_read_by_its_former_name():
    stored = encode(RECORD)
    assert decode(AssetRecord, {"seen": stored.pop("recorded"), **stored}) == RECORD


def test_sets_and_enums_come_back():
    options = PullOptions(
        on_conflict=OnConflict.SKIP,
        only=Selection(kinds=frozenset(["b", "a"]), globs=("x/**",)),
        renames=Renames.OFF,
    )
    encoded = encode(options)
    assert encoded["only"] == {"kinds": ["a", "b"], "globs": ["x/**"]}
    assert there_and_back(PullOptions, options) == options


def test_a_uuid_is_text():
    assert encode((UUID(int=1),)) == [str(UUID(int=1))]
    assert there_and_back(tuple[UUID, ...], (UUID(int=1),)) == (UUID(int=1),)


STATE = {"path": "a", "digest": "0" * 40}


@pytest.mark.parametrize(
    ("kind", "data", "where"),
    [
        (AssetState, {"path": "a"}, "value"),
        (AssetState, {**STATE, "mode": 1}, "value"),
        (AssetState, [], "value"),
        (AssetState, {**STATE, "path": ".git/config"}, "value.path"),
        (AssetState, {**STATE, "path": "../a"}, "value.path"),
        (AssetState, {**STATE, "path": 1}, "value.path"),
        (AssetState, {**STATE, "digest": "0" * 39}, "value.digest"),
        (AssetState, {**STATE, "executable": 1}, "value.executable"),
        (AssetState, {**STATE, "executable": "true"}, "value.executable"),
        (Limits, {"assets": True}, "value.assets"),
        (Limits, {"assets": 1.0}, "value.assets"),
        (PullOptions, {"on_conflict": "perhaps"}, "value.on_conflict"),
        (PullOptions, {"only": {"globs": "a"}}, "value.only.globs"),
        (PullOptions, {"only": {"globs": ["a", 1]}}, "value.only.globs[1]"),
        (tuple[Digest, bytes], ["0" * 40], "value"),
        (tuple[UUID, ...], ["0"], "value[0]"),
        (tuple[Digest, bytes], ["0" * 40, "no base64!"], "value[1]"),
        (AssetState | None, {"neither": 1}, "value"),
        (AssetState | NonAsset | None, {"path": "a"}, "value"),
        (Item, None, "value"),
    ],
)
def test_another_form_is_refused_and_the_error_says_where(kind: type, data: object, where: str):
    with pytest.raises(InvalidValue) as caught:
        decode(kind, data)
    assert caught.value.field == where
