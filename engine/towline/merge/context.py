"""What a merge must know of the project besides its assets."""

from __future__ import annotations

from towline.frozen import frozen
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline.records import StoreState
from towline.resolutions import SavedResolution


@frozen(kw_only=True)
class Context:
    """What a merge must know of the project besides its assets."""

    project: str
    state: StoreState
    kinds: Kinds = Kinds()
    names: NamePolicy = NamePolicy.EXACT
    keeps_executable: bool = True
    """Whether the store knows the executable bit of an asset that was never pulled."""
    scope: str = ""
    saved: tuple[SavedResolution, ...] = ()
    """The project's saved resolutions; `PullOptions.resolutions` go before them."""
