"""The contract suite of the `Remote` port: what holds for every remote, counters included.

Subclass `RemoteContract` in a test module, and give it a fixture named ``harness``:

    class TestMyRemote(RemoteContract):
        @pytest.fixture
        def harness(self, tmp_path):
            return RemoteHarness(repository=..., opener=...)
"""

from __future__ import annotations

from towline.testing.remote_harness import RemoteHarness, Repository
from towline.testing.remote_limits import LimitContract
from towline.testing.remote_talks import TalkContract
from towline.testing.remote_trees import TreeContract

__all__ = ["RemoteContract", "RemoteHarness", "Repository"]


class RemoteContract(TalkContract, TreeContract, LimitContract):
    """What every remote promises."""
