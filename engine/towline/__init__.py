"""towline brings a project's assets up to date with their Git repository.

    from towline import DirectoryStore, GitRemote, Resolutions, pull

    report = pull(store, remote, resolutions=Resolutions(use_theirs=["65e12ed44f526dee5878a380"]))

What stands in ``__all__`` here is the interface; so are `towline.errors` and `towline.testing`.
Stores and remotes are loaded when they are first asked for; nothing here imports a Git library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .apply import apply
from .changes import Change, Changes
from .conflicts import Conflict, ConflictKind
from .errors import TowlineError
from .kinds import Kind, Kinds
from .limits import Limits
from .merge import Context, merge
from .model import Asset, AssetId, AssetPath, AssetState, Digest, Revision, ThreeWay
from .names import NamePolicy
from .ours import OursIndex
from .plan import Plan
from .planfile import dump_plan, load_plan
from .ports import AssetStore, Phase, Remote, Watch
from .pull import plan_at, plan_pull, pull
from .records import AssetRecord
from .report import Report, Status, report_json, report_of
from .resolutions import OnConflict, Policy, Resolutions, Selection, Side
from .undo import plan_undo, undo

if TYPE_CHECKING:
    from .remotes.git import GitRemote
    from .remotes.memory import MemoryRemote
    from .stores.directory import DirectoryStore
    from .stores.memory import MemoryStore

_LATE = {
    "DirectoryStore": ".stores.directory",
    "GitRemote": ".remotes.git",
    "MemoryRemote": ".remotes.memory",
    "MemoryStore": ".stores.memory",
}

__all__ = [
    "Asset",
    "AssetId",
    "AssetPath",
    "AssetRecord",
    "AssetState",
    "AssetStore",
    "Change",
    "Changes",
    "Conflict",
    "ConflictKind",
    "Context",
    "Digest",
    "DirectoryStore",
    "GitRemote",
    "Kind",
    "Kinds",
    "Limits",
    "MemoryRemote",
    "MemoryStore",
    "NamePolicy",
    "OnConflict",
    "OursIndex",
    "Phase",
    "Plan",
    "Policy",
    "Remote",
    "Report",
    "Resolutions",
    "Revision",
    "Selection",
    "Side",
    "Status",
    "ThreeWay",
    "TowlineError",
    "Watch",
    "apply",
    "dump_plan",
    "load_plan",
    "merge",
    "plan_at",
    "plan_pull",
    "plan_undo",
    "pull",
    "report_json",
    "report_of",
    "undo",
]


def __getattr__(name: str) -> Any:
    """Load a store or a remote from its module."""
    if (home := _LATE.get(name)) is None:
        raise AttributeError(f"module 'towline' has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value
