"""Signatures are those of Standard Webhooks: its own vector, and its own library."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from towline_server.webhooks.sending import headers, new_secret, signature

# From the tests of the scheme's libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
PAYLOAD = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_vector_of_the_scheme():
    assert signature(SECRET, MESSAGE, TIMESTAMP, PAYLOAD) == SIGNATURE


def test_secrets_are_32_random_bytes():
    first, second = new_secret(), new_secret()
    assert first != second
    assert first.startswith("whsec_")
    assert len(b64decode(first.removeprefix("whsec_"), validate=True)) == 32


def test_every_secret_verifies_and_no_other():
    secrets = [new_secret(), new_secret()]
    payload = '{"type":"ping","data":"é"}'.encode()
    signed = dict(headers(secrets, "msg_1", datetime.now(UTC), payload))
    for secret in secrets:
        assert Webhook(secret).verify(payload, signed) == {"type": "ping", "data": "é"}
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(payload, signed)
    for changed in (
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(int(signed["webhook-timestamp"]) + 1)},
    ):
        with pytest.raises(WebhookVerificationError):
            Webhook(secrets[0]).verify(payload, {**signed, **changed})
