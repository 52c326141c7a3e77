"""What the models and the routes of several dialects share."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from towline_server.api.models import Model
from towline_server.services import Services, services_of


async def _opened(request: Request) -> Services:
    return services_of(request)


Opened = Annotated[Services, Depends(_opened)]
"""The services of the application that answers a request."""


class CamelModel(Model):
    """A JSON object whose names are in camel case."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)
