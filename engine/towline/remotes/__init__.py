"""Where theirs comes from: Git repositories over every transport, and a fake in memory.

Nothing is imported before it is used: finding that nothing changed needs neither pygit2 nor
dulwich where a git executable is at hand.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from towline.remotes.backends import Backend
    from towline.remotes.credential_sources import Credentials
    from towline.remotes.credentials import Credential
    from towline.remotes.git import GitRemote
    from towline.remotes.memory import MemoryRemote, MemoryRepository
    from towline.remotes.trees import FileContent, Files, Submodule, Symlink
    from towline.remotes.url import Origin, RemoteUrl, Scheme

__all__ = [
    "Backend",
    "Credential",
    "Credentials",
    "FileContent",
    "Files",
    "GitRemote",
    "MemoryRemote",
    "MemoryRepository",
    "Origin",
    "RemoteUrl",
    "Scheme",
    "Submodule",
    "Symlink",
]

_HOMES = {
    "Backend": "backends",
    "Credential": "credentials",
    "Credentials": "credential_sources",
    "FileContent": "trees",
    "Files": "trees",
    "GitRemote": "git",
    "MemoryRemote": "memory",
    "MemoryRepository": "memory",
    "Origin": "url",
    "RemoteUrl": "url",
    "Scheme": "url",
    "Submodule": "trees",
    "Symlink": "trees",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
