"""The HTTP server around the application."""

from __future__ import annotations

import uvicorn
from starlette.types import ASGIApp

from .settings import Settings


def run(app: ASGIApp, settings: Settings) -> None:
    """Serve until a signal says to stop; requests under way may end first."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        # Logging is set up already, and requests are logged by the application.
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=settings.shutdown_seconds,
        lifespan="on",
    )
    uvicorn.Server(config).run()
