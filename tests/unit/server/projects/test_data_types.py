"""Names of Codat's list for the kinds of a project."""

from __future__ import annotations

from typing import get_args

import pytest

from towline.errors import InvalidValue
from towline.kinds import Kind, Kinds
from towline_server.projects.data_types import DEFAULTS, DataType, DataTypes


def _types(**set_by_kind: str | None) -> DataTypes:
    return DataTypes.of(
        Kinds(
            tuple(
                Kind(name=name, globs=("**",), data_type=data_type)
                for name, data_type in set_by_kind.items()
            )
        )
    )


@pytest.mark.parametrize(
    ("kind", "data_type"),
    [
        ("invoice", "invoices"),
        ("invoices", "invoices"),
        ("Tax rate", "taxRates"),
        ("journal_entry", "journalEntries"),
        ("companies", "company"),
        ("banking-account", "banking-accounts"),
        ("rule", "rule"),
    ],
)
def test_a_default_is_what_the_name_resembles(kind: str, data_type: str):
    types = _types(**{kind: None})
    assert types.of_kind(kind) == data_type
    assert types.kind_of(data_type) == types.kind_of(kind) == kind


def test_every_data_type_is_the_default_of_its_own_name():
    assert sorted(DEFAULTS.values()) == sorted(get_args(DataType))


def test_two_kinds_never_go_by_one_name():
    assert _types(invoice=None, invoices=None).by_kind == {
        "invoice": "invoice",
        "invoices": "invoices",
    }
    assert _types(bill="invoices", invoice=None).by_kind == {
        "bill": "invoices",
        "invoice": "invoice",
    }
    for wrong in ({"a": "bills", "b": "bills"}, {"a": "bills", "bills": None}):
        with pytest.raises(InvalidValue, match="the same data type"):
            _types(**wrong)
