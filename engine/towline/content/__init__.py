"""Merges inside one asset: by structure where the content is parsed, else line by line."""

from towline.content.merge import ContentOutcome, are_equal, merge_content
from towline.content.structure import FieldConflict

__all__ = ["ContentOutcome", "FieldConflict", "are_equal", "merge_content"]
