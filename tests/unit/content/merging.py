"""One merge of three texts; `merged` and `conflicts` are of JSON."""

from __future__ import annotations

from towline.content import ContentOutcome, merge_content
from towline.content.fields import Reason
from towline.content.merge import Choices
from towline.content.pointers import format_pointer
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


def merged(base: str, ours: str, theirs: str, rules: ContentRules = ContentRules()) -> str:
    outcome = merge("a.txt", base, ours, theirs, rules)
    assert outcome.content is not None, outcome
    return outcome.content.decode()


def conflicts(
    base: str, ours: str, theirs: str, rules: ContentRules = ContentRules()
) -> dict[str, Reason]:
    outcome = merge("a.txt", base, ours, theirs, rules)
    assert outcome.content is None
    return {format_pointer(each.pointer): each.reason for each in outcome.fields}
