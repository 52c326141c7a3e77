"""Limits, and how a caller sets them."""

from __future__ import annotations

import pytest

from towline.errors import InvalidValue
from towline.limits import MIB, Limits


def test_the_defaults():
    limits = Limits()
    assert (limits.assets, limits.tree_entries, limits.depth) == (1_000, 20_000, 50)
    assert (limits.name_bytes, limits.path_bytes) == (255, 1_024)
    sizes = (limits.asset_bytes, limits.project_bytes, limits.pack_bytes)
    assert sizes == (5 * MIB, 50 * MIB, 100 * MIB)
    assert (limits.connect_seconds, limits.idle_seconds, limits.total_seconds) == (5, 10, 300)


def test_settings_in_either_spelling():
    assert Limits().with_settings(["assets=7", "asset-bytes=8", "pack_bytes = 9"]) == Limits(
        assets=7, asset_bytes=8, pack_bytes=9
    )
    assert Limits(assets=3).with_settings([]) == Limits(assets=3)


def test_no_deletion_at_all_can_be_asked_for():
    assert Limits().with_settings(["deletes=0"]).deletes == 0


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ("asets=7", "limit"),
        ("=7", "limit"),
        ("assets", "limit assets"),
        ("assets=", "limit assets"),
        ("assets=0", "limit assets"),
        ("assets=-1", "limit assets"),
        ("assets=1.5", "limit assets"),
        ("assets=many", "limit assets"),
        ("assets=٣", "limit assets"),
        ("deletes=-1", "limit deletes"),
    ],
)
def test_a_setting_that_is_none_is_refused(setting: str, field: str):
    with pytest.raises(InvalidValue) as caught:
        Limits().with_settings([setting])
    assert caught.value.field == field
