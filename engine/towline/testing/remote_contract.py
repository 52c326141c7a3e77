"""The contract suite of the `Remote` port, including its counters.

Subclass `RemoteContract` in a test module, and give it a fixture named ``harness``:

    class TestMyRemote(RemoteContract):
        @pytest.fixture
        def harness(self, tmp_path):
            return RemoteHarness(repository=..., opener=...)
"""

from __future__ import annotations

from towline.testing.remote_fetching import FetchContract
from towline.testing.remote_harness import RemoteHarness, Repository
from towline.testing.remote_limits import LimitContract
from towline.testing.remote_trees import TreeContract

__all__ = ["RemoteContract", "RemoteHarness", "Repository"]


class RemoteContract(FetchContract, TreeContract, LimitContract):
    """The contract of every remote."""
