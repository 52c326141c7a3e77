"""What both clients are made with."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from towline import __version__

from .request import PREFIX

TIMEOUT = 60.0
"""Seconds without a byte; a request that fetches may take as long."""


def httpx_options(
    url: str,
    *,
    key: str | None,
    login: tuple[str, str] | None,
    timeout: float,
    transport: object,
) -> dict[str, Any]:
    """Return the arguments of httpx's client.

    Raises:
        ValueError: the address is none of HTTP, has a credential in it, or both a key and a login
            are given.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("url: must be the server's address, such as https://towline.example")
    if parts.username or parts.password:
        raise ValueError("url: give the credential as key or login, not in the address")
    if key is not None and login is not None:
        raise ValueError("give a key or a login, not both")
    headers = {"User-Agent": f"towline/{__version__}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    elif login is not None:
        headers["Authorization"] = f"Basic {b64encode(':'.join(login).encode()).decode()}"
    return {
        "base_url": f"{url.rstrip('/')}{PREFIX}",
        "headers": headers,
        "timeout": timeout,
        # A redirect would lead the credential elsewhere.
        "follow_redirects": False,
        "transport": transport,
    }
