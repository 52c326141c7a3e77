"""Values to JSON and back."""

import json

import pytest

from towline.codec import decode, encode
from towline.conflicts import Conflict, ConflictKind, Party
from towline.errors import InvalidValue
from towline.model import AssetId, AssetPath, AssetState, Digest, ThreeWay

STATE = AssetState(path=AssetPath("a"), digest=Digest.of(b"1"), executable=True)
CONFLICT = Conflict(
    kind=ConflictKind.MODIFY_DELETE,
    parties=(Party(asset_id=AssetId("1" * 24), kind="file", states=ThreeWay(STATE, STATE, None)),),
    blockers=(AssetPath("b"),),
)


def test_a_conflict_with_its_three_states_comes_back():
    assert decode(Conflict, json.loads(json.dumps(encode(CONFLICT)))) == CONFLICT


def test_a_side_of_another_form_is_refused():
    body = encode(CONFLICT)
    body["parties"][0]["states"]["theirs"] = 3
    with pytest.raises(InvalidValue) as caught:
        decode(Conflict, body, "plan")
    assert caught.value.field == "plan.parties[0].states.theirs"
