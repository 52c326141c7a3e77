"""Settings read again: which of them a server applies, and which it leaves."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from tests.control_plane import AUDIENCE, ISSUER
from towline_server.app import create_app
from towline_server.errors import InvalidSettings
from towline_server.reloading import RELOADABLE, reload
from towline_server.services import Services
from towline_server.settings import Settings


@pytest.fixture
def client(settings: Settings, services: Services) -> Iterator[TestClient]:
    level = logging.getLogger().level
    with TestClient(create_app(settings, services=services)) as client:
        yield client
    logging.getLogger().setLevel(level)


def test_what_can_change_changes_and_the_rest_stays(client: TestClient, settings: Settings):
    found = settings.model_copy(
        update={
            "body_bytes": 2000,
            "rate_per_second": 3.0,
            "rate_burst": 4,
            "address_rate_per_second": 5.0,
            "address_rate_burst": 6,
            "log_level": "error",
            "lease_seconds": 90,
        }
    )
    reload(client.app, lambda: found)  # type: ignore[arg-type] # it is the application
    state = client.app.state  # type: ignore[attr-defined] # and has a state
    applied = state.services.settings
    assert (applied.body_bytes, applied.lease_seconds) == (2000, settings.lease_seconds)
    assert logging.getLogger().level == logging.ERROR
    limits = state.limits
    assert limits.body({"method": "POST", "path": "/x"}) == 2000
    assert (limits.credentials.per_second, limits.credentials.burst) == (3.0, 4)
    assert (limits.addresses.per_second, limits.addresses.burst) == (5.0, 6)


def test_tokens_are_verified_as_the_new_settings_say(client: TestClient, settings: Settings):
    state = client.app.state  # type: ignore[attr-defined] # the application's
    before = state.services.authenticator.tokens
    found = settings.model_copy(update={"jwt_audience": "another"})
    reload(client.app, lambda: found)  # type: ignore[arg-type] # it is the application
    after = state.services.authenticator.tokens
    assert (before.issuer, before.audience) == (ISSUER, AUDIENCE)
    assert (after.issuer, after.audience) == (ISSUER, "another")


def test_refused_settings_leave_everything_as_it_was(client: TestClient):
    state = client.app.state  # type: ignore[attr-defined] # the application's
    before = state.services

    def refuse() -> Settings:
        raise InvalidSettings(problems=("port: is wrong",))

    reload(client.app, refuse)  # type: ignore[arg-type] # it is the application
    assert state.services is before


def test_what_is_reloadable_is_a_setting():
    assert set(Settings.model_fields) >= RELOADABLE
