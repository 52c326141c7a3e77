"""The words that docs/concepts.md bans are in no module, no scenario and no document."""

from __future__ import annotations

import itertools
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(
    file
    for top in ("engine", "cli", "server", "tests", "fixtures", "benchmarks")
    for kind in ("*.py", "*.toml", "scenarios/*.json")
    for file in (ROOT / top).rglob(kind)
    # The names of old tables stay; this module has examples.
    if "migrations" not in file.parts and file != Path(__file__)
)
PAGES = sorted(
    page
    for top in ("docs", "tests", "fixtures", "benchmarks")
    for page in (ROOT / top).rglob("*.md")
) + sorted(ROOT.glob("*.md"))


@cache
def banned() -> frozenset[str]:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    table = text.partition("| not | but |")[2]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return frozenset(word for row in rows for word in row.split(", "))


def used(text: str) -> frozenset[str]:
    """The banned words in a text: in names, messages, docstrings and comments alike."""
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", text)]
    return banned() & {*words, *map(" ".join, itertools.pairwise(words))}


def test_it_finds_names_messages_docstrings_and_comments():
    source = 'def told(x):\n    """Brought."""\n    x.was_kept = IsStanding("anew")  # Stood.'
    assert used(source) == {"told", "brought", "kept", "standing", "anew", "stood"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_document_uses_them(page: Path):
    text = page.read_text(encoding="utf-8").partition("## Words that are not used")[0]
    text = re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    assert used(text) == set()


def test_no_module_uses_them():
    words = {str(each.relative_to(ROOT)): used(each.read_text("utf-8")) for each in CODE}
    assert {name: found for name, found in words.items() if found} == {}
