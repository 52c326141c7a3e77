"""Temporal behind TLS: its certificate is checked against the authorities of the settings."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.certificates import CertificateAuthority
from tests.temporal import TemporalServer
from towline_server.orchestrator_settings import TemporalSettings
from towline_server.runs.temporal.connection import connect

pytestmark = pytest.mark.services


@contextmanager
def _encrypted(server: TemporalServer, authority: CertificateAuthority) -> Iterator[str]:
    """The address of a proxy that speaks TLS before a server."""
    context = authority.context()
    context.set_alpn_protocols(["h2"])
    loop, listening = asyncio.new_event_loop(), threading.Event()
    ports: list[int] = []

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while part := await source.read(65536):
            target.write(part)
            await target.drain()
        target.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.TaskGroup() as both:
            both.create_task(copy(reader, behind[1]))
            both.create_task(copy(behind[0], writer))

    async def serve() -> None:
        opened = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
        ports.append(opened.sockets[0].getsockname()[1])
        listening.set()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert listening.wait(30)
    try:
        yield f"127.0.0.1:{ports[0]}"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _is_healthy(settings: TemporalSettings) -> bool:
    client = await connect(settings)
    return await client.service_client.check_health()


def test_a_server_is_trusted_by_the_authorities_of_the_settings(
    temporal_server: TemporalServer, tmp_path: Path
):
    authority = CertificateAuthority(tmp_path / "ours")
    another = CertificateAuthority(tmp_path / "another")
    with _encrypted(temporal_server, authority) as address:
        trusted = TemporalSettings(address=address, tls_ca_file=authority.file)
        assert asyncio.run(_is_healthy(trusted))
        for settings in (
            TemporalSettings(address=address, tls=True),
            TemporalSettings(address=address, tls_ca_file=another.file),
            TemporalSettings(address=address),
        ):
            with pytest.raises(RuntimeError):
                asyncio.run(_is_healthy(settings))
