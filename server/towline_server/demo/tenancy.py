"""The demo's tenant: its projects, and a credential in the form of each dialect.

All of it is fixed and public, so that what the README prints works. It is for a server on a
loopback address that forgets everything when it ends; nothing else accepts these credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import jwt
from sqlalchemy import update
from sqlalchemy.orm import Session

from towline.model import Revision
from towline_server.auth.roles import Role
from towline_server.projects.connection_tables import BindingRow
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.projects.tenants import Tenants
from towline_server.services import Services

from .content import KINDS_OF_PIPELINES, KINDS_OF_RULES, PIPELINES_BRANCH

TENANT = "demo"
EMAIL = "demo@towline.example"
PASSWORD = "towline-demo"  # noqa: S105 - public on purpose
SUBJECT = "demo"
KEYS: Mapping[str, str] = MappingProxyType(
    {name: f"twl_demo_{name}" for name in ("nected", "codat", "syncs", "connections", "native")}
)
RULES_PROJECT = UUID("a0000000-0000-4000-8000-000000000001")
PIPELINES_PROJECT = UUID("a0000000-0000-4000-8000-000000000002")
RULES_CONNECTION = UUID("c0000000-0000-4000-8000-000000000001")
PIPELINES_CONNECTION = UUID("c0000000-0000-4000-8000-000000000002")

TOKENS: Mapping[str, str] = MappingProxyType(
    {
        "jwt_issuer": "https://towline.example/demo",
        "jwt_audience": "towline-demo",
        "jwt_hs256_secret": "the demo's secret, which everybody knows",
    }
)
"""The settings that tokens are verified under."""


def make_tenancy(services: Services, git_url: str) -> None:
    """Make the tenant, its users and its two projects."""
    with services.database.writing() as session:
        tenant_id = Tenants(session).create(TENANT).id
        _make_callers(services, session, tenant_id)
        pipelines = Binding(connection_id=PIPELINES_CONNECTION, ref=f"heads/{PIPELINES_BRANCH}")
        rules = Binding(connection_id=RULES_CONNECTION, ref="heads/main")
        projects = Projects(session)
        for name, project_id, kinds, binding in (
            ("pipelines", PIPELINES_PROJECT, KINDS_OF_PIPELINES, pipelines),
            ("rules", RULES_PROJECT, KINDS_OF_RULES, rules),
        ):
            services.connections(session).create(
                tenant_id=tenant_id,
                url=f"{git_url}/{name}.git",
                name=name,
                connection_id=binding.connection_id,
            )
            path = f"/{TENANT}/shop/{name}"
            projects.create(tenant_id=tenant_id, path=path, kinds=kinds, project_id=project_id)
            projects.associate(project_id, binding)


def note_fetched(services: Services, project_id: UUID, revision: Revision) -> None:
    """Record that a revision was fetched, so that what it changes is shown from the start."""
    values = {"fetched_revision": revision, "fetched_at": datetime.now(UTC)}
    with services.database.writing() as session:
        bound = update(BindingRow).where(BindingRow.project_id == project_id)
        session.execute(bound.values(**values))


def token() -> str:
    """A JWT of the demo's user, good for a day."""
    issued = datetime.now(UTC)
    claims = {
        "sub": SUBJECT,
        "iss": TOKENS["jwt_issuer"],
        "aud": TOKENS["jwt_audience"],
        "iat": issued,
        "exp": issued + timedelta(days=1),
    }
    return jwt.encode(claims, TOKENS["jwt_hs256_secret"], algorithm="HS256")


def _make_callers(services: Services, session: Session, tenant_id: UUID) -> None:
    identities = services.identities(session)
    identities.create_user(
        tenant_id=tenant_id,
        email=EMAIL,
        password=PASSWORD,
        name="Demo",
        tenant_role=Role.ADMIN,
        subject=SUBJECT,
    )
    for name, key in KEYS.items():
        identities.create_key(tenant_id=tenant_id, name=name, tenant_role=Role.ADMIN, key=key)
