"""Settings: where they come from, and which are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from towline.remotes.url import Scheme
from towline_server.errors import InvalidSettings
from towline_server.settings import Settings, load_settings

pytestmark = pytest.mark.usefixtures("plain_environment")
LONG = "x" * 40
TOKENS: dict[str, Any] = {"jwt_issuer": "i", "jwt_audience": "a"}


def test_the_defaults_are_an_embedded_database_and_https_alone():
    settings = load_settings()
    assert settings.database == "sqlite:///towline-data/towline.db"
    assert settings.is_embedded
    assert settings.remote_schemes == {Scheme.HTTPS}
    assert settings.engine_limits.total_seconds == 60
    assert (settings.heartbeat_seconds, settings.lease_seconds) == (10, 60)


def test_the_environment_sets_them(monkeypatch):
    monkeypatch.setenv("TOWLINE_PORT", "9000")
    monkeypatch.setenv("TOWLINE_REMOTE_SCHEMES", "https, http")
    monkeypatch.setenv("TOWLINE_SECRET_KEYS", f"{LONG}1,{LONG}2")
    monkeypatch.setenv("TOWLINE_LIMITS__ASSETS", "7")
    settings = load_settings()
    assert settings.port == 9000
    assert settings.remote_schemes == {Scheme.HTTPS, Scheme.HTTP}
    assert [key.get_secret_value() for key in settings.secret_keys] == [f"{LONG}1", f"{LONG}2"]
    assert settings.engine_limits.assets == 7


def test_what_is_given_beats_the_environment_beats_the_file(monkeypatch, tmp_path):
    file = tmp_path / "towline.toml"
    file.write_text('port = 1\nhost = "localhost"\nrate_burst = 5\n[limits]\nassets = 3\n')
    monkeypatch.setenv("TOWLINE_SETTINGS", str(file))
    monkeypatch.setenv("TOWLINE_PORT", "2")
    monkeypatch.setenv("TOWLINE_RATE_BURST", "6")
    settings = load_settings(port=3)
    assert (settings.port, settings.rate_burst, settings.host) == (3, 6, "localhost")
    assert settings.engine_limits.assets == 3


CONTRADICTIONS = [
    ({"jwt_hs256_secret": LONG, "jwt_jwks_file": "keys.json", **TOKENS}, "jwt_hs256_secret"),
    ({"jwt_jwks_url": "https://a.example", "jwt_jwks_file": "k", **TOKENS}, "jwt_jwks_url"),
    ({"jwt_hs256_secret": LONG, "jwt_audience": "a"}, "jwt_issuer"),
    ({"jwt_hs256_secret": LONG, "jwt_issuer": "i"}, "jwt_audience"),
    ({"jwt_issuer": "i"}, "jwt_issuer"),
    ({"jwt_hs256_secret": "short", **TOKENS}, "jwt_hs256_secret"),
    ({"jwt_jwks_url": "http://keys.example/jwks", **TOKENS}, "jwt_jwks_url"),
    ({"secret_keys": ["short"]}, "secret_keys"),
    ({"database_url": "postgresql://localhost/towline"}, "secret_keys"),
    ({"database_url": "mysql://localhost/towline"}, "database_url"),
    ({"database_url": "sqlite://"}, "database_url"),
    ({"database_url": "sqlite:///:memory:"}, "database_url"),
    ({"lease_seconds": 29, "heartbeat_seconds": 10}, "lease_seconds"),
    ({"limits": {"no_such": 1}}, "limits"),
    ({"limits": {"assets": 0}}, "limits"),
    ({"asset_body_bytes": 2048}, "asset_body_bytes"),
    ({"remote_schemes": ["file"], "host": "0.0.0.0"}, "remote_schemes"),
    ({"remote_schemes": ["gopher"]}, "remote_schemes"),
    ({"webhook_schemes": ["https", "ssh"]}, "webhook_schemes"),
    ({"webhook_days": 6}, "webhook_days"),
    ({"remote_ca_file": "/no/such/file"}, "remote_ca_file"),
    ({"remote_ca_file": __file__}, "remote_ca_file"),
    ({"runs_at_once": 0}, "runs_at_once"),
    ({"log_level": "loud"}, "log_level"),
    ({"prefect": {"api_url": "prefect.example"}}, "prefect.api_url"),
    ({"prefect": {"api_url": "http://u:p@prefect.example/api"}}, "prefect.api_url"),
    ({"prefect": {"api_key": "k", "auth_string": "u:p"}}, "prefect.api_key"),
    ({"no_such_setting": 1}, "no_such_setting"),
]


@pytest.mark.parametrize(("given", "field"), CONTRADICTIONS)
def test_a_contradiction_is_refused_and_names_its_field(given, field):
    with pytest.raises(InvalidSettings) as refused:
        load_settings(**given)
    assert any(problem.startswith(field) for problem in refused.value.problems)


def test_a_setting_that_does_not_exist_is_called_that():
    with pytest.raises(InvalidSettings, match="prot: unknown setting"):
        load_settings(prot=8080)


def test_all_problems_are_in_one_error_without_a_secret():
    with pytest.raises(InvalidSettings) as refused:
        load_settings(secret_keys=["hush-hush"], jwt_hs256_secret="pssst", lease_seconds=2)
    assert len(refused.value.problems) == 5
    assert "hush" not in refused.value.message
    assert "pssst" not in refused.value.message


def test_a_malformed_secret_is_not_shown():
    with pytest.raises(InvalidSettings) as refused:
        load_settings(jwt_hs256_secret=["hush-hush"])
    assert "hush" not in repr(refused.value)
    with pytest.raises(ValidationError) as raw:
        Settings.model_validate({"jwt_hs256_secret": ["hush-hush"]})
    assert "hush" not in str(raw.value)


@pytest.mark.parametrize("content", [None, "port = ", b"\xff"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path, content):
    file = tmp_path / "towline.toml"
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif content is not None:
        file.write_text(content)
    with pytest.raises(InvalidSettings, match=r"towline\.toml"):
        load_settings(file)


def test_loopback_hosts_may_serve_files_and_keys_without_tls():
    load_settings(remote_schemes=["file"], host="::1")
    load_settings(remote_schemes=["file"], host="localhost")
    load_settings(jwt_jwks_url="http://127.0.0.1:1/keys", **TOKENS)


def test_no_setting_shows_a_secret():
    settings = load_settings(jwt_hs256_secret="hush" * 10, secret_keys=["pssst" * 10], **TOKENS)
    assert "hush" not in repr(settings)
    assert "pssst" not in repr(settings)


def test_the_bare_defaults_ignore_the_environment(monkeypatch):
    monkeypatch.setenv("TOWLINE_PORT", "no port")
    assert Settings.defaults().port == 8080
