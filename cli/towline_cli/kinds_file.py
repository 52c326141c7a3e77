"""The kinds file: TOML, or JSON by its name, of what is an asset and of which kind.

hidden = false

[[kinds]]
name = "pipeline"
globs = ["pipelines/**/*.json"]
id_pointer = "/id"
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from towline.errors import InvalidValue
from towline.kinds import Kind, Kinds


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KindEntry(_Strict):
    """One kind; see `towline.kinds.Kind`."""

    name: str = Field(min_length=1, max_length=100)
    globs: list[str] = Field(min_length=1)
    id_pointer: str | None = None


class KindsFile(_Strict):
    """All kinds, in order of precedence."""

    kinds: list[KindEntry] = Field(min_length=1)
    hidden: bool = False


def read_kinds(path: Path) -> Kinds:
    """The kinds that a file describes.

    Raises:
        InvalidValue: it is no such file; the error names the field.
    """
    try:
        content = KindsFile.model_validate(_document(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(["kinds file", *map(str, first["loc"])])
        raise InvalidValue(field=field, problem=first["msg"]) from None
    return Kinds(
        kinds=tuple(
            Kind(name=entry.name, globs=tuple(entry.globs), id_pointer=entry.id_pointer)
            for entry in content.kinds
        ),
        hidden=content.hidden,
    )


def _document(path: Path) -> Any:
    try:
        text = path.read_bytes().decode()
        return json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except UnicodeDecodeError:
        raise InvalidValue(field="kinds file", problem="is not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise InvalidValue(field="kinds file", problem=f"cannot be read: {error}") from None
