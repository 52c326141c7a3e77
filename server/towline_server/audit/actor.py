"""Who acts now: a request's caller, or the operator at a shell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from uuid import UUID


@dataclass(slots=True, kw_only=True)
class Actor:
    """Who acts. A request has one from its beginning, which is no one until it is authenticated.

    Threads that a request uses see the same one, so what one of them learns holds for all.
    """

    kind: str = "anonymous"
    """``user``, ``service_account``, ``api_key``, ``operator``, ``git_host``, ``shell``."""
    id: UUID | None = None
    name: str = ""
    credential: str | None = None
    """What proved it: ``password``, ``key``, ``token``, ``session`` …"""
    address: str | None = None
    request_id: str | None = None


_actor: ContextVar[Actor | None] = ContextVar("towline_actor", default=None)


def current() -> Actor | None:
    """Return who acts; None: the server by itself."""
    return _actor.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Let someone act within the block."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def identified(kind: str, actor_id: UUID | None, name: str, credential: str) -> None:
    """Set who the actor of a request is; without a request, do nothing."""
    actor = _actor.get()
    if actor is not None:
        actor.kind, actor.id, actor.name, actor.credential = kind, actor_id, name, credential
