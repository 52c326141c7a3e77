"""towline brings a project's assets up to date with their Git repository.

    from towline import DirectoryStore, GitRemote, PullOptions, Resolutions, pull

    theirs = Resolutions(use_theirs=["65e12ed44f526dee5878a380"])
    report = pull(store, remote, PullOptions(resolutions=theirs))

The public interface is ``__all__``, `towline.errors` and `towline.testing`.
Each name is imported on first use; nothing here imports a Git library.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from towline.apply import apply, check_kinds
    from towline.changes import Change, Changes
    from towline.conflicts import Conflict, ConflictKind
    from towline.errors import TowlineError
    from towline.kinds import Kind, Kinds
    from towline.limits import Limits
    from towline.merge import AssetIndex, Context, merge
    from towline.model import AssetId, AssetPath, AssetState, Digest, Revision, ThreeWay
    from towline.names import NamePolicy
    from towline.options import (
        Comparison,
        ContentMerge,
        Naming,
        OnConflict,
        PullOptions,
        Renames,
        Resolutions,
        Selection,
        Side,
    )
    from towline.plan import Plan
    from towline.planfile import dump_plan, load_plan
    from towline.ports import AssetStore, Phase, Remote, Watch
    from towline.pull import plan_at, plan_pull, pull
    from towline.records import AssetRecord
    from towline.remotes.backends import Backend
    from towline.remotes.git import GitRemote
    from towline.remotes.memory import MemoryRemote
    from towline.report import Report, Status, report_json, report_of
    from towline.resolutions import SavedResolution
    from towline.stores.directory.store import DirectoryStore
    from towline.stores.memory import MemoryStore
    from towline.undo import plan_undo, undo

__version__ = "0.1.0"

# Module -> the public names in it.
_HOMES = {
    ".apply": "apply check_kinds",
    ".changes": "Change Changes",
    ".conflicts": "Conflict ConflictKind",
    ".errors": "TowlineError",
    ".kinds": "Kind Kinds",
    ".limits": "Limits",
    ".merge": "AssetIndex Context merge",
    ".model": "AssetId AssetPath AssetState Digest Revision ThreeWay",
    ".names": "NamePolicy",
    ".options": "Comparison ContentMerge Naming OnConflict PullOptions Renames"
    " Resolutions Selection Side",
    ".plan": "Plan",
    ".planfile": "dump_plan load_plan",
    ".ports": "AssetStore Phase Remote Watch",
    ".pull": "plan_at plan_pull pull",
    ".records": "AssetRecord",
    ".remotes.backends": "Backend",
    ".remotes.git": "GitRemote",
    ".remotes.memory": "MemoryRemote",
    ".report": "Report Status report_json report_of",
    ".resolutions": "SavedResolution",
    ".stores.directory.store": "DirectoryStore",
    ".stores.memory": "MemoryStore",
    ".undo": "plan_undo undo",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}


class _Package(ModuleType):
    """This package, in which ``apply``, ``merge``, ``pull`` and ``undo`` are functions.

    Importing a module binds its name in its package; these four are names of modules, too.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _HOME_OF):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package

__all__ = [
    "AssetId",
    "AssetIndex",
    "AssetPath",
    "AssetRecord",
    "AssetState",
    "AssetStore",
    "Backend",
    "Change",
    "Changes",
    "Comparison",
    "Conflict",
    "ConflictKind",
    "ContentMerge",
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
    "Naming",
    "OnConflict",
    "Phase",
    "Plan",
    "PullOptions",
    "Remote",
    "Renames",
    "Report",
    "Resolutions",
    "Revision",
    "SavedResolution",
    "Selection",
    "Side",
    "Status",
    "ThreeWay",
    "TowlineError",
    "Watch",
    "apply",
    "check_kinds",
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
    """Load a public name from its module."""
    if (home := _HOME_OF.get(name)) is None:
        raise AttributeError(f"module 'towline' has no attribute {name!r}")
    value = getattr(import_module(home, __name__), name)
    globals()[name] = value
    return value
