"""The error of the command, beside those of the library."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import click

from .exit_codes import FAILURE


@dataclass(eq=False)
class CommandError(click.ClickException):
    """The command cannot continue, though nothing in the library failed."""

    code: str
    problem: str
    advice: str = ""
    exit_with: int = FAILURE
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.problem)
