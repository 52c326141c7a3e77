"""The error of the command, beside those of the library."""

from __future__ import annotations

from dataclasses import dataclass

import click

from .exit_codes import FAILURE


@dataclass(eq=False)
class CommandError(click.ClickException):
    """The command cannot continue, though nothing in the library failed."""

    code: str
    problem: str
    advice: str = ""
    exit_with: int = FAILURE

    def __post_init__(self) -> None:
        super().__init__(self.problem)
