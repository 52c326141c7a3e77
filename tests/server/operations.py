"""What ``docs/operations.md`` has to say, read out of the code; and guides' blocks, to be run."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from towline_server.reloading import RELOADABLE
from towline_server.settings import Settings

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
BACKUP = DOCUMENT.parent / "how-to" / "back-up-and-upgrade.md"


def settings_table() -> str:
    """A row for each setting, in the order of their definition."""
    rows = ["| setting | default | what it is | reloaded |", "|---|---|---|---|"]
    for name, default, meaning in _settings(Settings):
        reloaded = "yes" if name in RELOADABLE else ""
        rows.append(f"| `{name}` | {_shown(default)} | {meaning} | {reloaded} |")
    return "\n".join(rows)


def _settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """The name, default and meaning of each setting; those of a table have its name before."""
    docstrings = _docstrings(model)
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        assert default is not PydanticUndefined
        if isinstance(default, BaseModel):
            yield from _settings(type(default), f"{prefix}{name}.")
        else:
            meaning = docstrings[name].replace("``", "`").replace("|", "\\|")
            yield f"{prefix}{name}", default, meaning


def _shown(default: Any) -> str:
    if isinstance(default, SecretStr):
        default = default.get_secret_value()
    if isinstance(default, (tuple, frozenset)):
        default = ", ".join(map(str, default))
    return f"`{default}`" if default not in ("", None, {}) else ""


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring of each setting."""
    [found] = ast.parse(inspect.getsource(model)).body
    assert isinstance(found, ast.ClassDef)
    docstrings = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        match field, text:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(words))),
            ):
                docstrings[name] = re.sub(r"\s+", " ", words).strip()
            case _:
                pass
    return docstrings


def block(name: str) -> str:
    """The shell lines of the guide to backups behind the mark of this name."""
    marked = rf"<!-- A test runs this block: {re.escape(name)}\. -->\n```\n(.*?)```"
    [found] = re.findall(marked, BACKUP.read_text(encoding="utf-8"), re.DOTALL)
    return str(found)
