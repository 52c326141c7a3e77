"""Where theirs comes from: Git repositories over every transport, and a fake in memory.

Nothing heavy is imported before it is used: with a git executable at hand, finding that nothing
changed needs neither pygit2 nor dulwich.
"""

from __future__ import annotations

from .memory import MemoryRemote, MemoryRepository
from .tree_files import FileContent, Files, Submodule, Symlink

__all__ = ["FileContent", "Files", "MemoryRemote", "MemoryRepository", "Submodule", "Symlink"]
