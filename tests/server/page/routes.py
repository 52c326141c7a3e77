"""What each route of the page asks of its visitor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from towline_server.auth.roles import Role


@dataclass(frozen=True)
class Needs:
    """The role that a route needs; ``of_tenant``: on the whole tenant."""

    role: Role | None = None
    """None: any visitor who is signed in; what they see depends on their roles."""
    of_tenant: bool = False
    open: bool = False
    """For who is not signed in, too."""
    done: int = 200
    form: Mapping[str, str] = field(default_factory=dict)


_PROJECT = "/ui/projects/{project_id}"
_READ, _WRITE = Needs(Role.READER), Needs(Role.WRITER, done=303)
_SHOWN = Needs(Role.ADMIN, of_tenant=True)
_ADMINISTERED = Needs(Role.ADMIN, of_tenant=True, done=303)

ROUTES: Mapping[str, Needs] = {
    "GET /": Needs(),
    "GET /docs": Needs(open=True),
    "GET /docs/{dialect}": Needs(open=True),
    "GET /ui/static/{name}": Needs(open=True),
    "GET /ui/sign-in": Needs(open=True),
    "POST /ui/sign-in": Needs(open=True),
    "GET /ui/sign-in/oidc": Needs(open=True),
    "GET /ui/sign-in/oidc/callback": Needs(open=True),
    "POST /ui/sign-out": Needs(open=True),
    f"GET {_PROJECT}": _READ,
    f"GET {_PROJECT}/now": _READ,
    f"POST {_PROJECT}/fetch": Needs(Role.READER, done=303),
    f"GET {_PROJECT}/asset?id={{asset_id}}": _READ,
    f"GET {_PROJECT}/conflicts": _READ,
    f"GET {_PROJECT}/conflicts/asset?id={{asset_id}}": _READ,
    f"GET {_PROJECT}/conflicts/{{form}}": Needs(Role.READER, done=303),
    f"POST {_PROJECT}/conflicts/preview": Needs(Role.WRITER),
    f"POST {_PROJECT}/conflicts/keep": _WRITE,
    f"POST {_PROJECT}/conflicts/clear": _WRITE,
    f"POST {_PROJECT}/conflicts/choose": _WRITE,
    f"GET {_PROJECT}/plans": _READ,
    f"POST {_PROJECT}/plans": _WRITE,
    f"GET {_PROJECT}/plans/{{plan_id}}": _READ,
    f"GET {_PROJECT}/plans/{{plan_id}}/diff?id={{asset_id}}": _READ,
    f"POST {_PROJECT}/plans/{{plan_id}}/apply": _WRITE,
    f"POST {_PROJECT}/plans/{{plan_id}}/delete": _WRITE,
    "GET /ui/runs": Needs(),
    f"GET {_PROJECT}/runs": _READ,
    f"POST {_PROJECT}/runs": _WRITE,
    "GET /ui/runs/{run_id}": _READ,
    "GET /ui/runs/{run_id}/events": _READ,
    "POST /ui/runs/{run_id}/cancel": _WRITE,
    "POST /ui/runs/{run_id}/retry": _WRITE,
    f"GET {_PROJECT}/history": _READ,
    f"GET {_PROJECT}/history/{{number}}": _READ,
    f"GET {_PROJECT}/history/{{number}}/diff?id={{asset_id}}": _READ,
    f"GET {_PROJECT}/history/{{number}}/undo": Needs(Role.WRITER),
    f"POST {_PROJECT}/history/{{number}}/undo": _WRITE,
    f"GET {_PROJECT}/schedules": _READ,
    f"GET {_PROJECT}/schedules/new": Needs(Role.WRITER),
    f"POST {_PROJECT}/schedules/new": _WRITE,
    f"GET {_PROJECT}/schedules/{{schedule_id}}": Needs(Role.WRITER),
    f"POST {_PROJECT}/schedules/{{schedule_id}}": _WRITE,
    f"POST {_PROJECT}/schedules/{{schedule_id}}/pause": _WRITE,
    f"POST {_PROJECT}/schedules/{{schedule_id}}/resume": _WRITE,
    f"GET {_PROJECT}/schedules/{{schedule_id}}/delete": Needs(Role.WRITER),
    f"POST {_PROJECT}/schedules/{{schedule_id}}/delete": _WRITE,
    "GET /ui/webhooks": _SHOWN,
    "GET /ui/webhooks/{webhook_id}": _SHOWN,
    "POST /ui/webhooks/{webhook_id}/deliveries/{delivery_id}/retry": _ADMINISTERED,
    "GET /ui/webhooks/new": _SHOWN,
    "POST /ui/webhooks/new": _SHOWN,
    "GET /ui/webhooks/{webhook_id}/settings": _SHOWN,
    "POST /ui/webhooks/{webhook_id}/settings": _ADMINISTERED,
    "GET /ui/webhooks/{webhook_id}/delete": _SHOWN,
    "POST /ui/webhooks/{webhook_id}/delete": _ADMINISTERED,
    "GET /ui/webhooks/{webhook_id}/rotate": _SHOWN,
    "POST /ui/webhooks/{webhook_id}/rotate": _SHOWN,
    "POST /ui/webhooks/{webhook_id}/ping": _ADMINISTERED,
    "GET /ui/connections": Needs(Role.READER, of_tenant=True),
    "GET /ui/connections/new": _SHOWN,
    "POST /ui/connections/new": _ADMINISTERED,
    "GET /ui/connections/{connection_id}": Needs(Role.READER, of_tenant=True),
    "POST /ui/connections/{connection_id}": _ADMINISTERED,
    "GET /ui/connections/{connection_id}/delete": _SHOWN,
    "POST /ui/connections/{connection_id}/delete": _ADMINISTERED,
    "GET /ui/new-project": _SHOWN,
    "POST /ui/new-project": _ADMINISTERED,
    f"GET {_PROJECT}/settings": Needs(Role.ADMIN),
    f"POST {_PROJECT}/settings": Needs(Role.ADMIN, done=303),
    f"GET {_PROJECT}/delete": Needs(Role.ADMIN),
    f"POST {_PROJECT}/delete": Needs(Role.ADMIN, done=303),
    "GET /ui/people": _SHOWN,
    "GET /ui/people/new": _SHOWN,
    "POST /ui/people/new": _ADMINISTERED,
    "GET /ui/people/{identity_id}": _SHOWN,
    "POST /ui/people/{identity_id}/role": _ADMINISTERED,
    "POST /ui/people/{identity_id}/password": _ADMINISTERED,
    "GET /ui/people/{identity_id}/disable": _SHOWN,
    "POST /ui/people/{identity_id}/disable": _ADMINISTERED,
    "POST /ui/people/{identity_id}/enable": _ADMINISTERED,
    "GET /ui/keys": _SHOWN,
    "GET /ui/keys/new": _SHOWN,
    "POST /ui/keys/new": _SHOWN,
    "GET /ui/audit": _SHOWN,
    "GET /ui/audit/lines": _SHOWN,
}
"""Every route, with the query that it needs."""
