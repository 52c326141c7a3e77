"""What a test of a dialect stands at: a client, a tenant, keys, and the seed's schema."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator, FormatChecker

from tests.server.runs.world import World
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.runs.schedules import Schedules
from towline_server.runs.service import Runs
from towline_server.services import Services


@dataclass(frozen=True)
class Executing:
    """Services' runs."""

    runs: Runs

    @property
    def schedules(self) -> Schedules:
        return Schedules(self.runs._database, self.runs)


@dataclass
class Desk:
    """The control plane, and one tenant's way to it."""

    client: TestClient
    world: World
    services: Services

    def key(
        self, role: Role | None = None, project: Project | None = None, world: World | None = None
    ) -> str:
        """An API key of the tenant: with a role on the project, or on all of them."""
        tenant_role = role if project is None else None
        with self.services.database.writing() as session:
            identities = self.services.identities(session)
            made, key = identities.create_key(
                tenant_id=(world or self.world).tenant_id,
                name=uuid4().hex,
                tenant_role=tenant_role,
            )
            if project is not None and role is not None:
                identities.grant(made.id, project, role)
        return key


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def basic(key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(key.encode()).decode()}"}


class SeedSchema:
    """The JSON Schemas written from one seed, by name."""

    def __init__(self, name: str) -> None:
        text = (Path(__file__).parent / "schemas" / f"{name}.json").read_text()
        self._document = json.loads(text)

    def check(self, name: str, value: Any) -> None:
        """Refuse what the seed would not say."""
        schema = {"$ref": f"#/$defs/{name}", "$defs": self._document["$defs"]}
        Draft202012Validator(schema, format_checker=_formats()).validate(value)


def _formats() -> FormatChecker:
    """Formats without a further library: what is a time, and what a UUID."""
    from datetime import datetime
    from uuid import UUID

    checker = FormatChecker(formats=())

    @checker.checks("date-time", raises=ValueError)
    def is_time(value: object) -> bool:
        if not isinstance(value, str):
            return True
        return value.endswith("Z") and datetime.fromisoformat(value).tzinfo is not None

    @checker.checks("uuid", raises=ValueError)
    def is_uuid(value: object) -> bool:
        return not isinstance(value, str) or str(UUID(value)) == value

    return checker
