"""Connections to Temporal, as the settings describe them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from towline_server.errors import InvalidSettings
from towline_server.orchestrator_settings import TemporalSettings

if TYPE_CHECKING:
    from temporalio.client import Client

INSTALL = "temporal.address: needs the extra temporal: pip install 'towline[temporal]'"


def check_installed() -> None:
    """Import Temporal's SDK.

    Raises:
        InvalidSettings: it is not installed.
    """
    try:
        import temporalio.client
    except ImportError:
        raise InvalidSettings(problems=(INSTALL,)) from None
    del temporalio


async def connect(settings: TemporalSettings, *, lazy: bool = False) -> Client:
    """Return a client; one that is ``lazy`` connects with its first request, and polls nothing.

    Raises:
        RuntimeError: the server does not answer.
    """
    from temporalio.client import Client
    from temporalio.service import TLSConfig

    files = (settings.tls_ca_file, settings.tls_cert_file, settings.tls_key_file)
    authorities, certificate, key = (_read(file) for file in files)
    key_of_cloud = settings.api_key.get_secret_value()
    config = TLSConfig(
        server_root_ca_cert=authorities, client_cert=certificate, client_private_key=key
    )
    encrypted = settings.tls or bool(key_of_cloud) or any(files)
    return await Client.connect(
        settings.address,
        namespace=settings.namespace,
        api_key=key_of_cloud or None,
        tls=config if encrypted else False,
        lazy=lazy,
    )


def _read(file: Path | None) -> bytes | None:
    return None if file is None else file.read_bytes()
