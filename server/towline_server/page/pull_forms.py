"""The fields of the forms that request a pull or a plan."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from starlette.datastructures import FormData

from towline.errors import InvalidValue
from towline.model import AssetId
from towline.options import OnConflict, Selection
from towline_server.runs.domain import RunMode, RunRequest

from .visitor import text_of, texts_of

Choice = TypeVar("Choice", bound=StrEnum)


def request_of(form: FormData, mode: RunMode) -> RunRequest:
    """Return what a form asks of a pull.

    Raises:
        InvalidValue: a field is not what the page offers.
    """
    selected = text_of(form, "only") == "selected"
    ids = frozenset(AssetId.parse(each) for each in texts_of(form, "id")) if selected else ()
    if selected and not ids:
        raise InvalidValue(field="selected assets", problem="are none; select some first")
    return RunRequest(
        mode=mode,
        only=Selection(ids=frozenset(ids)),
        on_conflict=chosen(form, "on_conflict", OnConflict),
        allow_empty=text_of(form, "allow_empty") == "yes",
    )


def chosen(form: FormData, name: str, choices: type[Choice]) -> Choice | None:
    """Return the choice of a field; None where it is left open. Raises InvalidValue."""
    text = text_of(form, name)
    try:
        return choices(text) if text else None
    except ValueError:
        raise InvalidValue(field=name, problem=f"{text[:40]!r} is not a choice") from None
