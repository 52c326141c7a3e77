"""The Python client: as the document has it, and against a server that executes runs."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.browser.site import Site, new_site
from tests.clients.python_client import PREFIX, ROOT, generated
from tests.control_plane import PASSWORD
from tests.server.serving import serving
from towline.client import (
    AsyncClient,
    Client,
    ConflictingState,
    Forbidden,
    InvalidRequest,
    NotFound,
    Request,
    Unauthenticated,
    models,
    native,
)
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.settings import Settings

DOCUMENT: Mapping[str, Any] = create_app(Settings.defaults()).openapi()
OPERATIONS = [
    pytest.param(path, method, operation, id=operation["operationId"])
    for path, methods in DOCUMENT["paths"].items()
    if path.startswith(f"{PREFIX}/")
    for method, operation in methods.items()
]
BY_CLIENT = {"idempotency-key"}
"""Headers that the client sets by itself."""


def example(content: Mapping[str, Any]) -> Any:
    found = content.get("example")
    return next(iter(content["examples"].values()))["value"] if found is None else found


def called(path: str, operation: Mapping[str, Any]) -> Request[Any]:
    """The request of an operation, made of what its parameters and body are an example of."""
    function = getattr(native, operation["operationId"].removeprefix("native_"))
    given: dict[str, Any] = {}
    for name, each in inspect.signature(function).parameters.items():
        if f"{{{name}}}" in path:
            given[name] = 1 if each.annotation == "int" else f"a {name}"
        elif each.kind is each.KEYWORD_ONLY:
            given[name] = 1
    content = operation.get("requestBody", {}).get("content", {})
    if "application/octet-stream" in content:
        given["content"] = b"x"
    elif (body := content.get("application/json")) is not None:
        value = example(body)
        given["body"] = _model_of(body["schema"], value).model_validate(value)
    made: Request[Any] = function(**given)
    return made


def _model_of(schema: Mapping[str, Any], value: Mapping[str, Any]) -> Any:
    names = [each["$ref"].rpartition("/")[2] for each in _forms(schema) if "$ref" in each]
    provider = value.get("provider")
    if len(names) > 1 and provider is not None and provider.startswith("s3"):
        names = ["S3ConnectionBody"]
    name = {"RunsCancelBody": "CancelBody"}.get(names[0], names[0])
    return getattr(models, name)


def _forms(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return schema.get("anyOf") or schema.get("oneOf") or [schema]


def test_what_is_generated_follows_the_document():
    stale = [path.name for path, text in generated().items() if path.read_text("utf-8") != text]
    assert stale == [], "run make client"


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_operation_is_asked_as_the_document_has_it(
    path: str, method: str, operation: Mapping[str, Any]
):
    request = called(path, operation)
    assert request.method == method.upper()
    declared = operation.get("parameters", [])
    assert set(request.query()) == {each["name"] for each in declared if each["in"] == "query"}
    headers = {each["name"].lower() for each in declared if each["in"] == "header"}
    sent = {name.lower() for name in request.all_headers()} - {"content-type"}
    assert sent - BY_CLIENT == headers - BY_CLIENT
    assert ("idempotency-key" in sent) == (method == "post")
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        assert json.loads(request.payload() or b"{}") == example(body)


@pytest.mark.parametrize(("path", "method", "operation"), OPERATIONS)
def test_every_recorded_answer_is_read(path: str, method: str, operation: Mapping[str, Any]):
    request = called(path, operation)
    for code, answer in operation["responses"].items():
        if code >= "300":
            continue
        found = answer.get("content", {}).get("application/json")
        if found is None:
            continue
        value = example(found)
        # A newer server may have more.
        if isinstance(value, dict):
            value = {**value, "a field of a later version": 1}
        form = {"content-type": "application/json"}
        read = request.read(int(code), form, json.dumps(value).encode())
        assert read is not None
        if isinstance(value, dict) and "id" in value:
            assert str(read.id) == str(value["id"])


# --- a server that executes runs ------------------------------------------------------------------


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Site]:
    with new_site(tmp_path_factory.mktemp("client"), sqlite_template) as made:
        yield made


def client_of(site: Site, role: Role = Role.ADMIN) -> Client:
    return Client(site.url, login=(site.emails[role], PASSWORD))


def test_a_pull_is_requested_followed_and_returned_with_its_report(site: Site):
    project = site.conflicting(uuid4().hex)
    with client_of(site) as client:
        refused = client.pull(project.id)
        assert (refused.state, refused.error and refused.error.code) == (
            "failed",
            "unresolved_conflicts",
        )
        found = client.send(native.list_conflicts(project.id))
        [party] = found.conflicts[0].parties
        seen = list(
            client.follow(
                client.send(
                    native.request_run(project.id, models.RunBody(use_theirs=[party.asset_id]))
                ).id
            )
        )
        done = seen[-1]
        assert isinstance(done, models.Run)
        assert done.outcome == "changed"
        assert done.report is not None
        assert [each.path for each in done.report.overwritten] == ["rules/a.json"]
        assert client.send(native.read_path(project.id, "rules/a.json")).startswith(b"{")


def test_a_list_is_read_page_after_page(site: Site):
    with client_of(site) as client:
        for _ in range(3):
            client.send(
                native.create_connection(
                    models.GitConnectionBody(url=f"http://git.example/{uuid4()}.git")
                )
            )
        every = list(client.every(native.list_connections(limit=1)))
        assert len(every) >= 3
        assert len({each.id for each in every}) == len(every)
        events = list(client.every(native.read_audit_log(limit=2)))
        assert len({each.id for each in events}) == len(events) > 3


def test_what_is_refused_is_a_typed_error(site: Site):
    with client_of(site) as client:
        with pytest.raises(NotFound) as missing:
            client.send(native.get_project(uuid4()))
        assert missing.value.code == "not_found"
        assert missing.value.request_id is not None
        with pytest.raises(InvalidRequest, match="path"):
            client.send(native.create_project(models.ProjectBody(path="x")))
        body = models.ProjectBody(path=f"{site.tenant.name}/space/{uuid4().hex}")
        client.send(native.create_project(body))
        with pytest.raises(ConflictingState):
            client.send(native.create_project(body))
    with client_of(site, Role.READER) as reader, pytest.raises(Forbidden):
        reader.send(native.create_project(body))
    with Client(site.url, key="twl_wrong") as unknown, pytest.raises(Unauthenticated) as wrong:
        unknown.send(native.list_projects())
    assert "twl_wrong" not in repr(unknown) + str(wrong.value)


def test_a_post_that_is_sent_twice_is_executed_once(site: Site):
    project = site.conflicting(uuid4().hex)
    with client_of(site) as client:
        request = native.request_run(project.id, models.RunBody(mode="dry_run", on_conflict="skip"))
        first, second = client.send(request), client.send(request)
    assert first.id == second.id


def test_a_content_is_written_with_the_tag_that_was_read(site: Site):
    project = site.conflicting(uuid4().hex)
    with client_of(site) as client:
        made = client.send(native.put_asset(project.id, "rules/new one.json", b'{"x": 1}'))
        assert client.send(native.read_path(project.id, "rules/new one.json")) == b'{"x": 1}'
        with pytest.raises(ConflictingState):
            client.send(native.delete_asset(project.id, made.id, if_match=f'"{"0" * 40}"'))
        client.send(native.delete_asset(project.id, made.id, if_match=f'"{made.digest}"'))


def test_a_wait_that_is_too_long_leaves_the_run(site: Site):
    project = site.conflicting(uuid4().hex)
    with client_of(site) as client:
        run = client.send(native.request_run(project.id, models.RunBody(on_conflict="skip")))
        with pytest.raises(TimeoutError):
            client.wait(run.id, seconds=-1)
        assert client.wait(run.id).outcome == "partial"


def test_the_asynchronous_client_does_the_same(site: Site):
    project = site.conflicting(uuid4().hex)

    async def use() -> tuple[models.Run, list[UUID]]:
        login = (site.emails[Role.ADMIN], PASSWORD)
        async with AsyncClient(site.url, login=login) as client:
            run = await client.pull(project.id, on_conflict="theirs", seconds=60)
            listed = [each.id async for each in client.every(native.list_runs(limit=2))]
            with pytest.raises(NotFound):
                await client.send(native.get_run(uuid4()))
        return run, listed

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run, listed = asyncio.run(use())
    assert run.outcome == "changed"
    assert run.id in listed
    assert run.phase_seconds is not None
    assert run.phase_seconds.keys() >= {"fetching", "applying"}


# --- the guide ------------------------------------------------------------------------------------


def test_the_guide_does_what_it_says(capsys: pytest.CaptureFixture[str]):
    text = (ROOT / "docs/how-to/call-the-api.md").read_text(encoding="utf-8")
    code = "".join(re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    with serving(["--demo", "--port", "0"], TOWLINE_LOG_LEVEL="info") as server:
        url = str(server.hear("listening")["url"])
        exec(code, {"url": url, "key": "twl_demo_native", "__name__": "guide"})
    printed = capsys.readouterr().out
    assert "succeeded partial\nleft in conflict: rules/" in printed
    assert "changed ['rules/" in printed
    assert "['succeeded', 'succeeded']" in printed
    assert printed.splitlines()[-1].startswith("not_found ")
