"""Passwords: verified, remembered for a while, and bounded when they are wrong."""

from __future__ import annotations

import pytest
from argon2 import PasswordHasher

from tests.control_plane import Clock, cheap_passwords
from towline_server.auth.passwords import FailureLimit, Passwords
from towline_server.errors import TooManyRequests


class Counting(PasswordHasher):
    """A hasher that counts what it verifies."""

    verified = 0

    def verify(self, *stored_and_given):
        self.verified += 1
        return super().verify(*stored_and_given)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords(clock) -> Passwords:
    hasher = Counting(time_cost=1, memory_cost=8, parallelism=1)
    return Passwords(hasher=hasher, clock=clock, cache_seconds=60)


def test_the_right_password_is_right_and_argon2id(passwords):
    stored = passwords.hash("a good one")
    assert stored.startswith("$argon2id$")
    assert passwords.verify(stored, "a good one")
    assert not passwords.verify(stored, "a good One")
    assert not passwords.verify("no hash at all", "a good one")


def test_the_cost_of_the_default_is_that_of_rfc_9106():
    hasher = PasswordHasher()
    assert (hasher.time_cost, hasher.memory_cost) == (3, 65536)


def test_a_good_password_is_remembered_for_a_while(passwords, clock):
    stored = passwords.hash("a good one")
    assert passwords.verify(stored, "a good one")
    assert passwords.verify(stored, "a good one")
    assert passwords.hasher.verified == 1
    clock.move(60)
    assert not passwords.is_remembered(stored, "a good one")
    assert passwords.verify(stored, "a good one")
    assert passwords.hasher.verified == 2


def test_a_wrong_password_is_never_remembered(passwords):
    stored = passwords.hash("a good one")
    assert not passwords.verify(stored, "bad")
    assert not passwords.verify(stored, "bad")
    assert passwords.hasher.verified == 2


def test_a_changed_password_is_forgotten_at_once(passwords):
    assert passwords.verify(passwords.hash("before"), "before")
    assert not passwords.verify(passwords.hash("after"), "before")


def test_where_there_is_no_account_as_much_is_verified(passwords):
    assert not passwords.verify(None, "anything")
    assert not passwords.verify(None, "anything")
    assert passwords.hasher.verified == 2


def test_what_is_remembered_shows_no_password():
    passwords = cheap_passwords()
    stored = passwords.hash("hush-hush")
    passwords.verify(stored, "hush-hush")
    assert "hush" not in repr(passwords)
    assert not any(b"hush" in digest for digest in passwords._known)


def test_failures_fill_a_window(clock):
    limit = FailureLimit(2, 100, clock)
    limit.begin("a")
    limit.begin("a")
    clock.move(40)
    with pytest.raises(TooManyRequests) as refused:
        limit.begin("a")
    assert refused.value.retry_after == 61
    limit.begin("b")
    clock.move(60)
    limit.begin("a")


def test_successes_do_not_count(clock):
    limit = FailureLimit(1, 100, clock)
    for _ in range(5):
        limit.begin("a")
        limit.succeeded("a")
    limit.succeeded("unknown")
    limit.begin("a")
    with pytest.raises(TooManyRequests):
        limit.begin("a")
