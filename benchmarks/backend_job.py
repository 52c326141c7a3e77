"""One backend doing one thing, as a process of its own: ``URL CACHE BACKEND [BASE]``.

Fetches what the branch names, compares it with BASE (else with nothing), reads every content that
differs, and prints the revision.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from towline.changes import RemoteAsset
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import Digest, Revision
from towline.ports import Watch
from towline.remotes.backends import Backend
from towline.remotes.git import GitRemote

LIMITS = Limits(assets=10**6, tree_entries=10**7, project_bytes=10**10, pack_bytes=10**10)


def work(url: str, cache: str, backend: str, base: str | None = None) -> int:
    """Do it; how many contents were read."""
    with GitRemote(
        url, cache=Path(cache), backend=Backend(backend), environment=os.environ
    ) as remote:
        revision = remote.fetch(None, LIMITS, Watch())
        if revision == base:
            return 0
        return sum(1 for _ in remote.contents(_differing(remote, base, revision)))


def _differing(remote: GitRemote, base: str | None, revision: Revision) -> Sequence[Digest]:
    if base is None:
        entries = remote.listing(revision, Kinds(), LIMITS, Watch()).values()
        return [entry.state.digest for entry in entries if isinstance(entry, RemoteAsset)]
    changes = remote.changes(Revision(base), revision, Kinds(), LIMITS, Watch())
    return [c.after.state.digest for c in changes.items if isinstance(c.after, RemoteAsset)]


if __name__ == "__main__":
    print(work(*sys.argv[1:]))
