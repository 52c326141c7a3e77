"""Who asks, and what they prove themselves with."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import jwt
from sqlalchemy import delete

from tests.control_plane import AUDIENCE, ISSUER, JWT_SECRET, PASSWORD
from towline_server.auth.keys import KEY_PREFIX
from towline_server.auth.roles import Role
from towline_server.auth.tables import IdentityRow
from towline_server.projects.domain import Project
from towline_server.services import Services

Headers = Mapping[str, str]


class Credential(StrEnum):
    """A form that a credential comes in."""

    BASIC_PASSWORD = "basic_password"
    BASIC_KEY = "basic_key"
    BEARER_JWT = "bearer_jwt"
    BEARER_TOKEN_JWT = "bearer_token_jwt"
    BEARER_KEY = "bearer_key"
    X_API_KEY = "x_api_key"
    NECTED_API_KEY = "nected_api_key"
    COOKIE_JWT = "cookie_jwt"
    COOKIE_KEY = "cookie_key"

    @property
    def proof(self) -> str:
        """What is sent in this form: ``jwt``, ``key`` or ``password``."""
        return self.value.rpartition("_")[2]

    def sent(self, proof: str) -> dict[str, str]:
        """The header with a proof in this form."""
        match self:
            case Credential.BASIC_PASSWORD | Credential.BASIC_KEY:
                return {"Authorization": "Basic " + b64encode(proof.encode()).decode()}
            case Credential.BEARER_JWT | Credential.BEARER_KEY:
                return {"Authorization": f"Bearer {proof}"}
            case Credential.BEARER_TOKEN_JWT:
                return {"Authorization": f"Bearer Token {proof}"}
            case Credential.X_API_KEY:
                return {"X-API-Key": proof}
            case Credential.NECTED_API_KEY:
                return {"Nected-API-Key": proof}
            case Credential.COOKIE_JWT | Credential.COOKIE_KEY:
                return {"Cookie": f"vai_token={proof}"}


@dataclass(frozen=True, kw_only=True)
class Caller:
    """An account with a password, tokens, and an API key of the same roles."""

    role: Role | None
    """On the whole tenant, or on what `project_id` names alone."""
    project_id: UUID | None = None
    is_service: bool = False
    email: str = field(default_factory=lambda: f"{uuid4().hex}@callers.example")
    subject: str = field(default_factory=lambda: uuid4().hex)
    key: str = ""
    ids: tuple[UUID, ...] = ()

    def by(self, credential: Credential) -> dict[str, str]:
        """The header that proves in this form who asks."""
        proofs = {
            "password": f"{self.email}:{PASSWORD}",
            "jwt": token(sub=self.subject),
            "key": self.key,
        }
        return credential.sent(proofs[credential.proof])

    def can_send(self, credential: Credential) -> bool:
        """Whether the form proves them to be what they are: a key is no service account."""
        return not (self.is_service and credential.proof == "key")

    def __str__(self) -> str:
        where = "tenant" if self.project_id is None else "project"
        return f"{'service account' if self.is_service else 'user'}, {self.role} on the {where}"


def token(
    *, secret: str = JWT_SECRET, algorithm: str = "HS256", leave_out: str = "", **claims: Any
) -> str:
    """A token, by default a good one."""
    now = int(time.time())
    every = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, **claims}
    every.pop(leave_out, None)
    return jwt.encode(every, secret, algorithm=algorithm)


def new_caller(
    services: Services,
    tenant_id: UUID,
    role: Role | None,
    *,
    on: Project | None = None,
    is_service: bool = False,
) -> Caller:
    """A new account with a role on the whole tenant, or on one project alone."""
    caller = Caller(role=role, project_id=None if on is None else on.id, is_service=is_service)
    tenant_role = role if on is None else None
    with services.database.writing() as session:
        identities = services.identities(session)
        made_key, key = identities.create_key(
            tenant_id=tenant_id, name="key", tenant_role=tenant_role
        )
        if is_service:
            made = identities.create_service_account(
                tenant_id=tenant_id,
                name="service",
                login=(caller.email, PASSWORD),
                tenant_role=tenant_role,
                subject=caller.subject,
            )
        else:
            made = identities.create_user(
                tenant_id=tenant_id,
                email=caller.email,
                password=PASSWORD,
                tenant_role=tenant_role,
                subject=caller.subject,
            )
        ids = (made.id, made_key.id)
        if on is not None and role is not None:
            for each in ids:
                identities.grant(each, on, role)
    return replace(caller, key=key, ids=ids)


def grant(services: Services, caller: Caller, project: Project) -> None:
    """Give a caller of one project their role on another one."""
    if caller.project_id is None or caller.role is None:
        return
    with services.database.writing() as session:
        for each in caller.ids:
            services.identities(session).grant(each, project, caller.role)


# --- what proves nothing ------------------------------------------------------------------------


def bad_proofs(services: Services, tenant_id: UUID) -> dict[str, dict[str, str]]:
    """What proves nothing (any more), by sort of proof and why; administrators' where theirs."""
    good = new_caller(services, tenant_id, Role.ADMIN)
    disabled = new_caller(services, tenant_id, Role.ADMIN)
    deleted = new_caller(services, tenant_id, Role.ADMIN)
    with services.database.writing() as session:
        identities = services.identities(session)
        for each in disabled.ids:
            identities.disable(each)
        session.execute(delete(IdentityRow).where(IdentityRow.id.in_(deleted.ids)))
        _, expired_key = identities.create_key(
            tenant_id=tenant_id,
            name="expired",
            tenant_role=Role.ADMIN,
            expires_at=datetime.now(UTC) - timedelta(seconds=1),
        )
    return {
        "jwt": _bad_tokens(good, disabled, deleted),
        "key": {
            "unknown": f"{KEY_PREFIX}{uuid4().hex}",
            "expired key": expired_key,
            "disabled": disabled.key,
            "deleted": deleted.key,
            "malformed": KEY_PREFIX,
            "in another case": KEY_PREFIX + good.key.removeprefix(KEY_PREFIX).swapcase(),
        },
        "password": {
            "unknown": f"{uuid4().hex}@callers.example:{PASSWORD}",
            "wrong": f"{good.email}:wrong {PASSWORD}",
            "disabled": f"{disabled.email}:{PASSWORD}",
            "deleted": f"{deleted.email}:{PASSWORD}",
            "without password": f"{good.email}:",
            "malformed": good.email,
        },
    }


def _bad_tokens(good: Caller, disabled: Caller, deleted: Caller) -> dict[str, str]:
    now, sub = int(time.time()), good.subject
    return {
        "unknown": token(sub=uuid4().hex),
        "disabled": token(sub=disabled.subject),
        "deleted": token(sub=deleted.subject),
        "of an API key": token(sub=str(good.ids[1])),
        "expired": token(sub=sub, exp=now - 60),
        "of the future": token(sub=sub, iat=now + 600, exp=now + 1200),
        "of another issuer": token(sub=sub, iss="https://elsewhere.example"),
        "for another audience": token(sub=sub, aud="elsewhere"),
        **{
            f"without {name}": token(sub=sub, leave_out=name)
            for name in ("iss", "aud", "sub", "iat", "exp")
        },
        "of another secret": token(sub=sub, secret=f"not {JWT_SECRET}"),
        "unsigned": token(sub=sub, secret="", algorithm="none"),
        "malformed": "x.y.z",
    }
