"""Who may do what: every endpoint, each role, and what is someone else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import pytest

from tests.server.api.stage import V1, Stage, code_of
from tests.server.runs.world import World
from towline.model import AssetPath
from towline.resolutions import OnConflict
from towline_server.api import DIALECT
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.projects.store import SqlStore
from towline_server.runs.domain import RunRequest
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
    f"GET {PROJECT}/plans": (READER, None),
    f"POST {PROJECT}/plans": (WRITER, {}),
    f"GET {PROJECT}/plans/{{plan_id}}": (READER, None),
    f"DELETE {PROJECT}/plans/{{plan_id}}": (WRITER, None),
    f"POST {PROJECT}/plans/{{plan_id}}/apply": (WRITER, {}),
    f"GET {PROJECT}/plans/{{plan_id}}/conflicts/{{asset_id}}": (READER, None),
    f"GET {PROJECT}/status": (READER, None),
    f"GET {PROJECT}/conflicts": (READER, None),
    f"GET {PROJECT}/conflicts/{{asset_id}}": (READER, None),
    f"GET {PROJECT}/pulls": (READER, None),
    f"GET {PROJECT}/pulls/{{number}}": (READER, None),
    f"POST {PROJECT}/undo": (WRITER, {}),
    "GET /runs/{run_id}": (READER, None),
    "GET /runs/{run_id}/attempts": (READER, None),
    "GET /runs/{run_id}/events": (READER, None),
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

FILTERED = {"GET /projects", "GET /connections", "GET /runs", "POST /work/claim"}
"""Those that everybody may ask, and that show what the caller sees."""

LEASED = {"POST /work/heartbeat", "POST /work/renew", "POST /work/complete"}
"""Those that need a lease token too: see test_work."""


def _things(world: World, stage: Stage) -> dict[str, str]:
    """One of everything, of one tenant."""
    project = stage.project if world is stage.world else world.project()
    for files in ({"clash": b"1"}, {"clash": b"1", "a": b"1"}):
        world.commit(**files)
        stage.bench.worker().execute(stage.bench.runs.request(project.id).id)
    world.commit(a=b"1", clash=b"theirs")
    world.edit(project, "clash", b"ours")
    run = stage.bench.runs.request(project.id)
    stage.bench.worker().execute(run.id)
    plans = stage.services.plans
    plan = plans.make(project.id, RunRequest(on_conflict=OnConflict.SKIP))
    world.edit(project, "here", b"here")
    store = world.store(project)
    return {
        "project_id": str(project.id),
        "asset_id": _id_at(store, "here"),
        "clash_id": _id_at(store, "clash"),
        "plan_id": str(plan.id),
        "number": "2",
        "path": "here",
        "run_id": str(run.id),
        "connection_id": str(world.connect("https://git.example/x.git")),
        "org": world.tenant_id.hex,
    }


def _id_at(store: SqlStore, path: str) -> str:
    found = store.at(AssetPath(path))
    assert found is not None
    return found.id


def _send(stage: Stage, endpoint: str, body: Any, things: Mapping[str, str], key: str) -> Any:
    method, _, path = endpoint.partition(" ")
    path = path.replace("/conflicts/{asset_id}", "/conflicts/{clash_id}")
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
    assert found == set(NEEDED) | set(TENANT) | FILTERED | LEASED


READS = [endpoint for endpoint in NEEDED if endpoint.startswith("GET")]


def test_a_role_that_is_too_low_does_nothing(stage: Stage):
    things = _things(stage.world, stage)
    before = stage.world.contents(stage.project)
    for endpoint, (needed, body) in NEEDED.items():
        answer = _send(stage, endpoint, body, things, stage.keys[None])
        assert code_of(answer) == (404, "not_found"), endpoint
        for role in Role:
            if not role.covers(needed):
                answer = _send(stage, endpoint, body, things, stage.keys[role])
                assert code_of(answer) == (403, "forbidden"), endpoint
    assert stage.world.contents(stage.project) == before


def test_a_reader_reads(stage: Stage):
    things = _things(stage.world, stage)
    for endpoint in READS:
        answer = _send(stage, endpoint, None, things, stage.keys[READER])
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("endpoint", [each for each in NEEDED if each not in READS])
def test_the_role_that_is_needed_is_enough(stage: Stage, endpoint: str):
    needed, body = NEEDED[endpoint]
    things = _things(stage.world, stage)
    answer = _send(stage, endpoint, body, things, stage.keys[needed])
    assert answer.status_code < 300, answer.text


def test_each_role_on_the_tenant(stage: Stage):
    things = _things(stage.world, stage)
    for endpoint, (needed, body) in TENANT.items():
        nobody = 403 if endpoint.startswith("POST") else 404
        answer = _send(stage, endpoint, body, things, stage.keys[ADMIN])
        assert answer.status_code == nobody, endpoint
        for role in Role:
            answer = _send(stage, endpoint, body, things, stage.tenant_keys[role])
            if not role.covers(needed):
                assert code_of(answer) == (403, "forbidden")
            elif role is needed:
                assert answer.status_code < 300, answer.text


def test_what_is_someone_elses_is_not_there(stage: Stage, other: World):
    """It answers as what nobody has does, to the letter."""
    key = stage.tenant_keys[ADMIN]
    theirs = _things(other, stage)
    nobodys = {
        name: str(uuid4()) if name.endswith("_id") else value for name, value in theirs.items()
    }
    for endpoint, (_, body) in {**NEEDED, **TENANT}.items():
        if "{" not in endpoint:
            continue
        told = []
        for things in (theirs, nobodys):
            answer = _send(stage, endpoint, body, things, key)
            assert code_of(answer) == (404, "not_found"), endpoint
            told.append({**answer.json(), "request_id": ""})
        assert told[0] == told[1], endpoint


def test_nobody_gets_in_without_a_credential(stage: Stage):
    things = _things(stage.world, stage)
    everything = {**NEEDED, **TENANT, **dict.fromkeys(FILTERED | LEASED, (READER, None))}
    for endpoint, (_, body) in everything.items():
        answer = _send(stage, endpoint, body, things, "twl_wrong")
        assert code_of(answer) == (401, "unauthenticated"), endpoint


def test_lists_hold_nothing_of_another_tenant(stage: Stage, other: World):
    theirs = _things(other, stage)
    for endpoint in FILTERED:
        text = _send(stage, endpoint, None, theirs, stage.tenant_keys[ADMIN]).text
        assert not any(value in text for name, value in theirs.items() if name.endswith("_id"))
