"""The merge: what the remote changed, and a lookup of ours, to a plan. Pure and deterministic."""

from towline.merge.context import Context
from towline.merge.index import AssetIndex
from towline.merge.merge import merge

__all__ = ["AssetIndex", "Context", "merge"]
