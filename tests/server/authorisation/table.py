"""Every endpoint of the OpenAPI document, and what it asks of its callers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from towline_server.auth.roles import Role

from .callers import Credential

V1 = "/api/towline/v1"
P = f"{V1}/projects/{{project_id}}"
A = f"{V1}/admin"
I = f"{A}/identities/{{identity_id}}"  # noqa: E741 - as the others
T = f"{A}/tenants/{{tenant_id}}"
W = f"{V1}/webhooks/{{webhook_id}}"
SNAPLOGIC = "/api/1/rest/public/project"
NECTED = "/dev"
CODAT = "/companies"
SYNCS = "/api/v1/syncs"
CONNECTIONS = "/v2/integrations"


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """The credentials that some paths take, and what the document calls them."""

    taken: tuple[Credential, ...]
    schemes: frozenset[str]


DIALECTS: Mapping[str, Dialect] = {
    V1: Dialect(
        taken=(
            Credential.X_API_KEY,
            Credential.BEARER_JWT,
            Credential.BEARER_KEY,
            Credential.BASIC_PASSWORD,
            Credential.COOKIE_JWT,
            Credential.COOKIE_KEY,
        ),
        schemes=frozenset({"bearer", "x_api_key", "basic", "cookie"}),
    ),
    SNAPLOGIC: Dialect(
        taken=(Credential.BASIC_PASSWORD, Credential.BEARER_TOKEN_JWT, Credential.BEARER_JWT),
        schemes=frozenset({"basic", "bearer"}),
    ),
    NECTED: Dialect(
        taken=(Credential.NECTED_API_KEY,),
        schemes=frozenset({"nected_api_key"}),
    ),
    CODAT: Dialect(
        taken=(Credential.BASIC_KEY,),
        schemes=frozenset({"basic"}),
    ),
    SYNCS: Dialect(
        taken=(
            Credential.X_API_KEY,
            Credential.BEARER_JWT,
            Credential.BEARER_KEY,
            Credential.COOKIE_JWT,
            Credential.COOKIE_KEY,
        ),
        schemes=frozenset({"bearer", "x_api_key", "cookie"}),
    ),
    CONNECTIONS: Dialect(
        taken=(Credential.BEARER_KEY, Credential.BEARER_JWT),
        schemes=frozenset({"bearer"}),
    ),
}
"""By the beginning of their paths."""


def dialect_of(endpoint: str) -> Dialect:
    """The dialect of an endpoint that is guarded."""
    path = endpoint.partition(" ")[2]
    for prefix, dialect in DIALECTS.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return dialect
    raise KeyError(endpoint)


@dataclass(frozen=True, kw_only=True)
class Open:
    """For every caller, with or without a credential."""

    status: int = 200


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What a caller needs, and what the answers are."""

    role: Role | None = None
    """None: no more than to be known; then the answer holds what the caller sees."""
    of_tenant: bool = False
    """Whether the role must be one on the whole tenant."""
    done: int = 200
    """For a caller that may; a refusal for another reason, where that does no harm."""
    low: int = 403
    """For a caller whose role is too low."""
    no_role: int = 404
    """For a caller without any role."""
    elsewhere: int = 404
    """For what belongs to another, or does not exist."""
    is_early: bool = False
    """Whether a role that is too low is refused before anyone looks at what is asked for."""
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    fresh: str = ""
    """What each request that succeeds uses up."""
    shows: str = ""
    """What a list must show to a caller that may see it, and to no one else."""

    def __post_init__(self) -> None:
        assert self.done not in (self.low, self.no_role), "it would be as a refusal"

    def status(self, role: Role | None) -> int:
        """The status for a caller with this role, of what is its own."""
        if self.role is None:
            return self.done
        if role is None:
            return self.no_role
        return self.done if role.covers(self.role) else self.low

    def status_elsewhere(self, role: Role | None) -> int:
        """The status for a caller with this role, of what belongs to another or does not exist."""
        if role is None:
            return self.no_role
        if self.is_early and self.role is not None and not role.covers(self.role):
            return self.low
        return self.elsewhere


def _reads(**rest: Any) -> Needs:
    return Needs(role=Role.READER, **rest)


def _writes(done: int = 200, body: Any = None, **rest: Any) -> Needs:
    return Needs(role=Role.WRITER, done=done, body=body, **rest)


def _administers(done: int = 200, body: Any = None, **rest: Any) -> Needs:
    return Needs(role=Role.ADMIN, done=done, body=body, **rest)


_STALE = {"If-Match": f'"{"0" * 40}"'}
"""A request that gets as far as the asset does nothing to it."""
_BOUND = {"connection_id": "{connection_id}", "ref": "heads/nothing"}
_HELD = {"run_id": "{run_id}", "token": "wrong"}
_UNKNOWN = {"unknown": 1}
"""SnapLogic's bodies are looked at last."""
_BRANCH = {"Nected-Branch": "{branch}"}

TABLE: Mapping[str, Open | Needs] = {
    "GET /healthz": Open(),
    "GET /readyz": Open(),
    # The signature is the credential, and here is none.
    "POST /hooks/{connection_id}": Open(status=401),
    # --- native
    f"GET {V1}/projects": Needs(shows="project_id"),
    f"POST {V1}/projects": _administers(
        409, {"path": "{project_path}"}, of_tenant=True, no_role=403, elsewhere=400, is_early=True
    ),
    # The repository, which is there for all, has no such branch.
    f"POST {V1}/projects/preview": _administers(
        502,
        body={"path": "org/space/project", "binding": _BOUND},
        of_tenant=True,
        no_role=403,
        is_early=True,
    ),
    f"GET {P}": _reads(),
    f"PATCH {P}": _administers(body={}),
    f"DELETE {P}": _administers(204, fresh="project_id"),
    f"GET {P}/assets": _reads(),
    f"GET {P}/assets/{{asset_id}}": _reads(),
    f"GET {P}/assets/{{asset_id}}/content": _reads(),
    f"DELETE {P}/assets/{{asset_id}}": _writes(412, headers=_STALE),
    f"POST {P}/assets/{{asset_id}}/move": _writes(412, {"path": "x"}, headers=_STALE),
    f"GET {P}/content/{{path}}": _reads(),
    f"PUT {P}/content/{{path}}": _writes(412, {}, headers=_STALE),
    f"GET {P}/events": _reads(),
    f"GET {P}/events/{{sequence}}/{{side}}": _reads(),
    f"GET {P}/runs": _reads(),
    f"POST {P}/runs": _writes(202, {}),
    f"GET {P}/plans": _reads(),
    f"POST {P}/plans": _writes(201, {}),
    f"GET {P}/plans/{{plan_id}}": _reads(),
    f"DELETE {P}/plans/{{plan_id}}": _writes(204, fresh="plan_id"),
    # The plan is one that conflicts refuse.
    f"POST {P}/plans/{{plan_id}}/apply": _writes(409, {}),
    f"GET {P}/plans/{{plan_id}}/conflicts/{{clash_id}}": _reads(),
    f"GET {P}/status": _reads(),
    f"GET {P}/conflicts": _reads(),
    f"GET {P}/conflicts/{{clash_id}}": _reads(),
    f"PUT {P}/conflicts/{{clash_id}}/resolution": _writes(body={"side": "ours"}),
    f"DELETE {P}/conflicts/{{clash_id}}/resolution": _writes(204),
    f"GET {P}/pulls": _reads(),
    f"GET {P}/pulls/{{number}}": _reads(),
    # It was edited since.
    f"POST {P}/undo": _writes(409, {}),
    f"GET {P}/schedules": _reads(),
    f"POST {P}/schedules": _writes(201, {"every_seconds": 3600, "enabled": False}),
    f"GET {P}/schedules/{{schedule_id}}": _reads(),
    f"PATCH {P}/schedules/{{schedule_id}}": _writes(body={}),
    f"DELETE {P}/schedules/{{schedule_id}}": _writes(204, fresh="schedule_id"),
    f"GET {V1}/runs": Needs(shows="run_id"),
    f"GET {V1}/runs/{{run_id}}": _reads(),
    f"GET {V1}/runs/{{run_id}}/attempts": _reads(),
    f"GET {V1}/runs/{{run_id}}/log": _reads(),
    f"GET {V1}/runs/{{run_id}}/events": _reads(),
    f"POST {V1}/runs/{{run_id}}/cancel": _writes(body={}),
    f"POST {V1}/runs/{{run_id}}/retry": _writes(202, {}),
    f"GET {V1}/connections": Needs(of_tenant=True, shows="connection_id"),
    f"POST {V1}/connections": _administers(
        201, {"url": "https://git.example/n"}, of_tenant=True, no_role=403
    ),
    f"GET {V1}/connections/{{connection_id}}": _reads(of_tenant=True),
    f"PATCH {V1}/connections/{{connection_id}}": _administers(body={}, of_tenant=True),
    f"DELETE {V1}/connections/{{connection_id}}": _administers(
        204, of_tenant=True, fresh="connection_id"
    ),
    f"GET {V1}/webhooks": _administers(of_tenant=True, no_role=403, shows="webhook_id"),
    f"POST {V1}/webhooks": _administers(
        201, {"url": "https://hooks.example/n"}, of_tenant=True, no_role=403
    ),
    f"GET {W}": _administers(of_tenant=True),
    f"PATCH {W}": _administers(body={}, of_tenant=True),
    f"DELETE {W}": _administers(204, of_tenant=True, fresh="webhook_id"),
    f"POST {W}/rotate": _administers(body={}, of_tenant=True),
    f"POST {W}/ping": _administers(202, {}, of_tenant=True),
    f"GET {W}/deliveries": _administers(of_tenant=True),
    f"POST {W}/deliveries/{{delivery_id}}/retry": _administers(202, {}, of_tenant=True),
    f"POST {V1}/work/claim": _writes(204, {"executor_id": "x", "project_ids": ["{project_id}"]}),
    f"POST {V1}/work/heartbeat": _writes(409, _HELD),
    f"POST {V1}/work/renew": _writes(409, _HELD),
    f"POST {V1}/work/complete": _writes(409, {**_HELD, "plan": "{}"}),
    f"GET {A}/tenants": _administers(of_tenant=True, no_role=403, shows="tenant_id"),
    # For the operator's token alone.
    f"POST {A}/tenants": Needs(done=403, low=404, body={"name": "n"}),
    f"GET {T}": _administers(of_tenant=True),
    f"GET {T}/identities": _administers(of_tenant=True, shows="identity_id"),
    # Not made: emails are one list for all tenants.
    f"POST {T}/users": _administers(422, {"email": "n"}, of_tenant=True),
    f"POST {T}/service-accounts": _administers(201, {"name": "n"}, of_tenant=True),
    f"POST {T}/keys": _administers(201, {"name": "n"}, of_tenant=True),
    f"GET {I}": _administers(of_tenant=True),
    f"POST {I}/disable": _administers(of_tenant=True),
    f"POST {I}/enable": _administers(of_tenant=True),
    f"PUT {I}/password": _administers(204, {"password": "of twelve or more"}, of_tenant=True),
    f"PUT {I}/role": _administers(body={"role": "reader"}, of_tenant=True),
    f"DELETE {I}/role": _administers(204, of_tenant=True),
    f"PUT {I}/projects/{{project_id}}/role": _administers(body={"role": "reader"}, of_tenant=True),
    f"DELETE {I}/projects/{{project_id}}/role": _administers(204, of_tenant=True),
    f"GET {A}/audit": _administers(of_tenant=True, no_role=403),
    # --- SnapLogic
    f"POST {SNAPLOGIC}/pull/{{org}}/{{space}}/{{project}}": _writes(400, _UNKNOWN),
    f"POST {SNAPLOGIC}/checkout/{{org}}/{{space}}/{{project}}": _writes(400, _UNKNOWN),
    f"POST {SNAPLOGIC}/discard_changes/{{org}}/{{space}}/{{project}}": _writes(400, _UNKNOWN),
    # Each project has an answer of its own, if the body is good.
    f"POST {SNAPLOGIC}/git-pull/projects/{{org}}/{{space}}": _reads(done=400, body=_UNKNOWN),
    f"GET {SNAPLOGIC}/repo-status/{{org}}/{{space}}/{{project}}": _reads(),
    # A run waits for the project.
    f"GET {SNAPLOGIC}/untrack/{{org}}/{{space}}/{{project}}": _administers(409),
    # --- Nected: a pull has no 404; the branch is one of the key's own workspace.
    "POST /dev/remote/pull": _writes(headers=_BRANCH, low=401, no_role=401, elsewhere=400),
    "POST /dev/v1/remote/pull": _writes(headers=_BRANCH, low=401, no_role=401, elsewhere=400),
    "GET /dev/remote/tasks/{taskId}": _reads(no_role=401),
    # --- Codat
    "GET /companies": Needs(shows="companyId"),
    "GET /companies/{companyId}": _reads(),
    "GET /companies/{companyId}/connections": _reads(),
    "GET /companies/{companyId}/connections/{connection_id}": _reads(),
    "POST /companies/{companyId}/data/all": _writes(204),
    # One of the kind is in progress.
    "POST /companies/{companyId}/data/queue/{dataType}": _writes(400),
    "GET /companies/{companyId}/data/history": _reads(),
    "GET /companies/{companyId}/data/history/{datasetId}": _reads(),
    "GET /companies/{companyId}/dataStatus": _reads(),
    # --- Syncs
    f"GET {SYNCS}": Needs(shows="sync_id"),
    f"POST {SYNCS}": _writes(
        201, {"connectionId": "{connection_id}", "name": "n"}, no_role=422, elsewhere=422
    ),
    f"GET {SYNCS}/providers/{{provider}}/catalog": Needs(shows="dataType"),
    f"GET {SYNCS}/{{sync_id}}": _reads(),
    f"PATCH {SYNCS}/{{sync_id}}": _writes(body={}),
    f"DELETE {SYNCS}/{{sync_id}}": _writes(204, fresh="sync_id"),
    f"POST {SYNCS}/{{sync_id}}/trigger": _writes(body={}),
    f"GET {SYNCS}/{{sync_id}}/runs": _reads(),
    f"GET {SYNCS}/runs/{{sync_run_id}}": _reads(),
    f"POST {SYNCS}/runs/{{sync_run_id}}/cancel": _writes(body={}),
    f"POST {SYNCS}/runs/{{sync_run_id}}/retry": _writes(body={}),
    # --- Connections
    f"POST {CONNECTIONS}/connections/{{connection_id}}/sync": _writes(),
    f"GET {CONNECTIONS}/connections/{{connection_id}}/syncs": _reads(),
    f"GET {CONNECTIONS}/syncs/{{kind_run_id}}": _reads(),
    f"POST {CONNECTIONS}/syncs/{{kind_run_id}}/cancel": _writes(),
}
"""Every endpoint; its parameters by the names of `MarkedProject.things`."""

GUARDED: Mapping[str, Needs] = {
    endpoint: needs for endpoint, needs in TABLE.items() if isinstance(needs, Needs)
}

_RENAMED = {
    f"{CODAT}/{{companyId}}/connections/{{connection_id}}": ("connection_id", "connectionId"),
    f"{P}/plans/{{plan_id}}/conflicts/{{clash_id}}": ("clash_id", "asset_id"),
    f"{P}/conflicts/{{clash_id}}": ("clash_id", "asset_id"),
    f"{P}/conflicts/{{clash_id}}/resolution": ("clash_id", "asset_id"),
    f"{SYNCS}/runs/{{sync_run_id}}": ("sync_run_id", "run_id"),
    f"{SYNCS}/runs/{{sync_run_id}}/cancel": ("sync_run_id", "run_id"),
    f"{SYNCS}/runs/{{sync_run_id}}/retry": ("sync_run_id", "run_id"),
    f"{CONNECTIONS}/syncs/{{kind_run_id}}": ("kind_run_id", "sync_id"),
    f"{CONNECTIONS}/syncs/{{kind_run_id}}/cancel": ("kind_run_id", "sync_id"),
}
"""Parameters whose name in the document means another thing elsewhere."""


def documented(endpoint: str) -> str:
    """An endpoint as the document has it."""
    path = endpoint.partition(" ")[2]
    here, there = _RENAMED.get(path, ("", ""))
    return endpoint.replace(f"{{{here}}}", f"{{{there}}}")


_WORDS = frozenset({"provider", "dataType", "number", "path", "sequence", "side"})
"""Names of nothing by themselves: they qualify what is named before them."""


def named_by(endpoint: str, needs: Needs) -> tuple[str, ...]:
    """The things that a request names; empty where it names none."""
    found = re.findall(r"\{(\w+)\}", f"{endpoint} {needs.body} {dict(needs.headers)}")
    return tuple(name for name in dict.fromkeys(found) if name not in _WORDS)


NAMING: Mapping[str, Needs] = {
    endpoint: needs for endpoint, needs in GUARDED.items() if named_by(endpoint, needs)
}
"""The endpoints whose requests name something."""
