"""Whether a pull has anything to do, before anything of a plan is loaded: most pulls have not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from towline.options import Comparison, PullOptions

if TYPE_CHECKING:
    from towline.model import Revision
    from towline.ports import Remote, Snapshot
    from towline.records import StoreState


def is_up_to_date(
    snapshot: Snapshot, remote: Remote, state: StoreState, revision: Revision, options: PullOptions
) -> bool:
    """Whether a merge would look at no asset: none changed there, lags, or is named.

    ``state`` is the snapshot's, ``revision`` what the remote has.
    """
    return (
        state.base == revision
        and options.comparison is Comparison.INCREMENTAL
        and is_comparable(snapshot, remote, state)
        and not options.resolutions.named()
        and options.only.is_all
        and not (options.use_saved and snapshot.saved_resolutions())
        and not snapshot.lagging()
    )


def is_comparable(snapshot: Snapshot, remote: Remote, state: StoreState) -> bool:
    """Whether the recorded base was read with these kinds and this scope."""
    return state.scope == remote.scope and state.fingerprint == snapshot.kinds.fingerprint
