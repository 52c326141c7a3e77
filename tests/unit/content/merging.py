"""One merge of three texts."""

from __future__ import annotations

from towline.content import ContentOutcome, merge_content
from towline.content.merge import Choices
from towline.content_rules import ContentRules
from towline.model import ThreeWay


def merge(
    path: str,
    base: str,
    ours: str,
    theirs: str,
    rules: ContentRules = ContentRules(),
    choices: Choices | None = None,
) -> ContentOutcome:
    sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
    return merge_content(path, sides, rules, choices)


def content(path: str, base: str, ours: str, theirs: str) -> str | None:
    found = merge(path, base, ours, theirs).content
    return None if found is None else found.decode()
