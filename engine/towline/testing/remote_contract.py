"""The contract suite of the `Remote` port: what holds for every remote, counters included.

Subclass `RemoteContract` in a test module, and give it a fixture named ``harness``:

    class TestMyRemote(RemoteContract):
        @pytest.fixture
        def harness(self, tmp_path):
            return RemoteHarness(repository=..., opener=...)
"""

from __future__ import annotations

from .remote_harness import RemoteHarness, Repository
from .remote_limits import LimitContract
from .remote_talks import TalkContract
from .remote_trees import TreeContract

__all__ = ["RemoteContract", "RemoteHarness", "Repository"]


class RemoteContract(TalkContract, TreeContract, LimitContract):
    """What every remote promises."""
