"""A control plane for tests: SQLite, two tenants, cheap passwords, clocks that do not run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from uuid import UUID

    from towline_server.auth.passwords import Passwords
    from towline_server.auth.roles import Role
    from towline_server.db import Database
    from towline_server.projects.domain import Connection, Project
    from towline_server.services import Services
    from towline_server.settings import Settings

ISSUER = "https://issuer.demo.example"
AUDIENCE = "towline"
JWT_SECRET = "a shared secret of demo quality, 32+ bytes"
PASSWORD = "correct demo password"
START = 1_800_000_000.0


@dataclass
class Clock:
    """A clock that shows one time until it is moved."""

    seconds: float = START

    def __call__(self) -> float:
        return self.seconds

    def move(self, seconds: float) -> None:
        self.seconds += seconds


def cheap_passwords(**options: Any) -> Passwords:
    """Passwords whose hashes cost next to nothing."""
    from argon2 import PasswordHasher

    from towline_server.auth.passwords import Passwords

    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    return Passwords(hasher=hasher, **options)


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting comes from outside."""
    for name in os.environ:
        if name.startswith("TOWLINE_"):
            monkeypatch.delenv(name)


@pytest.fixture
def settings(plain_environment: None, sqlite_url: str, tmp_path: Path) -> Settings:
    """Settings that take HS256 tokens, and bound no rate."""
    from towline_server.settings import load_settings

    return load_settings(
        database_url=sqlite_url,
        data_dir=tmp_path / "data",
        secret_keys=["the first secret key of a test, long enough"],
        jwt_issuer=ISSUER,
        jwt_audience=AUDIENCE,
        jwt_hs256_secret=JWT_SECRET,
        rate_per_second=0,
        address_rate_per_second=0,
    )


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    """The services of these settings."""
    from towline_server.db import Database, make_engine
    from towline_server.services import assemble

    database = Database(make_engine(settings.database))
    yield assemble(settings, database, cheap_passwords())
    database.close()


@dataclass
class Tenancy:
    """A tenant with a project, and one identity of each role."""

    services: Services
    name: str
    tenant_id: UUID
    project: Project
    connection: Connection
    keys: dict[Role | None, str] = field(default_factory=dict)
    """API keys by their role on the project; that of None has no role at all."""
    ids: dict[Role | None, UUID] = field(default_factory=dict)
    user_id: UUID | None = None
    email: str = ""


def make_tenancy(services: Services, name: str) -> Tenancy:
    """A tenant ``name`` with the project ``/name/space/project``, bound to a connection."""
    from towline_server.auth.roles import Role
    from towline_server.projects.domain import Binding
    from towline_server.projects.service import Projects
    from towline_server.projects.tenants import Tenants

    with services.database.writing() as session:
        tenant = Tenants(session).create(name)
        connection = services.connections(session).create(
            tenant_id=tenant.id, url=f"https://git.demo.example/{name}.git"
        )
        projects = Projects(session)
        project = projects.create(tenant_id=tenant.id, path=f"/{name}/space/project")
        project = projects.associate(project.id, Binding(connection_id=connection.id))
        tenancy = Tenancy(services, name, tenant.id, project, connection)
        identities = services.identities(session)
        for role in (None, *Role):
            made, key = identities.create_key(tenant_id=tenant.id, name=f"{role} key")
            tenancy.keys[role], tenancy.ids[role] = key, made.id
            if role is not None:
                identities.grant(made.id, project, role)
        tenancy.email = f"user@{name}.example"
        user = identities.create_user(
            tenant_id=tenant.id, email=tenancy.email, password=PASSWORD, tenant_role=Role.WRITER
        )
        tenancy.user_id = user.id
    return tenancy


def new_key(
    database: Database,
    tenant_id: UUID,
    role: Role | None = None,
    project: Project | None = None,
    *,
    name: str = "",
) -> str:
    """An API key: with a role on the project, or on the whole tenant."""
    from uuid import uuid4

    from towline_server.auth.identities import Identities

    with database.writing() as session:
        identities = Identities(session, cheap_passwords())
        tenant_role = role if project is None else None
        made, key = identities.create_key(
            tenant_id=tenant_id, name=name or uuid4().hex, tenant_role=tenant_role
        )
        if role is not None and project is not None:
            identities.grant(made.id, project, role)
    return key


@pytest.fixture
def demo(services: Services) -> Tenancy:
    """The tenant that tests speak for."""
    return make_tenancy(services, "demo")


@pytest.fixture
def other(services: Services) -> Tenancy:
    """Another tenant, of which the first must learn nothing."""
    return make_tenancy(services, "other")
