"""The files that a pull replaced, which stay until the next command: see `journal`."""

from __future__ import annotations

from collections.abc import Iterable

from towline.model import AssetPath, Digest
from towline.stores.directory.digests import DigestCache
from towline.stores.directory.disk import Disk
from towline.stores.directory.journal import REPLACED_JOURNAL, Step, read_journal
from towline.stores.directory.placement import Placement
from towline.stores.directory.state_folder import REPLACED, remove_files

MOST_BYTES = 256 * 1024 * 1024
"""The most bytes of replaced files that are retained."""


class ReplacedFiles:
    """The replaced files of one project. One that was written to since is saved as an edit."""

    def __init__(self, disk: Disk, digests: DigestCache, shown: str) -> None:
        self._disk = disk
        self._digests = digests
        self._shown = shown

    def remove(self) -> list[AssetPath]:
        """Remove them; return the saved edits."""
        if self._disk.stat(REPLACED) is None:
            return []
        placement = Placement(self._disk, sets_executable=False)
        if self._disk.stat(REPLACED_JOURNAL) is not None:
            for step in read_journal(self._disk, REPLACED_JOURNAL, self._shown).steps:
                if step.removes_old_file:
                    self._remove(step, step.replaced, placement)
        remove_files(self._disk, REPLACED)
        return placement.saved

    def remove_beyond_bound(self, steps: Iterable[Step]) -> None:
        """Remove the backups that are not retained, as there would be more than `MOST_BYTES`."""
        placement, size = Placement(self._disk, sets_executable=False), 0
        for step in steps:
            stat = self._disk.stat(step.backup) if step.removes_old_file else None
            size += stat.size if stat is not None else 0
            if stat is not None and size > MOST_BYTES:
                self._remove(step, step.backup, placement)
                size -= stat.size

    def _remove(self, step: Step, path: str, placement: Placement) -> None:
        stat = self._disk.stat(path)
        if stat is None or step.before is None:
            return
        known = self._digests.last(step.replaced)
        if known is not None and known.is_current_for(stat):
            digest: Digest | None = known.digest
        else:
            found = self._disk.digest(path)
            digest = None if found is None else found[0]
        if digest == step.before.digest:
            self._disk.unlink(path)
        else:
            placement.save_edit(path, step.before.path)
        self._digests.put(step.replaced, None)
