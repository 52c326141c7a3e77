"""The demo as lines for a shell: one a dialect, in the order in which they are tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from . import tenancy


@dataclass(frozen=True, slots=True, kw_only=True)
class CurlLine:
    """A request, and what it shows."""

    about: str
    line: str


def curl_lines(url: str) -> Iterator[CurlLine]:
    """A line a dialect, then one for the native API, against a server at this address."""
    keys = tenancy.KEYS
    rules, pipelines = tenancy.RULES_PROJECT, tenancy.PIPELINES_PROJECT
    connection = tenancy.PIPELINES_CONNECTION
    yield CurlLine(
        about="SnapLogic: pull a project",
        line=f"curl -s -X POST -u {tenancy.EMAIL}:{tenancy.PASSWORD}"
        f" {url}/api/1/rest/public/project/pull/{tenancy.TENANT}/shop/rules",
    )
    yield CurlLine(
        about="Nected: pull a branch",
        line=f"curl -s -X POST -H 'Nected-API-Key: {keys['nected']}' -H 'Nected-Branch: live'"
        f" {url}/dev/remote/pull",
    )
    yield CurlLine(
        about="Codat: queue a pull operation",
        line=f"curl -s -X POST -u {keys['codat']}:"
        # Quoted: a question mark means something to some shells.
        f" '{url}/companies/{pipelines}/data/queue/pipeline?connectionId={connection}'",
    )
    yield CurlLine(
        about="Syncs: create a sync that runs at once",
        line=f"curl -s -H 'X-API-Key: {keys['syncs']}' -H 'Content-Type: application/json'"
        f' -d \'{{"connectionId": "{connection}", "name": "Pipelines", "status": "active",'
        f' "triggerMode": "on_create"}}\' {url}/api/v1/syncs',
    )
    yield CurlLine(
        about="Connections: request a sync of every kind",
        line=f"curl -s -X POST -H 'Authorization: Bearer {keys['connections']}'"
        f" {url}/v2/integrations/connections/{connection}/sync",
    )
    yield CurlLine(
        about="towline's own API: the conflict that was left",
        line=f"curl -s -H 'Authorization: Bearer {keys['native']}'"
        f" {url}/api/towline/v1/projects/{rules}/conflicts",
    )
