"""One answer for each way to prove who is calling."""

from __future__ import annotations

import jwt
import pytest

from tests.control_plane import AUDIENCE, ISSUER, JWT_SECRET, PASSWORD, START, Clock
from towline_server.auth.authenticator import Authenticator, LoginLimits
from towline_server.auth.passwords import FailureLimit
from towline_server.auth.roles import Role
from towline_server.auth.tokens import SharedSecret, TokenVerifier
from towline_server.errors import TooManyRequests, Unauthenticated


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authenticator(services, clock) -> Authenticator:
    return Authenticator(
        database=services.database,
        passwords=services.passwords,
        logins=LoginLimits(
            account_from_address=FailureLimit(2, 300, clock),
            account=FailureLimit(4, 300, clock),
            address=FailureLimit(6, 300, clock),
        ),
        tokens=TokenVerifier(
            keys=SharedSecret(JWT_SECRET.encode()), issuer=ISSUER, audience=AUDIENCE, clock=clock
        ),
    )


def _token(subject) -> str:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": str(subject), "iat": START, "exp": START + 9}
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


def _fails(authenticator, email, address="192.0.2.1") -> str:
    with pytest.raises((Unauthenticated, TooManyRequests)) as refused:
        authenticator.by_password(email, "wrong", address)
    return refused.value.code


def test_each_way_finds_its_principal(authenticator, demo):
    assert authenticator.by_password(demo.email, PASSWORD, "192.0.2.1").id == demo.user_id
    assert authenticator.by_key(demo.keys[Role.READER]).id == demo.ids[Role.READER]
    assert authenticator.by_token(_token(demo.user_id)).id == demo.user_id


def test_unknown_and_wrong_are_the_same_refusal(authenticator, demo):
    words = set()
    for email in (demo.email, "unknown@demo.example", "", "x" * 9999):
        with pytest.raises(Unauthenticated) as refused:
            authenticator.by_password(email, "wrong", "192.0.2.1")
        words.add(refused.value.message)
    for call, value in (
        (authenticator.by_key, "twl_wrong"),
        (authenticator.by_token, _token("unknown")),
        (authenticator.by_token, _token(demo.ids[Role.ADMIN])),
    ):
        with pytest.raises(Unauthenticated) as refused:
            call(value)
        words.add(refused.value.message)
    assert len(words) == 1


def test_a_server_without_keys_takes_no_tokens(services, demo, authenticator):
    without = Authenticator(
        database=services.database, passwords=services.passwords, logins=authenticator.logins
    )
    with pytest.raises(Unauthenticated):
        without.by_token(_token(demo.user_id))


def test_wrong_passwords_are_bounded_and_then_the_right_one_waits_too(authenticator, demo, clock):
    assert [_fails(authenticator, demo.email) for _ in range(3)] == [
        "unauthenticated",
        "unauthenticated",
        "too_many_requests",
    ]
    with pytest.raises(TooManyRequests):
        authenticator.by_password(demo.email, PASSWORD, "192.0.2.1")
    assert authenticator.by_password(demo.email, PASSWORD, "192.0.2.2").id == demo.user_id
    clock.move(300)
    assert authenticator.by_password(demo.email, PASSWORD, "192.0.2.1").id == demo.user_id


def test_an_unknown_account_is_bounded_like_any(authenticator):
    answers = [_fails(authenticator, "unknown@demo.example") for _ in range(3)]
    assert answers[-1] == "too_many_requests"


def test_an_account_is_bounded_over_all_addresses(authenticator, demo):
    answers = [_fails(authenticator, demo.email, f"192.0.2.{n}") for n in range(5)]
    assert answers == ["unauthenticated"] * 4 + ["too_many_requests"]


def test_an_attempt_that_was_not_looked_at_counts_nowhere(authenticator, demo, clock):
    for number in range(4):
        _fails(authenticator, demo.email, f"198.51.100.{number}")
    clock.move(200)
    assert {_fails(authenticator, demo.email) for _ in range(9)} == {"too_many_requests"}
    clock.move(100)
    assert authenticator.by_password(demo.email, PASSWORD, "192.0.2.1").id == demo.user_id


def test_an_address_is_bounded_over_all_accounts(authenticator):
    answers = [_fails(authenticator, f"{n}@demo.example") for n in range(7)]
    assert answers == ["unauthenticated"] * 6 + ["too_many_requests"]


def test_who_works_already_is_not_locked_out_by_a_stranger(authenticator, demo):
    authenticator.by_password(demo.email, PASSWORD, "192.0.2.1")
    for number in range(9):
        _fails(authenticator, demo.email, f"198.51.100.{number}")
    assert authenticator.by_password(demo.email, PASSWORD, "192.0.2.1").id == demo.user_id


def test_right_passwords_count_as_no_failure(authenticator, demo, services):
    for _ in range(9):
        services.passwords._known.clear()
        authenticator.by_password(demo.email, PASSWORD, "192.0.2.1")


def test_a_disabled_user_with_a_remembered_password_is_refused(authenticator, demo, services):
    authenticator.by_password(demo.email, PASSWORD, "192.0.2.1")
    with services.database.writing() as session:
        services.identities(session).disable(demo.user_id)
    with pytest.raises(Unauthenticated):
        authenticator.by_password(demo.email, PASSWORD, "192.0.2.1")
