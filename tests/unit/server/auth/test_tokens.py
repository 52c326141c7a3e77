"""Which tokens are good, and the known ways to forge one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.control_plane import AUDIENCE, ISSUER, JWT_SECRET, START, Clock
from towline_server.auth.tokens import (
    FRESH_SECONDS,
    LEAST_PAUSE_SECONDS,
    KeySet,
    SharedSecret,
    TokenVerifier,
    parse,
)
from towline_server.errors import Unauthenticated, Unavailable

NOW = int(START)
GOOD = {"iss": ISSUER, "aud": AUDIENCE, "sub": "someone", "iat": NOW, "exp": NOW + 60}


@pytest.fixture(scope="module")
def private_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def jwks(private_key) -> bytes:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key.public_key()))
    return json.dumps({"keys": [{**public, "kid": "one", "use": "sig"}]}).encode()


@pytest.fixture
def shared() -> TokenVerifier:
    return _verifier(SharedSecret(JWT_SECRET.encode()))


@pytest.fixture
def public(jwks) -> TokenVerifier:
    return _verifier(KeySet(lambda: jwks, clock=Clock()))


def _verifier(keys) -> TokenVerifier:
    return TokenVerifier(keys=keys, issuer=ISSUER, audience=AUDIENCE, clock=Clock())


def _signed(claims, secret: str = JWT_SECRET, **options) -> str:
    return jwt.encode(claims, secret, algorithm="HS256", **options)


def test_a_valid_token_has_a_subject(shared, public, private_key):
    assert shared.subject(_signed(GOOD)) == "someone"
    rs256 = jwt.encode(GOOD, private_key, algorithm="RS256", headers={"kid": "one"})
    assert public.subject(rs256) == "someone"
    assert public.subject(jwt.encode(GOOD, private_key, algorithm="RS256")) == "someone"


def test_an_audience_may_be_one_of_many(shared):
    assert shared.subject(_signed({**GOOD, "aud": ["elsewhere", AUDIENCE]})) == "someone"


@pytest.mark.parametrize("missing", ["exp", "iat", "aud", "iss", "sub"])
def test_every_claim_is_required(shared, missing):
    claims = {name: value for name, value in GOOD.items() if name != missing}
    with pytest.raises(Unauthenticated):
        shared.subject(_signed(claims))


BAD_CLAIMS = [
    {"aud": "elsewhere"},
    {"aud": []},
    {"aud": ""},
    {"iss": "https://elsewhere.example"},
    {"iss": [ISSUER]},
    {"iss": ISSUER + "/"},
    {"sub": ""},
    {"sub": 7},
    {"sub": None},
    {"exp": None},
    {"exp": "never"},
    {"exp": True},
    {"exp": [NOW + 60]},
    {"exp": float("inf")},
    {"exp": float("nan")},
    {"exp": 10**400},
    {"exp": -1},
    {"iat": "today"},
    {"iat": NOW + 3600},
    {"nbf": NOW + 3600},
    {"nbf": "tomorrow"},
    {"exp": NOW - 3600},
]


@pytest.mark.parametrize("bad", BAD_CLAIMS, ids=repr)
def test_a_bad_claim_is_refused(shared, bad):
    with pytest.raises(Unauthenticated):
        shared.subject(_signed_raw({**GOOD, **bad}))


def _signed_raw(claims) -> str:
    """Signed right, past every check that a library makes when it signs."""
    head, body = _part({"alg": "HS256", "typ": "JWT"}), _part(claims)
    return f"{head}.{body}.{_mac(f'{head}.{body}', JWT_SECRET.encode())}"


def _part(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _mac(text: str, key: bytes, kind: str = "sha256") -> str:
    digest = hmac.new(key, text.encode(), getattr(hashlib, kind)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_raw_signature_is_right(shared):
    assert shared.subject(_signed_raw(GOOD)) == "someone"


def test_the_leeway_is_small_and_exact(shared):
    assert shared.subject(_signed({**GOOD, "exp": NOW - 9})) == "someone"
    assert shared.subject(_signed({**GOOD, "iat": NOW + 10, "nbf": NOW + 10})) == "someone"
    for bad in ({"exp": NOW - 10}, {"iat": NOW + 11}, {"nbf": NOW + 11}):
        with pytest.raises(Unauthenticated):
            shared.subject(_signed({**GOOD, **bad}))


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", None])
def test_an_unsigned_token_is_refused(shared, public, alg):
    unsigned = f"{_part({'alg': alg, 'typ': 'JWT'})}.{_part(GOOD)}."
    for verifier in (shared, public):
        with pytest.raises(Unauthenticated):
            verifier.subject(unsigned)


def test_the_public_key_is_no_shared_secret(public, private_key, jwks):
    """The classic confusion: HS256 with the RSA key that everybody knows."""
    public_key = private_key.public_key()
    spellings = [
        public_key.public_bytes(encoding, form)
        for encoding, form in (
            (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
            (serialization.Encoding.PEM, serialization.PublicFormat.PKCS1),
            (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        )
    ]
    for key in (*spellings, jwks):
        head, body = _part({"alg": "HS256", "kid": "one"}), _part(GOOD)
        with pytest.raises(Unauthenticated):
            public.subject(f"{head}.{body}.{_mac(f'{head}.{body}', key)}")


def test_the_shared_secret_takes_no_rsa(shared, private_key):
    with pytest.raises(Unauthenticated):
        shared.subject(jwt.encode(GOOD, private_key, algorithm="RS256"))


@pytest.mark.parametrize(("alg", "kind"), [("HS384", "sha384"), ("HS512", "sha512")])
def test_no_other_algorithm_of_the_same_secret(shared, alg, kind):
    head, body = _part({"alg": alg}), _part(GOOD)
    with pytest.raises(Unauthenticated):
        shared.subject(f"{head}.{body}.{_mac(f'{head}.{body}', JWT_SECRET.encode(), kind)}")


def test_keys_that_the_token_brings_along_are_not_used(public):
    mine = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(mine.public_key()))
    for extra in ({"jwk": jwk}, {"jku": "https://mine.example/keys"}, {"kid": "mine"}):
        forged = jwt.encode(GOOD, mine, algorithm="RS256", headers={"kid": "one", **extra})
        with pytest.raises(Unauthenticated):
            public.subject(forged)


def test_another_secret_or_a_changed_byte_is_refused(shared):
    token = _signed(GOOD)
    head, body, mac = token.split(".")
    admin = _part({**GOOD, "sub": "admin"})
    stripped = f"{head}.{body}."
    for bad in (_signed(GOOD, "z" * 32), f"{head}.{admin}.{mac}", stripped, f"{head}.{body}"):
        with pytest.raises(Unauthenticated):
            shared.subject(bad)


GARBAGE = ["", ".", "..", "a.b.c", "é.é.é", "\0", "eyJhbGciOiJIUzI1NiJ9..", "x" * 9000]


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_no_token_is_refused(shared, public, text):
    for verifier in (shared, public):
        with pytest.raises(Unauthenticated):
            verifier.subject(text)


def test_deep_nesting_and_unknown_critical_headers_are_refused(shared):
    deep = "[" * 3000 + "]" * 3000
    body = base64.urlsafe_b64encode(deep.encode()).rstrip(b"=").decode()
    head = _part({"alg": "HS256"})
    with pytest.raises(Unauthenticated):
        shared.subject(f"{head}.{body}.{_mac(f'{head}.{body}', JWT_SECRET.encode())}")
    with pytest.raises(Unauthenticated):
        shared.subject(_signed(GOOD, headers={"crit": ["exp"]}))


def test_a_refusal_shows_nothing_of_the_token(shared):
    token = _signed({**GOOD, "aud": "elsewhere"})
    with pytest.raises(Unauthenticated) as refused:
        shared.subject(token)
    assert token.split(".")[1] not in f"{refused.value!r} {refused.value.data()}"
    assert JWT_SECRET not in repr(shared)


# --- the keys of a JWKS ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def entry(private_key):
    return json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(private_key.public_key()))


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


def test_keys_are_cached_and_then_fetched_again(entry):
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
