"""What each rule of docs/semantics.md means, in a sentence for who asks why."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

RULES: Mapping[int, str] = MappingProxyType(
    {
        0: "It is the same on all three sides.",
        1: "Only the repository changed it.",
        2: "The repository deleted it, and it was not changed here.",
        3: "It is new in the repository.",
        4: "It was changed here only.",
        5: "It was deleted here only.",
        6: "It exists here only, and was never in the repository.",
        7: "Both sides changed it alike.",
        8: "Both sides changed the same of it.",
        9: "Both sides changed it, each something else: the changes merge.",
        10: "Both sides added another asset at this path.",
        11: "It was changed here, and the repository deleted it.",
        12: "It was deleted here, and the repository changed it.",
        13: "Another asset would be at the same path.",
        14: "The repository has it, but it is no asset of the project.",
    }
)


def rule_text(rule: int | None) -> str:
    """Return why a rule decided as it did; of an undo, which has none, that it is one."""
    return "The pull that is undone had changed it." if rule is None else RULES[rule]
