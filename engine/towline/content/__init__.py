"""Merges inside one asset: by structure where the content is parsed, else line by line."""

from towline.content.fields import FieldConflict
from towline.content.merge import ContentOutcome, are_equal, merge_added, merge_content

__all__ = ["ContentOutcome", "FieldConflict", "are_equal", "merge_added", "merge_content"]
