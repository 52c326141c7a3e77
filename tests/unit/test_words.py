"""The words that docs/concepts.md bans are in no name, message or document."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
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

# Still in the code: a word leaves this list with its last use, and none is added.
PENDING = {
    *("brought", "kept", "said"),
    *("stand", "standing", "stands", "stood", "told"),
}


def banned() -> list[str]:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    table = text.partition("| not | but |")[2]
    rows = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return [word for row in rows for word in row.split(", ")]


def used(words: list[str], text: str) -> set[str]:
    pattern = rf"\b({'|'.join(words)})\b"
    return {word.lower() for word in re.findall(pattern, text, re.IGNORECASE)}


def plain(name: str) -> str:
    """A name as the words that it consists of."""
    return " ".join(re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name))


def texts(tree: ast.Module) -> Iterator[str]:
    """The names that a module defines or uses, and its texts, docstrings aside."""
    bare = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield plain(node.name)
            case ast.arg():
                yield plain(node.arg)
            case ast.Attribute():
                yield plain(node.attr)
            case ast.Name():
                yield plain(node.id)
            case ast.Constant(value=str(value)) if id(node) not in bare:
                yield value


def found(source: str, words: list[str]) -> set[str]:
    return used(words, "\n".join(texts(ast.parse(source))))


def test_it_finds_names_and_messages_and_no_docstrings():
    source = 'def told(x):\n    """Brought."""\n    x.was_kept = Standing\n    raise E("anew")'
    assert found(source, banned()) == {"told", "kept", "standing", "anew"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_document_uses_them(page: Path):
    text = page.read_text(encoding="utf-8").partition("## Words that are not used")[0]
    text = re.sub(r"^```.*?^```|`[^`]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    assert used(banned(), text) == set()


def test_no_name_or_message_uses_them():
    words = [word for word in banned() if word not in PENDING]
    lines = {
        str(module.relative_to(ROOT)): found(module.read_text("utf-8"), words) for module in CODE
    }
    assert {name: each for name, each in lines.items() if each} == {}
