"""Calls of the client that openapi-python-client made; run with it on the path.

Reads ``{"url", "token", "basic", "key", "company", "connection"}``; prints what each call gave.
"""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from typing import Any

package = importlib.import_module("towline_client")


def called(tag: str, name: str, client: Any, *path: Any, **given: Any) -> Any:
    answer = importlib.import_module(f"towline_client.api.{tag}.{name}").sync(
        *path, client=client, **given
    )
    return [each.to_dict() for each in answer] if isinstance(answer, list) else answer.to_dict()


def main() -> None:
    given = json.load(sys.stdin)
    made = package.AuthenticatedClient
    bearer = made(base_url=given["url"], token=given["token"])
    basic = made(base_url=given["url"], token=given["basic"], prefix="Basic")
    key = made(
        base_url=given["url"], token=given["key"], prefix="", auth_header_name="Nected-API-Key"
    )
    company, connection = uuid.UUID(given["company"]), uuid.UUID(given["connection"])
    answers = {
        "codat": called("codat", "codat_list_companies", basic),
        "connections": called("connections", "connections_list_syncs", bearer, connection),
        "native": called("native", "native_list_assets", bearer, company),
        "nected": called("nected", "nected_pull", key, nected_branch="main"),
        "snaplogic": called("snap_logic", "snaplogic_repo_status", bearer, "demo", "shop", "rules"),
        "syncs": called("syncs", "syncs_list_syncs", bearer),
        "unknown": called("codat", "codat_get_company", basic, uuid.uuid4()),
    }
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
