"""Identities: made, found by what they prove themselves with, refused when they must be."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select

from tests.control_plane import PASSWORD
from towline.errors import InvalidValue
from towline_server.auth.identities import Identities
from towline_server.auth.roles import PrincipalKind, Role
from towline_server.auth.tables import IdentityRow
from towline_server.errors import AlreadyExists, NotFound
from towline_server.projects.service import utc_now


@pytest.fixture
def identities(services, demo, other):
    with services.database.writing() as session:
        yield services.identities(session)


def test_a_key_is_stored_as_its_hash_alone(services, demo):
    with services.database.writing() as session:
        identities = services.identities(session)
        made, key = identities.create_key(tenant_id=demo.tenant_id, name="demo key")
        row = session.scalar(select(IdentityRow).where(IdentityRow.id == made.id))
        assert row is not None
        assert row.key_sha256 == hashlib.sha256(key.encode()).hexdigest()
        stored = [getattr(row, column.key) for column in IdentityRow.__mapper__.columns]
        assert not any(key in str(value) for value in stored)
        assert len(key) >= 43
        found = identities.by_key(key)
    assert found is not None
    assert (found.id, found.kind) == (made.id, PrincipalKind.API_KEY)
    assert key.startswith(str(made.key_hint))
    assert len(str(made.key_hint)) == 8


def test_no_two_keys_are_alike(services, demo, identities):
    keys = {identities.create_key(tenant_id=demo.tenant_id, name="k")[1] for _ in range(20)}
    assert len(keys) == 20


def test_a_wrong_disabled_or_expired_key_is_nobodys(services, demo, identities):
    made, key = identities.create_key(tenant_id=demo.tenant_id, name="k")
    assert identities.by_key(key[:-1]) is None
    assert identities.by_key("") is None
    identities.disable(made.id)
    assert identities.by_key(key) is None
    identities.enable(made.id)
    assert identities.by_key(key) is not None
    tomorrow = utc_now() + timedelta(days=1)
    _, brief = identities.create_key(tenant_id=demo.tenant_id, name="k", expires_at=tomorrow)
    assert identities.by_key(brief) is not None
    later = Identities(identities._session, identities._passwords, lambda: tomorrow)
    assert later.by_key(brief) is None


def test_roles_come_with_the_principal(demo, identities):
    found = identities.by_key(demo.keys[Role.WRITER])
    assert found.project_roles == {demo.project.id: Role.WRITER}
    assert found.tenant_role is None
    identities.set_tenant_role(found.id, Role.ADMIN)
    identities.grant(found.id, demo.project, Role.READER)
    changed = identities.by_key(demo.keys[Role.WRITER])
    assert (changed.tenant_role, changed.role_on(demo.project.id)) == (Role.ADMIN, Role.ADMIN)
    identities.set_tenant_role(found.id, None)
    identities.revoke(found.id, demo.project.id)
    assert identities.by_key(demo.keys[Role.WRITER]).role_on(demo.project.id) is None


def test_no_role_is_granted_across_tenants(demo, other, identities):
    with pytest.raises(NotFound):
        identities.grant(demo.ids[Role.ADMIN], other.project, Role.READER)


def test_a_subject_names_whom_it_was_set_for_else_an_id(demo, identities):
    by_id = identities.by_subject(str(demo.user_id))
    assert by_id.id == demo.user_id
    made = identities.create_user(
        tenant_id=demo.tenant_id, email="a@demo.example", password=PASSWORD, subject="auth|7"
    )
    assert identities.by_subject("auth|7").id == made.id
    # Where a subject was set, the id is no subject.
    assert identities.by_subject(str(made.id)) is None
    assert identities.by_subject("unknown") is None
    assert identities.by_subject(str(uuid4())) is None


def test_a_token_cannot_name_an_api_key(demo, identities):
    assert identities.by_subject(str(demo.ids[Role.ADMIN])) is None


def test_an_email_is_one_in_upper_and_lower_case(demo, other, identities):
    account = identities.by_email(demo.email.upper())
    assert account.principal.id == demo.user_id
    with pytest.raises(AlreadyExists):
        identities.create_user(
            tenant_id=other.tenant_id, email=demo.email.title(), password=PASSWORD
        )


def test_a_disabled_user_has_no_account(demo, identities):
    identities.disable(demo.user_id)
    assert identities.by_email(demo.email) is None
    assert identities.by_subject(str(demo.user_id)) is None


@pytest.mark.parametrize(
    "email", ["", "a", "a@", "@b", "a:b@c", "a b@c", "a\n@c", "a" * 320 + "@b"]
)
def test_what_is_no_email_is_refused(demo, identities, email):
    with pytest.raises(InvalidValue, match="email"):
        identities.create_user(tenant_id=demo.tenant_id, email=email, password=PASSWORD)


@pytest.mark.parametrize("password", ["", "too short", "x" * 1025])
def test_a_bad_password_is_refused_and_not_repeated(demo, identities, password):
    with pytest.raises(InvalidValue) as refused:
        identities.set_password(demo.user_id, password)
    assert not password or password not in refused.value.message


def test_service_accounts_log_in_only_with_a_password(demo, identities):
    quiet = identities.create_service_account(tenant_id=demo.tenant_id, name="robot")
    with pytest.raises(InvalidValue):
        identities.set_password(quiet.id, PASSWORD)
    identities.create_service_account(
        tenant_id=demo.tenant_id, name="robot", login=("robot@demo.example", PASSWORD)
    )
    account = identities.by_email("robot@demo.example")
    assert account.principal.kind is PrincipalKind.SERVICE_ACCOUNT


def test_unknown_ids_are_not_found(identities):
    for act in (identities.disable, identities.enable):
        with pytest.raises(NotFound):
            act(uuid4())
