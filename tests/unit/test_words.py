"""The words that docs/concepts.md bans are in no module and no document."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(
    module
    for top in ("engine", "cli", "server")
    for module in (ROOT / top).rglob("*.py")
    if "migrations" not in module.parts  # the names of old tables stay
)
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "fixtures").rglob("*.md")]
)


def banned() -> list[str]:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    table = text.partition("| not | but |")[2]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return [word for row in rows for word in row.split(", ")]


def used(words: list[str], text: str) -> set[str]:
    pattern = rf"\b({'|'.join(words)})\b"
    return {word.lower() for word in re.findall(pattern, text, re.IGNORECASE)}


def found(source: str) -> set[str]:
    """The banned words in a module: in names, messages, docstrings and comments."""
    return used(banned(), re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", source))


def test_it_finds_names_messages_docstrings_and_comments():
    source = 'def told(x):\n    """Brought."""\n    x.was_kept = IsStanding("anew")  # Stood.'
    assert found(source) == {"told", "brought", "kept", "standing", "anew", "stood"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_document_uses_them(page: Path):
    text = page.read_text(encoding="utf-8").partition("## Words that are not used")[0]
    text = re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    assert used(banned(), text) == set()


def test_no_module_uses_them():
    lines = {str(each.relative_to(ROOT)): found(each.read_text("utf-8")) for each in CODE}
    assert {name: words for name, words in lines.items() if words} == {}
