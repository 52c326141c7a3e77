"""What the models and the routes of several dialects share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from towline_server.api.models import Model
from towline_server.services import Services, services_of

Opened = Annotated[Services, Depends(services_of)]
"""The services of the application that answers a request."""


class CamelModel(Model):
    """A JSON object whose names are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
