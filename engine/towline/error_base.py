"""The root of all errors that towline raises, and how its classes are made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, ClassVar, Self, cast, dataclass_transform


@dataclass_transform(eq_default=False, kw_only_default=True)
@dataclass(eq=False, kw_only=True)
class TowlineError(Exception):
    """The root of all errors that towline raises on purpose.

    Each class is made a dataclass, when it is first raised: few of them are in one process.
    """

    code: ClassVar[str] = "error"
    template: ClassVar[str] = ""
    """The message, with the error's fields in braces; a tuple is shown as a list."""

    def __init_subclass__(cls, *, code: str | None = None) -> None:
        if code is not None:
            cls.code = code

    def __new__(cls, *_: object, **__: object) -> Self:
        """Make the class a dataclass first, if this is its first error."""
        if cls not in _DATACLASSES:
            _make_dataclass(cls)
        return super().__new__(cls)

    @property
    def message(self) -> str:
        """One sentence for a person: what is wrong, and what to do."""
        shown = {k: listed(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}
        return self.template.format_map(shown) or self.code

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **{f.name: getattr(self, f.name) for f in fields(self)}), ()

    def data(self) -> dict[str, Any]:
        """Return the error's attributes as JSON values."""
        return cast(dict[str, Any], json.loads(json.dumps(asdict(self), default=str)))


_DATACLASSES: set[type] = {TowlineError}


def _make_dataclass(error: type[TowlineError]) -> None:
    """Make a class and those above it dataclasses.

    Two threads may both make one, to the same effect, and none uses one that is half made.
    """
    for each in reversed(error.__mro__):
        if issubclass(each, TowlineError) and each not in _DATACLASSES:
            dataclass(eq=False, kw_only=True)(each)
            _DATACLASSES.add(each)


def listed(values: tuple[str, ...], most: int = 10) -> str:
    """Return values as a sentence names them, no more than ``most``."""
    shown = ", ".join(repr(str(value)) for value in values[:most])
    return shown if len(values) <= most else f"{shown} and {len(values) - most} more"
