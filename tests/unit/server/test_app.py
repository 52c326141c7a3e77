"""The application as a whole: failures, health, and what no caller may learn."""

import json
import logging
from types import SimpleNamespace
from typing import Annotated, Any
from uuid import uuid4

import pytest
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel
from sqlalchemy import text

from tests.control_plane import PASSWORD
from towline.errors import AssetLimitExceeded
from towline_server.app import create_app
from towline_server.auth.roles import Principal, Role, authorise
from towline_server.logs import JsonLines
from towline_server.problems import Failure
from towline_server.projects.service import Projects
from towline_server.services import Services, services_of
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect


class Body(BaseModel):
    number: int
    secret: str = ""


def _enveloped(request: Request, failure: Failure) -> Response:
    return JSONResponse({"oops": failure.code}, status_code=failure.status)


def _dialects(services: Services) -> list[Dialect]:
    router, quiet = APIRouter(), APIRouter()
    caller = Depends(authenticated(Form.X_API_KEY, Form.BASIC_PASSWORD))

    @router.get("/demo/projects/{path:path}")
    def look(who: Annotated[Principal, caller], path: str) -> dict[str, str]:
        with services.database.reading() as session:
            found = authorise(who, Projects(session).by_path(who.tenant_id, path), Role.READER)
        return {"path": found.path}

    @router.post("/demo/projects/{path:path}")
    def write(who: Annotated[Principal, caller], path: str, body: Body) -> dict[str, str]:
        with services.database.reading() as session:
            found = authorise(who, Projects(session).by_path(who.tenant_id, path), Role.WRITER)
        return {"path": found.path}

    @quiet.post("/quiet/{what}")
    def fail(what: str, body: Body) -> None:
        if what == "limit":
            raise AssetLimitExceeded(limit="assets", allowed=1000, found=1001)
        raise RuntimeError(body.secret)

    return [
        Dialect(tag="Demo", description="demo", router=router, prefixes=("/demo",)),
        Dialect(
            tag="Quiet", description="q", router=quiet, prefixes=("/quiet",), render=_enveloped
        ),
    ]


@pytest.fixture
def client(settings, services):
    app = create_app(settings, services=services, dialects=_dialects(services))
    with TestClient(app) as client:
        yield client


def _as(tenancy, role: Role | None) -> dict[str, str]:
    return {"X-API-Key": tenancy.keys[role]}


# --- who sees what ----------------------------------------------------------------------------

STATUSES = {
    ("GET", None): 404,
    ("GET", Role.READER): 200,
    ("GET", Role.WRITER): 200,
    ("GET", Role.ADMIN): 200,
    ("POST", None): 404,
    ("POST", Role.READER): 403,
    ("POST", Role.WRITER): 200,
    ("POST", Role.ADMIN): 200,
}


@pytest.mark.parametrize(("method", "role"), list(STATUSES))
def test_roles_decide_within_a_tenant(client, demo, method, role):
    url = "/demo/projects/demo/space/project"
    answer = client.request(method, url, headers=_as(demo, role), json={"number": 1})
    assert answer.status_code == STATUSES[method, role]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("role", [None, *Role])
def test_missing_and_foreign_answer_alike(client, demo, other, method, role):
    answers = []
    for path in ("other/space/project", "other/space/none", "demo/space/none", "x", "demo/../x"):
        url = f"/demo/projects/{path}"
        answer = client.request(method, url, headers=_as(demo, role), json={"number": 1})
        body = answer.json()
        assert body.pop("request_id") == answer.headers["x-request-id"]
        headers = {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        answers.append((answer.status_code, body, sorted(headers)))
    assert answers[0][0] == 404
    assert all(answer == answers[0] for answer in answers)


def test_a_project_without_a_role_is_as_one_that_is_not_there(client, demo):
    bodies = []
    for path in ("demo/space/project", "demo/space/none"):
        body = client.get(f"/demo/projects/{path}", headers=_as(demo, None)).json()
        body.pop("request_id")
        bodies.append(body)
    assert bodies[0] == bodies[1]


# --- failures ---------------------------------------------------------------------------------


def test_problem_details(client, demo):
    answer = client.get(
        "/demo/projects/x", headers={**_as(demo, None), "X-Request-Id": "r-1234567"}
    )
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:towline:error:not_found",
        "title": "Not Found",
        "status": 404,
        "detail": "no such project",
        "code": "not_found",
        "what": "project",
        "request_id": "r-1234567",
    }


def test_a_malformed_request_is_refused_without_its_content(client, demo):
    answer = client.post(
        "/demo/projects/demo/space/project",
        headers=_as(demo, Role.WRITER),
        json={"number": "hush-hush", "secret": ["hush-hush"]},
    )
    body = answer.json()
    assert (answer.status_code, body["code"]) == (422, "invalid_request")
    assert [set(issue) for issue in body["errors"]] == [{"loc", "msg", "type"}] * 2
    assert body["errors"][0]["loc"] == ["body", "number"]
    assert "hush" not in answer.text


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b'{"number": NaN}', b"{}"])
def test_what_is_no_json_is_a_malformed_request(client, demo, content):
    headers = {**_as(demo, Role.WRITER), "Content-Type": "application/json"}
    answer = client.post("/demo/projects/demo/space/project", headers=headers, content=content)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


def test_the_path_chooses_the_envelope(client, settings):
    assert client.post("/quiet/limit", json={"number": 1}).json() == {
        "oops": "asset_limit_exceeded"
    }
    assert client.post("/quiet/other", json={"number": 1}).json() == {"oops": "internal_error"}
    assert client.post("/quiet/limit", json={}).json() == {"oops": "invalid_request"}
    assert client.get("/quiet/limit").json() == {"oops": "method_not_allowed"}
    assert client.get("/quiet/limit").headers["allow"] == "POST"
    assert client.get("/quiet/a/b").json() == {"oops": "not_found"}
    assert client.get("/quietly").json()["code"] == "not_found"
    large = client.post("/quiet/limit", content=b"x" * (settings.body_bytes + 1))
    assert (large.status_code, large.json()) == (413, {"oops": "body_too_large"})


def test_assets_may_be_larger_than_other_bodies(client, settings):
    content = b"x" * (settings.body_bytes + 1)
    assert client.put("/demo/x", content=content).status_code == 404
    content = b"x" * (settings.asset_body_bytes + 1)
    assert client.put("/demo/x", content=content).status_code == 413


def test_rates_are_bounded_where_they_are_set(settings, services, demo):
    bounded = settings.model_copy(update={"rate_per_second": 0.001, "rate_burst": 2})
    app = create_app(bounded, services=services, dialects=_dialects(services))
    with TestClient(app) as client:
        answers = [client.get("/demo/x", headers=_as(demo, None)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [404, 404, 429]
        assert int(answers[2].headers["retry-after"]) > 0
        assert answers[2].json()["code"] == "too_many_requests"
        assert client.get("/demo/x", headers=_as(demo, Role.READER)).status_code == 404
        assert client.get("/healthz").status_code == 200


# --- secrets ----------------------------------------------------------------------------------


def test_no_secret_reaches_the_database_or_the_log(client, services, demo, caplog):
    webhook, password = "hush-webhook", "hush-password"
    with services.database.writing() as session:
        connections = services.connections(session)
        url = f"https://demo:{password}@git.demo.example/x.git"
        made = connections.create(tenant_id=demo.tenant_id, url=url)
        connections.set_webhook_secret(made.id, webhook)
    key = demo.keys[Role.WRITER]
    with caplog.at_level(logging.DEBUG):
        client.get("/demo/projects/x", headers={"X-API-Key": key})
        client.get("/demo/projects/x", headers={"Authorization": "Bearer hush-token"})
        client.get("/demo/projects/x?key=hush-query", auth=(demo.email, PASSWORD))
        client.get("/demo/projects/x", auth=(demo.email, "hush-wrong"))
        client.post("/quiet/other", json={"number": 1, "secret": f"Bearer {key}"})
    logged = "\n".join(JsonLines().format(record) for record in caplog.records if _ours(record))
    assert "request failed" in logged
    stored = _everything_stored(services)
    assert "hush" not in logged + stored
    for secret in (key, PASSWORD):
        assert secret not in logged + stored


def _ours(record: logging.LogRecord) -> bool:
    return not record.name.startswith(("httpcore", "httpx"))


def _everything_stored(services: Services) -> str:
    with services.database.reading() as session:
        names = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'table'")).all()
        return "\n".join(
            repr(tuple(row))
            for name in names
            for row in session.execute(text(f"SELECT * FROM {name}"))
        )


# --- operations -------------------------------------------------------------------------------


def test_health_and_readiness(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}


def test_a_server_without_its_database_is_alive_and_not_ready(settings, services, tmp_path):
    app = create_app(settings, services=services)
    with TestClient(app) as client:
        services.database.close()
        folder = tmp_path / "towline.sqlite"
        folder.unlink()
        folder.mkdir()
        assert client.get("/healthz").status_code == 200
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")


def test_before_it_starts_and_after_it_ends_it_is_not_ready(settings, services):
    app = create_app(settings, services=services)
    client = TestClient(app)
    assert client.get("/readyz").status_code == 503
    with client:
        assert client.get("/readyz").status_code == 200
    assert client.get("/readyz").status_code == 503


def test_a_runtime_starts_and_stops_with_the_application(settings, services):
    calls = []
    runtime: Any = SimpleNamespace(
        start=lambda: calls.append("start"), stop=lambda: calls.append("stop")
    )
    with TestClient(create_app(settings, services=services, runtime=runtime)):
        assert calls == ["start"]
    assert calls == ["start", "stop"]


def test_the_document_has_a_tag_for_each_dialect_and_needs_nothing_opened(services):
    from towline_server.settings import Settings

    document = create_app(Settings.defaults(), dialects=_dialects(services)).openapi()
    assert [tag["name"] for tag in document["tags"]] == ["Demo", "Quiet"]
    assert document["paths"]["/quiet/{what}"]["post"]["tags"] == ["Quiet"]
    json.dumps(document)


def test_pages_that_load_scripts_from_elsewhere_are_off(client):
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404


def test_services_are_found_from_a_request(settings, services):
    router = APIRouter()

    @router.get("/demo/found")
    def found(request: Request) -> bool:
        return services_of(request) is services

    dialect = Dialect(tag="Demo", description="", router=router, prefixes=())
    with TestClient(create_app(settings, services=services, dialects=[dialect])) as client:
        assert client.get("/demo/found").json() is True
        assert client.get(f"/demo/{uuid4()}").status_code == 404


# --- for browsers and load balancers ------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/quiet/limit", "/nowhere", "/demo/projects/x"])
def test_every_answer_holds_browsers_back(client, path):
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "strict-transport-security" not in headers
    assert "access-control-allow-origin" not in headers


def test_over_tls_browsers_must_stay_there(settings, services):
    app = create_app(settings, services=services)
    with TestClient(app, base_url="https://towline.demo.example") as client:
        assert "max-age" in client.get("/healthz").headers["strict-transport-security"]


@pytest.mark.parametrize(
    "statement", ["UPDATE alembic_version SET version_num = 'r9999'", "DELETE FROM alembic_version"]
)
def test_tables_of_another_version_are_not_served(client, services, statement):
    assert client.get("/readyz").status_code == 200
    with services.database.writing() as session:
        session.execute(text(statement))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
