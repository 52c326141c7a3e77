"""The forms that credentials come in: each is taken where it is named, and nowhere else."""

import base64
import time
from typing import Annotated

import jwt
import pytest
from fastapi import APIRouter, Depends, FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from tests.control_plane import AUDIENCE, ISSUER, JWT_SECRET, PASSWORD
from towline_server.app import create_app
from towline_server.auth.roles import OPERATOR, Principal, Role
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect

ALL = tuple(Form)
OPERATOR_TOKEN = "the token of a test's operator, long enough"


def _basic(text: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}


def _route(router: APIRouter, form: str, *forms: Form) -> None:
    @router.post(f"/who/{form}", name=f"who_{form}")
    def who(caller: Annotated[Principal, Depends(authenticated(*forms))]) -> str:
        return str(caller.id)


@pytest.fixture
def settings(settings):
    """Settings with an operator's token."""
    return settings.model_copy(update={"operator_token": SecretStr(OPERATOR_TOKEN)})


@pytest.fixture
def app(settings, services) -> FastAPI:
    router = APIRouter()
    for form in Form:
        _route(router, form, form)
    _route(router, "any", *ALL)
    dialect = Dialect(tag="Who", description="", router=router, prefixes=("/who",))
    return create_app(settings, services=services, dialects=[dialect])


@pytest.fixture
def client(app):
    with TestClient(app, base_url="https://towline.demo.example") as client:
        yield client


@pytest.fixture
def token(demo) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(demo.user_id),
        "iat": now,
        "exp": now + 600,
    }
    return jwt.encode(claims, JWT_SECRET, algorithm="HS256")


@pytest.fixture
def presented(demo, token) -> dict[Form, tuple[dict[str, str], str]]:
    """A good credential in each form, and whose it is."""
    key, key_id = demo.keys[Role.READER], str(demo.ids[Role.READER])
    user_id = str(demo.user_id)
    return {
        Form.BASIC_PASSWORD: (_basic(f"{demo.email}:{PASSWORD}"), user_id),
        Form.BASIC_KEY: (_basic(key), key_id),
        Form.BEARER_JWT: ({"Authorization": f"Bearer {token}"}, user_id),
        Form.BEARER_TOKEN_JWT: ({"Authorization": f"Bearer Token {token}"}, user_id),
        Form.BEARER_KEY: ({"Authorization": f"Bearer {key}"}, key_id),
        Form.X_API_KEY: ({"X-API-Key": key}, key_id),
        Form.NECTED_API_KEY: ({"Nected-API-Key": key}, key_id),
        Form.OPERATOR_TOKEN: ({"Authorization": f"Bearer {OPERATOR_TOKEN}"}, str(OPERATOR.id)),
        Form.COOKIE: ({"Cookie": f"vai_token={token}"}, user_id),
    }


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("route", [*Form, "any"])
def test_a_form_is_taken_where_it_is_named_alone(client, presented, form, route):
    headers, who = presented[form]
    answer = client.post(f"/who/{route}", headers=headers)
    if route in (form, "any"):
        assert (answer.status_code, answer.json()) == (200, who)
    else:
        assert answer.status_code == 401


SPELLINGS = ["bearer {}", "BEARER {}", "Bearer   {}", "Bearer Token   {}", "bearer token {}"]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_schemes_are_spelled_in_any_case(client, token, spelling):
    answer = client.post("/who/any", headers={"Authorization": spelling.format(token)})
    assert answer.status_code == 200


def test_a_key_with_a_colon_behind_it_is_a_key(client, demo):
    assert client.post("/who/any", headers=_basic(demo.keys[None] + ":")).status_code == 200


BAD = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer Token"},
    {"Authorization": "Bearer twl_wrong"},
    {"Authorization": "Digest x"},
    {"Authorization": "Basic"},
    {"Authorization": "Basic !!!"},
    {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:x").decode()},
    _basic("unknown@demo.example:wrong"),
    _basic("unknown@demo.example"),
    _basic(":"),
    {"X-API-Key": ""},
    {"X-API-Key": "twl_wrong"},
    {"Nected-API-Key": "wrong"},
    {"Cookie": "vai_token="},
    {"Cookie": "vai_token=wrong"},
    {"Cookie": "other=thing"},
]


@pytest.mark.parametrize("headers", BAD, ids=str)
def test_anything_else_is_refused_with_challenges(client, demo, headers):
    answer = client.post("/who/any", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["code"] == "unauthenticated"
    challenge = answer.headers["www-authenticate"]
    assert all(scheme in challenge for scheme in ("Basic realm", "Bearer realm", "X-API-Key"))


def test_a_bad_credential_is_not_made_up_for_by_another(client, demo, presented):
    good = presented[Form.X_API_KEY][0]
    for bad in ({"Authorization": "Bearer wrong"}, _basic("a@b:wrong")):
        assert client.post("/who/any", headers={**good, **bad}).status_code == 401


@pytest.mark.parametrize("header", ["Authorization", "X-API-Key", "Nected-API-Key"])
def test_a_header_that_comes_twice_is_refused(client, demo, header):
    value = demo.keys[None] if header != "Authorization" else f"Bearer {demo.keys[None]}"
    assert client.post("/who/any", headers=[(header, value)]).status_code == 200
    assert client.post("/who/any", headers=[(header, value), (header, value)]).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://towline.demo.example"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_a_cookie_is_not_taken_from_another_sites_page(client, presented, headers, status):
    cookie = presented[Form.COOKIE][0]
    assert client.post("/who/any", headers={**cookie, **headers}).status_code == status


def test_other_forms_do_not_care_where_they_come_from(client, presented):
    headers = {**presented[Form.X_API_KEY][0], "Origin": "https://evil.example"}
    answer = client.post("/who/any", headers=headers)
    assert answer.status_code == 200
    # CORS is off: the page that asked cannot read the answer.
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_too_many_wrong_passwords_are_429_with_retry_after(client, demo, settings):
    statuses = [
        client.post("/who/any", headers=_basic(f"{demo.email}:wrong")).status_code
        for _ in range(settings.login_failures + 1)
    ]
    assert statuses == [401] * settings.login_failures + [429]
    answer = client.post("/who/any", headers=_basic(f"{demo.email}:{PASSWORD}"))
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_the_document_names_the_forms(app):
    document = app.openapi()
    schemes = document["components"]["securitySchemes"]
    assert schemes == {
        "basic": {"type": "http", "scheme": "basic"},
        "bearer": {"type": "http", "scheme": "bearer"},
        "x_api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "nected_api_key": {"type": "apiKey", "in": "header", "name": "Nected-API-Key"},
        "cookie": {"type": "apiKey", "in": "cookie", "name": "vai_token"},
    }
    one = document["paths"]["/who/basic_key"]["post"]
    assert one["security"] == [{"basic": []}]
    assert "parameters" not in one
