"""Keys from a JWKS: which are taken, and when they are fetched."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.control_plane import Clock
from towline_server.auth.jwks import FRESH_SECONDS, LEAST_PAUSE_SECONDS, KeySet, parse
from towline_server.errors import Unavailable


@pytest.fixture(scope="module")
def entry():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))


class Issuer:
    """A JWKS address that counts."""

    def __init__(self, *entries) -> None:
        self.entries = list(entries)
        self.asked = 0
        self.down = False

    def __call__(self) -> bytes:
        self.asked += 1
        if self.down:
            raise OSError("unreachable")
        return json.dumps({"keys": self.entries}).encode()


def test_signature_keys_of_rsa_alone_are_taken(entry):
    short = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    weak = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(short.public_key()))
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    leaked = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private))
    found = parse(
        Issuer(
            {**entry, "kid": "good"},
            {**entry, "kid": "alg", "alg": "RS256"},
            {**entry, "kid": "encryption", "use": "enc"},
            {**entry, "kid": "other", "alg": "RS512"},
            {**weak, "kid": "weak"},
            {**leaked, "kid": "leaked"},
            {"kty": "oct", "k": "c2VjcmV0", "kid": "shared"},
            {"kty": "RSA", "kid": "broken", "n": "", "e": "AQAB"},
            "nonsense",
        )()
    )
    assert sorted(map(str, found)) == ["alg", "good"]


@pytest.mark.parametrize("document", [b"", b"[]", b"{}", b'{"keys": {}}', b"\xff"])
def test_what_is_no_jwks_is_refused(document):
    with pytest.raises(ValueError):  # noqa: PT011 - whatever the parser says of it
        parse(document)


def test_keys_are_kept_and_then_fetched_again(entry):
    clock, issuer = Clock(), Issuer({**entry, "kid": "one"})
    keys = KeySet(issuer, clock=clock)
    assert keys.key("one") is not None
    clock.move(FRESH_SECONDS - 1)
    assert keys.key("one") is not None
    assert issuer.asked == 1
    clock.move(1)
    assert keys.key("one") is not None
    assert issuer.asked == 2


def test_a_new_key_is_found_at_once_but_made_up_ones_cost_one_fetch(entry):
    clock, issuer = Clock(), Issuer({**entry, "kid": "one"})
    keys = KeySet(issuer, clock=clock)
    keys.key("one")
    clock.move(LEAST_PAUSE_SECONDS)
    issuer.entries.append({**entry, "kid": "two"})
    assert keys.key("two") is not None
    for number in range(50):
        assert keys.key(f"made up {number}") is None
    assert issuer.asked == 2


def test_a_withdrawn_key_is_no_good_once_the_keys_are_old(entry):
    clock, issuer = Clock(), Issuer({**entry, "kid": "one"})
    keys = KeySet(issuer, clock=clock)
    keys.key("one")
    issuer.entries = [{**entry, "kid": "two"}]
    clock.move(FRESH_SECONDS)
    assert keys.key("one") is None


def test_without_an_id_the_only_key_is_meant(entry):
    assert KeySet(Issuer({**entry, "kid": "one"}), clock=Clock()).key(None) is not None
    two = Issuer({**entry, "kid": "one"}, {**entry, "kid": "two"})
    assert KeySet(two, clock=Clock()).key(None) is None


def test_an_issuer_that_is_down_is_bridged_while_keys_are_fresh(entry):
    clock, issuer = Clock(), Issuer({**entry, "kid": "one"})
    keys = KeySet(issuer, clock=clock)
    keys.key("one")
    issuer.down = True
    clock.move(LEAST_PAUSE_SECONDS)
    assert keys.key("unknown") is None
    assert keys.key("one") is not None
    clock.move(FRESH_SECONDS)
    with pytest.raises(Unavailable):
        keys.key("one")
