"""What both clients are made with."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

from towline import __version__
from towline.frozen import frozen

from .request import PREFIX
from .retries import Retries

TIMEOUT = 60.0
"""Seconds without a byte; a request that fetches may take as long."""


@frozen(kw_only=True)
class Options:
    """The address, the credential and the bounds of a client."""

    url: str
    authorization: str | None = field(repr=False)
    timeout: float
    retries: Retries

    def for_httpx(self, **rest: Any) -> dict[str, Any]:
        """Return the arguments of httpx's client."""
        headers = {"User-Agent": f"towline/{__version__}"}
        if self.authorization is not None:
            headers["Authorization"] = self.authorization
        given = {name: value for name, value in rest.items() if value is not None}
        return {
            "base_url": f"{self.url}{PREFIX}",
            "headers": headers,
            "timeout": self.timeout,
            # A redirect would lead the credential elsewhere.
            "follow_redirects": False,
            **given,
        }


def options_of(
    url: str,
    *,
    key: str | None,
    login: tuple[str, str] | None,
    timeout: float,
    retries: Retries,
) -> Options:
    """Return the options of a client.

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
    authorization = None if key is None else f"Bearer {key}"
    if login is not None:
        authorization = f"Basic {b64encode(':'.join(login).encode()).decode()}"
    return Options(
        url=url.rstrip("/"), authorization=authorization, timeout=timeout, retries=retries
    )
