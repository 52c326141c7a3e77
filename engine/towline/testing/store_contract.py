"""The contract of the `AssetStore` port, as tests that run over any store.

Subclass `StoreContract` in a test module, and give it a fixture ``new_store``: a `NewStore`, which
makes an empty project with the given name policy and length of log, and returns a `StoreHarness`
for it. That of a `BaseStore` is `BaseStoreHarness`. Each promise of the port is then one test.
"""

from __future__ import annotations

from towline.testing.store_apply import ApplyContract
from towline.testing.store_failures import FailureContract
from towline.testing.store_harness import BaseStoreHarness, Interruption, NewStore, StoreHarness
from towline.testing.store_log import LogContract
from towline.testing.store_lookups import LookupContract
from towline.testing.store_resolutions import ResolutionContract
from towline.testing.store_returns import ReturnContract

__all__ = ["BaseStoreHarness", "Interruption", "NewStore", "StoreContract", "StoreHarness"]


class StoreContract(
    LookupContract, ApplyContract, FailureContract, LogContract, ResolutionContract, ReturnContract
):
    """Every promise of the port. A subclass gives the fixture ``new_store``, and its traits."""
