"""Requests about a caller's own things that name another's among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .marked_project import Things
from .table import CODAT, SNAPLOGIC, SYNCS, V1, P, W


@dataclass(frozen=True, kw_only=True)
class Smuggled:
    """A request; ``{their_…}`` is replaced by what is not the caller's."""

    endpoint: str
    body: Any = None
    query: str = ""
    status: int = 404


_SYNC = {"connectionId": "{connection_id}", "name": "n"}

ROWS = (
    Smuggled(
        endpoint=f"POST {V1}/projects",
        body={
            "path": "/{org}/{space}/new",
            "binding": {"connection_id": "{their_connection_id}"},
        },
    ),
    Smuggled(
        endpoint=f"PATCH {P}",
        body={"binding": {"connection_id": "{their_connection_id}", "ref": "heads/{their_branch}"}},
    ),
    Smuggled(
        endpoint=f"POST {V1}/webhooks",
        body={"url": "https://hooks.example/n", "project_id": "{their_project_id}"},
    ),
    Smuggled(endpoint=f"PATCH {W}", body={"project_id": "{their_project_id}"}),
    Smuggled(
        endpoint=f"POST {V1}/work/claim",
        body={"executor_id": "x", "project_ids": ["{project_id}", "{their_project_id}"]},
    ),
    Smuggled(endpoint=f"POST {P}/plans", body={"use_theirs": ["{their_asset_id}"]}, status=400),
    Smuggled(endpoint=f"GET {V1}/projects", query="?path={their_project_path}", status=200),
    Smuggled(
        endpoint=f"POST {SNAPLOGIC}/checkout/{{org}}/{{space}}/{{project}}",
        body={"repo": "{their_path} {their_connection_id}"},
    ),
    Smuggled(
        endpoint=f"POST {SNAPLOGIC}/discard_changes/{{org}}/{{space}}/{{project}}",
        body={"asset_path_list": ["{their_path}", "{their_project_path}/{their_path}"]},
        status=400,
    ),
    Smuggled(
        endpoint=f"POST {CODAT}/{{companyId}}/data/queue/{{dataType}}",
        query="?connectionId={their_connection_id}",
    ),
    Smuggled(endpoint=f"GET {CODAT}", query="?query=id%3D{their_companyId}", status=200),
    Smuggled(endpoint=f"GET {CODAT}", query="?query=name%3D{their_project_path}", status=200),
    Smuggled(endpoint=f"GET {SYNCS}", query="?q={their_path}", status=200),
    Smuggled(
        endpoint=f"POST {SYNCS}",
        body={**_SYNC, "destinationConfig": {"project": "{their_project_id}"}},
        status=422,
    ),
    Smuggled(
        endpoint=f"POST {SYNCS}",
        body={**_SYNC, "destinationConfig": {"project": "{their_project_path}"}},
        status=422,
    ),
    Smuggled(
        endpoint=f"PATCH {SYNCS}/{{sync_id}}",
        body={"destinationConfig": {"project": "{their_project_id}"}},
        status=422,
    ),
)


def with_theirs(own: Things, theirs: Things) -> Mapping[str, str]:
    """What such a request names."""
    return {**own, **{f"their_{name}": value for name, value in theirs.items()}}
