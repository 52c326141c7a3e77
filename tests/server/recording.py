"""Examples for the OpenAPI document: each operation asked once of a control plane with everything.

What differs from one recording to the next is replaced: ids, times, addresses, secrets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import func, select
from starlette.requests import Request

from tests.server.dialects.tenant_client import basic
from tests.server.populated import KEY, OPERATOR_TOKEN, PUSHED, Populated
from towline_server.app import Application, create_app
from towline_server.audit.tables import AuditEventRow
from towline_server.demo import tenancy
from towline_server.dialects import DIALECTS
from towline_server.problems import Failure, problem
from towline_server.services import Services

FOLDER = Path("server/towline_server/web/examples")
NIGHTLY = {"cron": "0 4 * * *"}
KINDS = [{"name": "price", "globs": ["prices/**"], "data_type": "items"}]
RULE = '{"priority": 10, "then": "order.discount = 5", "when": "order.total >= 500"}\n'
REQUESTS: Mapping[str, list[dict[str, Any]]] = {
    "codat_list_companies": [{"query": {"query": "name=/demo/shop/rules"}}],
    "codat_list_operations": [{"query": {"query": "status=Complete", "orderBy": "-requested"}}],
    "connections_request_sync": [{}],
    "native_apply_plan": [{}],
    "native_cancel_run": [{"json": {"reason": "not now"}}],
    "native_change_connection": [{"json": {"name": "rules of the shop"}}],
    "native_change_project": [{"json": {"on_conflict": "skip"}}],
    "native_change_schedule": [{"json": {"enabled": False}}],
    "native_change_webhook": [{"json": {"enabled": False}}],
    "native_claim_work": [{"json": {"executor_id": "one"}}],
    "native_complete_work": [{"json": {"run_id": "claimed run", "token": "token"}}],
    "native_create_key": [{"json": {"name": "nightly export", "tenant_role": "reader"}}],
    "native_create_service_account": [{"json": {"name": "export", "tenant_role": "reader"}}],
    "native_create_tenant": [{"json": {"name": "another"}}],
    "native_create_user": [
        {"json": {"email": "someone.else@towline.example", "password": "of twelve or more"}}
    ],
    "native_create_connection": [{"json": {"url": "http://127.0.0.1/rules.git", "name": "prices"}}],
    "native_create_project": [{"json": {"path": "demo/shop/prices", "kinds": KINDS}}],
    "native_create_schedule": [{"json": {"cron": "0 4 * * 1-5", "timezone": "Europe/Berlin"}}],
    "native_create_webhook": [{"json": {"url": "http://127.0.0.1/runs"}}],
    "native_grant_project_role": [{"json": {"role": "writer"}}],
    "native_heartbeat": [{"json": {"run_id": "claimed run", "token": "token", "done": 1}}],
    "native_list_asset_events": [
        {"query": {"limit": 1}},
        {"query": {"limit": 1}, "headers": {"Accept": "text/event-stream"}},
    ],
    "native_make_plan": [{"json": {"on_conflict": "skip"}}],
    "native_move_asset": [{"json": {"path": "rules/renamed.json"}}],
    "native_preview_project": [
        {
            "json": {
                "path": "demo/shop/prices",
                "kinds": "preset:n8n",
                "binding": {"connection_id": str(tenancy.RULES_CONNECTION), "ref": "heads/main"},
            }
        }
    ],
    "native_put_asset": [{"content": RULE}, {"content": RULE, "path": {"path": "rules/new.json"}}],
    "native_read_audit_log": [
        {"query": {"limit": 1}},
        {"query": {"action": "webhook.created"}, "headers": {"Accept": "application/x-ndjson"}},
    ],
    "native_renew_work": [{"json": {"run_id": "claimed run", "token": "token"}}],
    "native_request_run": [{"json": {"mode": "dry_run"}}],
    "native_resolve_conflict": [{"json": {"side": "theirs"}}],
    "native_retry_run": [{"path": {"run_id": "run of a sync"}, "json": {}}],
    "native_set_password": [{"json": {"password": "of twelve or more"}}],
    "native_set_tenant_role": [{"json": {"role": "reader"}}],
    "native_take_webhook": [{"json": {"ref": "refs/heads/main", "after": "1" * 40}}],
    "native_undo": [{"json": {}}],
    "nected_pull": [{"headers": {"Nected-Branch": "main"}}],
    "nected_pull_default": [{"headers": {"Nected-Branch": "live"}}],
    "snaplogic_checkout": [{"json": {"ref": "heads/main", "hard_reset": True}}],
    "snaplogic_discard_changes": [{"json": {"asset_path_list": ["rules/express.json"]}}],
    "snaplogic_pull": [{"json": {}}],
    "syncs_cancel_sync_run": [{"json": {"reason": "not now"}}],
    "syncs_create_sync": [
        {
            "json": {
                "connectionId": "connection",
                "name": "Nightly",
                "schedule": {"cron": "0 4 * * *"},
            }
        }
    ],
    "syncs_get_sync_provider_catalog": [{"path": {"provider": "github"}}],
    "syncs_retry_sync_run": [{"json": {}}],
    "syncs_trigger_sync": [{"json": {}}],
    "syncs_update_sync": [{"json": {"freshnessSlaSeconds": 3600}}],
}
"""What an operation is asked, where the parameters of its path do not say all."""

_UUID = re.compile(r"\b[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
_TIME = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")
_WORDS = (
    (re.compile(r"http://127\.0\.0\.1:\d+/"), "https://git.example.com/"),
    (re.compile(r"http://127\.0\.0\.1/"), "https://hooks.example.com/"),
    (re.compile(r"http://testserver"), "https://towline.example.com"),
    (re.compile(r"twl_[\w-]{43}"), "twl_bm90IGEgc2VjcmV0"),
    (re.compile(r"twl_[\w-]{4}\b"), "twl_bm90"),
    (re.compile(r"\b\d{16}-[0-9a-f]{32}\b"), "1767603600000000-" + 32 * "0"),
    (re.compile(r"whsec_\w+[=+/\w]*"), "whsec_bm90IGEgc2VjcmV0"),
)


_DEMO = {
    str(known)
    for known in (
        tenancy.RULES_PROJECT,
        tenancy.PIPELINES_PROJECT,
        tenancy.RULES_CONNECTION,
        tenancy.PIPELINES_CONNECTION,
    )
}


@dataclass
class Recording:
    """One recording of everything."""

    populated: Populated
    database: Path
    app: Application = field(init=False)
    unaudited: set[str] = field(default_factory=set)
    """The operations that may change something, and left no event in the audit log."""
    _ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.app = create_app(self.populated.settings)

    def everything(self) -> dict[str, dict[str, Any]]:
        """What to write for each dialect."""
        made: dict[str, dict[str, Any]] = {}
        for path, methods in self.app.exact_openapi()["paths"].items():
            for method, operation in methods.items():
                of_tag = made.setdefault(operation["tags"][0], {"operations": {}, "refusals": {}})
                of_tag["operations"][operation["operationId"]] = self._operation(
                    method, path, operation
                )
        for name, tag, status in refusals(self.app.exact_openapi()):
            made[tag]["refusals"][name] = refusal(tag, status)
        return made

    def _operation(self, method: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
        made: dict[str, Any] = {"parameters": {}, "answers": {}}
        for wanted in REQUESTS.get(operation["operationId"], [{}]):
            with self.populated.copied(self.database) as services:
                self.app.state.services = services
                self.app.state.limits.change(services.settings)
                before = _events(services)
                self._ask(method, path, operation, wanted, made)
                if method != "get" and _events(services) == before:
                    self.unaudited.add(operation["operationId"])
        return made

    def _ask(
        self,
        method: str,
        path: str,
        operation: dict[str, Any],
        wanted: dict[str, Any],
        made: dict[str, Any],
    ) -> None:
        names = re.findall(r"\{(\w+)\}", path)
        places = {name: self._known(wanted.get("path", {}).get(name)) for name in names}
        places = {n: self.populated.known(path, n) if v is None else v for n, v in places.items()}
        query, headers = wanted.get("query", {}), wanted.get("headers", {})
        body = {name: self._known(value) for name, value in wanted.get("json", {}).items()}
        if operation["operationId"] == "native_complete_work":
            body |= self.populated.completion
        given: dict[str, Any] = {"content": wanted.get("content")}
        if "json" in wanted:
            given = {"json": body}
        answer = TestClient(self.app).request(
            method,
            path.format(**places),
            params=query,
            headers={**_credentials(operation), **headers},
            **given,
        )
        assert answer.is_success, (operation["operationId"], answer.status_code, answer.text)
        if not made["answers"]:
            made["parameters"] = self._plain({**places, **query, **headers})
            if "json" in wanted or "content" in wanted:
                made["request"] = wanted.get("content", self._plain(body))
        if answer.content:
            name = str(answer.status_code)
            if name in made["answers"]:
                # In another form: the document has one of each.
                name = f"{name} {answer.headers['content-type'].partition(';')[0]}"
            made["answers"][name] = self._plain(_read(answer))

    def _known(self, value: Any) -> Any:
        return self.populated.ids.get(value, value) if isinstance(value, str) else value

    def _plain(self, value: Any) -> Any:
        text = json.dumps(value)
        text = text.replace(json.dumps(self.populated.ids["token"])[1:-1], "a-lease-token")
        text = _TIME.sub("2026-01-05T09:00:00Z", text)
        for pattern, word in _WORDS:
            text = pattern.sub(word, text)
        return json.loads(_UUID.sub(self._uuid, text))

    def _uuid(self, found: re.Match[str]) -> str:
        if found[0] in _DEMO:
            return found[0]
        number = len(self._ids) + 1
        return self._ids.setdefault(found[0], f"e0000000-0000-4000-8000-{number:012d}")


def _events(services: Services) -> int:
    with services.database.reading() as session:
        return session.scalar(select(func.count()).select_from(AuditEventRow)) or 0


def _credentials(operation: dict[str, Any]) -> dict[str, str]:
    schemes = {name for choice in operation.get("security", ()) for name in choice}
    if not schemes:
        return dict(PUSHED)
    if operation["operationId"] == "native_create_tenant":
        return {"Authorization": f"Bearer {OPERATOR_TOKEN}"}
    if "nected_api_key" in schemes:
        return {"Nected-API-Key": KEY}
    if "bearer" in schemes:
        return {"Authorization": f"Bearer {tenancy.token()}"}
    return basic(KEY)


def _read(answer: Any) -> Any:
    if "ndjson" in answer.headers["content-type"]:
        return answer.text
    if "json" in answer.headers["content-type"]:
        return answer.json()
    if "event-stream" in answer.headers["content-type"]:
        fields = (
            line.partition(": ") for line in answer.text.strip().split("\n\n")[0].splitlines()
        )
        return {name: value for name, _, value in fields}
    return answer.text


# --- refusals -----------------------------------------------------------------------------------

FAILURES: Mapping[int, Failure] = {
    failure.status: failure
    for failure in (
        Failure(status=400, code="invalid_value", message="ref: is not a legal name of a ref"),
        Failure(status=401, code="unauthenticated", message="a credential is needed"),
        Failure(status=403, code="forbidden", message="this needs the role writer"),
        Failure(status=404, code="not_found", message="no such task", data={"what": "task"}),
        Failure(status=409, code="project_busy", message="a pull of the project is in progress"),
        Failure(status=412, code="asset_changed", message="the asset was changed meanwhile"),
        Failure(status=413, code="body_too_large", message="the body is larger than 1048576 bytes"),
        Failure(
            status=422,
            code="invalid_request",
            message="the request is malformed",
            issues=({"loc": ["body", "name"], "msg": "Field required", "type": "missing"},),
        ),
        Failure(status=429, code="too_many_requests", message="too many requests"),
        Failure(status=500, code="internal_error", message="something went wrong here"),
        Failure(status=502, code="remote_unreachable", message="the remote cannot be reached"),
        Failure(status=503, code="unavailable", message="the server is starting or stopping"),
        Failure(status=504, code="run_under_way", message="the run goes on"),
    )
}


def refusals(document: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """Each refusal that is a component of the document: name, dialect and status."""
    seen: set[str] = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                name = response.get("$ref", "").rpartition("/")[2]
                if name and name not in seen:
                    seen.add(name)
                    yield name, operation["tags"][0], int(status)


def refusal(tag: str, status: int) -> Any:
    """A refusal as the dialect renders it."""
    render = {dialect.tag: dialect.render for dialect in DIALECTS}.get(tag, problem)
    state = {"request_id": "5f0c6f0a1b2c4d3e"}
    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "state": state}
    response = render(Request(scope), FAILURES[status])
    assert response.status_code == status, (tag, status, response.status_code)
    return json.loads(bytes(response.body))
