"""The HTTP server around the application, and its signals.

SIGTERM and SIGINT end it: requests under way may end, then runs are handed back, and it exits with
0, or 130 after SIGINT. A second one does not wait for requests. SIGHUP reloads.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from .settings import Settings
from .web.protocol import BoundedConfig

_FAILURE = 1
_LOG = logging.getLogger("towline_server.serving")


def run(
    app: ASGIApp,
    settings: Settings,
    *,
    on_hangup: Callable[[], None],
    on_listening: Callable[[str], None],
    on_stopping: Callable[[], None],
) -> None:
    """Serve until a signal stops it.

    ``on_hangup`` is called in a thread, ``on_listening`` with the server's address, and
    ``on_stopping`` before the server waits for the requests under way.
    """
    config = BoundedConfig(
        app,
        settings,
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
    _Server(config, on_hangup, on_listening, on_stopping).run()


@contextmanager
def leaving_quietly() -> Iterator[None]:
    """Turn SIGTERM and SIGINT into a `SystemExit`, silent, of status 0, or 130 after SIGINT."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0 if number == signal.SIGTERM else 130)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Server(uvicorn.Server):
    """uvicorn's server, which also reports its address and handles SIGHUP."""

    def __init__(
        self,
        config: uvicorn.Config,
        on_hangup: Callable[[], None],
        on_listening: Callable[[str], None],
        on_stopping: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._on_hangup = on_hangup
        self._on_listening = on_listening
        self._on_stopping = on_stopping

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and report the address."""
        try:
            await super().startup(sockets)
        except SystemExit:
            # uvicorn's own status, 3, means conflicts here. The log has the reason.
            raise SystemExit(_FAILURE) from None
        if not self.started:
            return
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, loop.run_in_executor, None, self._on_hangup)
        url = self._url()
        _LOG.info("listening", extra={"url": url})
        self._on_listening(url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then wait for the requests."""
        self._on_stopping()
        await super().shutdown(sockets)

    def _url(self) -> str:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
