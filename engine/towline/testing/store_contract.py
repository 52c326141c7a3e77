"""The contract of the `AssetStore` port, as tests that run over any store.

Subclass `StoreContract` in a test module, and give it a fixture ``new_store`` that returns a
`NewStore`: a function that makes an empty project with the asked name policy and length of log,
and answers with a `StoreHarness` for it. Each promise of the port is then one test.
"""

from __future__ import annotations

from towline.testing.store_apply import ApplyContract
from towline.testing.store_failures import FailureContract
from towline.testing.store_log import LogContract
from towline.testing.store_lookups import LookupContract


class StoreContract(LookupContract, ApplyContract, FailureContract, LogContract):
    """Every promise of the port. A subclass gives the fixture ``new_store``."""
