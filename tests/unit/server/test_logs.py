"""Log lines: JSON, with what they are about, without secrets."""

from __future__ import annotations

import io
import json
import logging

import pytest

from towline_server.auth.keys import KEY_PREFIX
from towline_server.logs import JsonLines, about, masked


@pytest.fixture
def log():
    stream = io.StringIO()
    logger = logging.getLogger("tests.logs")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)


def test_a_line_is_json_with_its_run_and_project(log):
    logger, lines = log
    with about(request_id="r1"), about(run_id="r2", project_id="p"):
        logger.warning("pulled %d", 3, extra={"milliseconds": 1.5})
    logger.warning("two\nlines")
    first, second = lines()
    assert first["message"] == "pulled 3"
    assert (first["level"], first["logger"]) == ("warning", "tests.logs")
    assert (first["request_id"], first["run_id"], first["project_id"]) == ("r1", "r2", "p")
    assert first["milliseconds"] == 1.5
    assert first["time"].endswith("+00:00")
    assert second["message"] == "two\nlines"
    assert "run_id" not in second


# Not one made at random: a test must have the same name in every process.
KEY = KEY_PREFIX + "Zm9yIHRlc3RzLCBhcyBsb25nIGFzIGEgcmVhbCBvbmUu"
SECRETS = [
    (f"key {KEY} given", KEY),
    ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("authorization: bearer Token eyJhbGciOi.eyJzdWIi.c2ln", "eyJzdWIi"),
    ("cloning https://user:hush@host/x", "hush"),
    ("cloning https://hush@host/x", "hush"),
    ("postgresql+psycopg://towline:hush@db/towline", "hush"),
    ("signed with whsec_c2lnbnMgZm9yIG1l/+==", "c2lnbnMgZm9yIG1l/+"),
    ("a bare eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "c2lnbmF0dXJl"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_what_looks_like_a_credential_is_masked(log, text, secret):
    logger, lines = log
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception(text, extra={"about": text})
    assert secret in text
    assert secret not in json.dumps(lines())


def test_other_text_stays(log):
    text = "basic and bearer auth of https://host/path?a@b, user@host, eyJ, twl_"
    assert masked(text) == text
