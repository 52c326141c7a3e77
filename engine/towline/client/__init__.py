"""A client of the control plane's native API, with the extra ``client``.

    from towline.client import Client, native

    with Client("https://towline.example", key=key) as client:
        for project in client.every(native.list_projects()):
            run = client.pull(project.id, use_theirs=["rules/a.json"])

`native` has a function for each operation of the API: it makes a `Request`, which `Client.send`
and `AsyncClient.send` return the typed answer of. Both files of them are generated from the OpenAPI
document (``make client``).
"""

from __future__ import annotations

from . import models, native
from .aio import AsyncClient
from .errors import (
    ApiError,
    ConflictingState,
    Forbidden,
    InvalidRequest,
    NotFound,
    RateLimited,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from .request import Request
from .retries import Retries
from .sync import Client

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ConflictingState",
    "Forbidden",
    "InvalidRequest",
    "NotFound",
    "RateLimited",
    "Request",
    "Retries",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "models",
    "native",
]
