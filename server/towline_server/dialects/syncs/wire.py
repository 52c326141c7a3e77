"""How names are spelled in the JSON of the Syncs API."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Wire(BaseModel):
    """A JSON object whose names are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
