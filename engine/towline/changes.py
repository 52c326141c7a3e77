"""What the remote changed, as values."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from towline.frozen import frozen
from towline.model import AssetPath, AssetState, NonAsset, Revision


@frozen(kw_only=True)
class IdProblem:
    """Why an asset's content has no id, where its kind has a pointer to one.

    ``of_kind``: one note is enough for all assets of the kind that have it.
    """

    text: str
    of_kind: bool = False


@frozen(kw_only=True)
class RemoteAsset:
    """An asset as the remote has it: its state, and what the merge must know of its content."""

    state: AssetState
    size: int = 0
    """Bytes."""
    embedded_id: str | None = None
    id_problem: IdProblem | None = None

    @property
    def path(self) -> AssetPath:
        """Its path in the project's scope."""
        return self.state.path


RemoteEntry: TypeAlias = RemoteAsset | NonAsset


@frozen(kw_only=True)
class Change:
    """One path before and after, on the remote's side; None where there is nothing."""

    path: AssetPath
    before: RemoteEntry | None
    after: RemoteEntry | None


class Coverage(StrEnum):
    """What a comparison is complete against, and so what a missing path means."""

    BASE = "base"
    """Compared with the recorded base tree, same kinds and scope."""
    RECORDS = "records"
    """Compared with the store's records, because the base tree is gone or the kinds changed."""
    RESCOPED = "rescoped"
    """As RECORDS, and the scope is another: what is absent left the scope, it was not deleted."""


@frozen(kw_only=True)
class Changes:
    """What the remote changed between base and theirs, one `Change` a path, sorted by path."""

    base: Revision | None
    revision: Revision
    items: tuple[Change, ...]
    coverage: Coverage = Coverage.BASE
    history_rewritten: bool | None = False
    """Whether base is no ancestor of the revision; None where a shallow history ends before it."""
