"""Settings read again while the server runs: those that can change do, the others are logged.

Requests under way end under the settings that they began with.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from fastapi import FastAPI

from towline.errors import TowlineError

from .services import Services, token_verifier
from .settings import Settings

RELOADABLE = frozenset(
    {
        "address_rate_burst",
        "address_rate_per_second",
        "asset_body_bytes",
        "body_bytes",
        "hook_body_bytes",
        "idempotency_hours",
        "jwt_audience",
        "jwt_hs256_secret",
        "jwt_issuer",
        "jwt_jwks_file",
        "jwt_jwks_url",
        "jwt_leeway_seconds",
        "log_level",
        "metrics_token",
        "rate_burst",
        "rate_per_second",
        "wait_seconds",
        "work_body_bytes",
    }
)
"""What SIGHUP changes; the rest is held by what runs, and waits for a restart."""

_LOG = logging.getLogger("towline_server.settings")


def reload(app: FastAPI, load: Callable[[], Settings]) -> None:
    """Apply the settings that a running server can change; refused ones change nothing.

    Called from a thread: it may read files.
    """
    services: Services | None = getattr(app.state, "services", None)
    if services is None:
        return
    try:
        found = load()
        changed = changed_fields(services.settings, found)
        settings = services.settings.model_copy(
            update={name: getattr(found, name) for name in changed & RELOADABLE}
        )
        authenticator = replace(services.authenticator, tokens=token_verifier(settings))
    except (TowlineError, OSError, ValueError) as error:
        _LOG.error("the settings are refused, and stay as they are", extra={"problem": str(error)})
        return
    app.state.services = replace(services, settings=settings, authenticator=authenticator)
    app.state.limits.change(settings)
    logging.getLogger().setLevel(settings.log_level.upper())
    _LOG.info("settings reloaded", extra={"changed": sorted(changed & RELOADABLE)})
    if waiting := sorted(changed - RELOADABLE):
        _LOG.warning("these settings wait for a restart", extra={"changed": waiting})


def changed_fields(before: Settings, after: Settings) -> frozenset[str]:
    """Return the names of the settings that differ."""
    names = type(before).model_fields
    return frozenset(name for name in names if getattr(before, name) != getattr(after, name))
