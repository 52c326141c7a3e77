"""Who may do what: every endpoint, each role, and what is someone else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.server.api.stage import V1, Stage, code_of
from tests.server.runs.world import World
from towline_server.api import DIALECT
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.runs.domain import BackendName
from towline_server.settings import Settings

READER, WRITER, ADMIN = Role.READER, Role.WRITER, Role.ADMIN
PROJECT = "/projects/{project_id}"

NEEDED: Mapping[str, tuple[Role, Any]] = {
    f"GET {PROJECT}": (READER, None),
    f"PATCH {PROJECT}": (ADMIN, {}),
    f"DELETE {PROJECT}": (ADMIN, None),
    f"GET {PROJECT}/assets": (READER, None),
    f"GET {PROJECT}/assets/{{asset_id}}": (READER, None),
    f"GET {PROJECT}/assets/{{asset_id}}/content": (READER, None),
    f"DELETE {PROJECT}/assets/{{asset_id}}": (WRITER, None),
    f"POST {PROJECT}/assets/{{asset_id}}/move": (WRITER, {"path": "moved"}),
    f"GET {PROJECT}/content/{{path}}": (READER, None),
    f"PUT {PROJECT}/content/{{path}}": (WRITER, {}),
    f"GET {PROJECT}/runs": (READER, None),
    f"POST {PROJECT}/runs": (WRITER, {}),
    "GET /runs/{run_id}": (READER, None),
    "GET /runs/{run_id}/attempts": (READER, None),
    "POST /runs/{run_id}/cancel": (WRITER, {}),
    "POST /runs/{run_id}/retry": (WRITER, {}),
}
"""The role on the project that each endpoint needs, and a body for it."""

TENANT: Mapping[str, tuple[Role, Any]] = {
    "POST /projects": (ADMIN, {"path": "{org}/space/new"}),
    "POST /connections": (ADMIN, {"url": "https://git.example/new.git"}),
    "GET /connections/{connection_id}": (READER, None),
    "PATCH /connections/{connection_id}": (ADMIN, {}),
    "DELETE /connections/{connection_id}": (ADMIN, None),
}
"""The role on the whole tenant that each endpoint needs."""

FILTERED = {"GET /projects", "GET /connections", "GET /runs"}
"""Those that everybody may ask, and that show what the caller sees."""


def _things(world: World, stage: Stage) -> dict[str, str]:
    """One of everything, of one tenant."""
    world.commit(a=b"1")
    project = stage.project if world is stage.world else world.project()
    world.edit(project, "here", b"here")
    asset = next(iter(world.store(project).records()))
    run = stage.bench.runs.request(project.id, backend=BackendName.NATIVE)
    stage.bench.runs.cancel(run.id)
    return {
        "project_id": str(project.id),
        "asset_id": asset.id,
        "path": "here",
        "run_id": str(run.id),
        "connection_id": str(world.connect("https://git.example/x.git")),
        "org": world.tenant_id.hex,
    }


def _send(stage: Stage, endpoint: str, body: Any, things: Mapping[str, str], key: str) -> Any:
    method, _, path = endpoint.partition(" ")
    for name, value in things.items():
        path = path.replace(f"{{{name}}}", value)
    if isinstance(body, dict):
        org = things["org"]
        body = {
            name: text.replace("{org}", org) if isinstance(text, str) else text
            for name, text in body.items()
        }
    return stage.ask(method, V1 + path, key=key, json=body)


def test_every_endpoint_is_named_here():
    paths = create_app(Settings.defaults(), dialects=[DIALECT]).openapi()["paths"]
    found = {
        f"{method.upper()} {path.removeprefix(V1)}"
        for path, methods in paths.items()
        if path.startswith(V1)
        for method in methods
    }
    assert found == set(NEEDED) | set(TENANT) | FILTERED


@pytest.mark.parametrize("endpoint", list(NEEDED))
def test_each_role_on_a_project(stage: Stage, endpoint: str):
    things = _things(stage.world, stage)
    needed, body = NEEDED[endpoint]
    for role in (None, *Role):
        answer = _send(stage, endpoint, body, things, stage.keys[role])
        if role is None:
            assert code_of(answer) == (404, "not_found")
        elif not role.covers(needed):
            assert code_of(answer) == (403, "forbidden")
        else:
            assert answer.status_code < 300, answer.text
            return  # it may be gone now


@pytest.mark.parametrize("endpoint", list(TENANT))
def test_each_role_on_the_tenant(stage: Stage, endpoint: str):
    things = _things(stage.world, stage)
    needed, body = TENANT[endpoint]
    nobody = 403 if endpoint.startswith("POST") else 404
    assert _send(stage, endpoint, body, things, stage.keys[ADMIN]).status_code == nobody
    for role in Role:
        answer = _send(stage, endpoint, body, things, stage.tenant_keys[role])
        if not role.covers(needed):
            assert code_of(answer) == (403, "forbidden")
        else:
            assert answer.status_code < 300, answer.text
            return


@pytest.mark.parametrize("endpoint", [each for each in {**NEEDED, **TENANT} if "{" in each])
def test_what_is_someone_elses_is_not_there(stage: Stage, other: World, endpoint: str):
    """It answers as what nobody has does, to the letter."""
    _, body = {**NEEDED, **TENANT}[endpoint]
    key = stage.tenant_keys[ADMIN]
    theirs = _things(other, stage)
    nobodys = {
        name: str(uuid4()) if name.endswith("_id") else value for name, value in theirs.items()
    }
    told = []
    for things in (theirs, nobodys):
        answer = _send(stage, endpoint, body, things, key)
        assert code_of(answer) == (404, "not_found")
        told.append({**answer.json(), "request_id": ""})
    assert told[0] == told[1]


@pytest.mark.parametrize("endpoint", [*NEEDED, *TENANT, *sorted(FILTERED)])
def test_nobody_gets_in_without_a_credential(stage: Stage, endpoint: str):
    things = _things(stage.world, stage)
    _, body = {**NEEDED, **TENANT}.get(endpoint, (None, None))
    answer = _send(stage, endpoint, body, things, "twl_wrong")
    assert code_of(answer) == (401, "unauthenticated")


@pytest.mark.parametrize("endpoint", sorted(FILTERED))
def test_lists_hold_nothing_of_another_tenant(stage: Stage, other: World, endpoint: str):
    theirs = _things(other, stage)
    text = _send(stage, endpoint, None, theirs, stage.tenant_keys[ADMIN]).text
    assert not any(value in text for name, value in theirs.items() if name.endswith("_id"))
