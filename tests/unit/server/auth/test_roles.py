"""Who may do what."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from uuid import UUID, uuid4

import pytest

from towline_server.auth.roles import (
    Principal,
    PrincipalKind,
    Role,
    authorise,
    authorise_tenant,
)
from towline_server.errors import Forbidden, NotFound

TENANT, STRANGER = uuid4(), uuid4()
LEVELS = (None, *Role)


@dataclass
class Thing:
    id: UUID
    tenant_id: UUID


THING = Thing(uuid4(), TENANT)


def _principal(tenant: UUID, whole: Role | None, one: Role | None) -> Principal:
    return Principal(
        id=uuid4(),
        tenant_id=tenant,
        kind=PrincipalKind.USER,
        name="demo",
        tenant_role=whole,
        project_roles={} if one is None else {THING.id: one},
    )


def _answer(function, *arguments) -> str:
    try:
        function(*arguments)
    except (NotFound, Forbidden) as error:
        return error.code
    return "granted"


@pytest.mark.parametrize(("whole", "one", "needed"), list(product(LEVELS, LEVELS, Role)))
def test_the_higher_role_counts(whole, one, needed):
    ranks = [LEVELS.index(role) for role in (whole, one)]
    expected = "not_found"
    if max(ranks) > 0:
        expected = "granted" if max(ranks) >= LEVELS.index(needed) else "forbidden"
    assert _answer(authorise, _principal(TENANT, whole, one), THING, needed) == expected


@pytest.mark.parametrize(("whole", "one", "needed"), list(product(LEVELS, LEVELS, Role)))
def test_no_role_reaches_into_another_tenant(whole, one, needed):
    assert _answer(authorise, _principal(STRANGER, whole, one), THING, needed) == "not_found"


def test_missing_and_foreign_are_the_same_error():
    caller = _principal(STRANGER, Role.ADMIN, None)
    errors = []
    for thing in (None, THING):
        with pytest.raises(NotFound) as refused:
            authorise(caller, thing, Role.READER)
        errors.append((refused.value.message, refused.value.data()))
    assert errors[0] == errors[1]


@pytest.mark.parametrize(("whole", "needed"), list(product(LEVELS, Role)))
def test_things_of_the_tenant_need_a_tenant_wide_role(whole, needed):
    expected = "not_found"
    if whole is not None:
        expected = "granted" if whole.covers(needed) else "forbidden"
    mine = _principal(TENANT, whole, Role.ADMIN)
    assert _answer(authorise_tenant, mine, THING, needed, "connection") == expected
    foreign = _principal(STRANGER, whole, Role.ADMIN)
    assert _answer(authorise_tenant, foreign, THING, needed, "connection") == "not_found"
    assert _answer(authorise_tenant, mine, None, needed, "connection") == "not_found"
