"""The whole of SnapLogic: every operation, status, field, word and null of its pages."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.control_plane import PASSWORD
from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.pages.product_client import Answers, ProductClient
from tests.server.dialects.shared_project import SharedProject, login
from towline.remotes.trees import Symlink
from towline.testing.git_server import Answers as Trouble
from towline_server.auth.roles import Role

pytestmark = pytest.mark.slow

ROOT = "/api/1/rest/public/project"
PATH, PLACE = "acme/space/project", "{org}/{space}/{project}"
ERRORS = dict.fromkeys((400, 401, 403, 404, 429), "error")
RUNS = {200: "pulled", **ERRORS, **dict.fromkeys((409, 502, 504), "error")}
ANSWERS: Answers = {
    f"POST {ROOT}/pull/{PLACE}": RUNS,
    f"POST {ROOT}/checkout/{PLACE}": RUNS,
    f"POST {ROOT}/discard_changes/{PLACE}": {200: "pulled", **ERRORS, 409: "error", 504: "error"},
    f"POST {ROOT}/git-pull/projects/{{org}}/{{space}}": {200: "space", **ERRORS},
    f"GET {ROOT}/repo-status/{PLACE}": {200: "status", **ERRORS, 502: "error"},
    f"GET {ROOT}/untrack/{PLACE}": {200: "untracked", **ERRORS, 409: "error"},
}
IMPOSSIBLE = {
    "space.response_map.*.response_map.overwritten[]: present": "a space is pulled as it is",
}
OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", f"{ROOT}/pull/{PATH}", {}),
    ("POST", f"{ROOT}/checkout/{PATH}", {}),
    ("POST", f"{ROOT}/discard_changes/{PATH}", {"asset_path_list": ["next"]}),
    ("POST", f"{ROOT}/git-pull/projects/acme/space", {}),
    ("GET", f"{ROOT}/repo-status/{PATH}", {}),
    ("GET", f"{ROOT}/untrack/{PATH}", {}),
]
LISTS = ("overwritten", "updated", "created", "deleted", "ignored", "error_msgs")
FILES = {name: name.encode() for name in ("gone", "next", "link", "lost", "mine", "same", "theirs")}
BASE = {"both.json": b'{"x": 1, "y": 1}', "both": b"1\n2\n3\n4\n"}
OURS = {"both.json": b'{"x": 2, "y": 1}', "both": b"one\n2\n3\n4\n"}
THEIRS = {"both.json": b'{"x": 1, "y": 2}', "both": b"1\n2\n3\nfour\n"}


@pytest.fixture
def product(shared: SharedProject) -> ProductClient:
    made = ProductClient(shared.client, PageSchema("snaplogic"), "SnapLogic", ANSWERS)
    made.headers = login("admin@acme.example")
    return made


def test_the_whole_dialect(product: ProductClient, shared: SharedProject):
    robot = _robot(shared)
    for who, status in (({"Authorization": "Basic x"}, 401), (robot, 403)):
        for method, url, _ in OPERATIONS:
            product.ask(method, url, status, headers=who)
    for method, url, body in OPERATIONS:
        missing = url.replace("space", "nowhere")
        product.ask(method, missing, 404, json=body if method == "POST" else None)
        if method == "POST":
            product.ask(method, url, 400, json={"none": 1})
    _pulls(product, shared)
    _statuses(product, shared)
    _whole_space(product, shared)
    _failures(product, shared)
    with shared.over(shared.inline, rate_per_second=0.001, rate_burst=1) as slow:
        slow.post(OPERATIONS[0][1], headers=product.headers)
        for method, url, _ in OPERATIONS:
            product.ask(method, url, 429, client=slow)
    assert product.lacking(IMPOSSIBLE) == []


def _robot(shared: SharedProject) -> dict[str, str]:
    account = ("robot@acme.example", PASSWORD)
    with shared.services.database.writing() as session:
        shared.services.identities(session).create_service_account(
            tenant_id=shared.tenant.tenant_id, name="robot", login=account, tenant_role=Role.ADMIN
        )
    return login(*account)


def _pull(product: ProductClient, operation: str = "pull", **body: Any) -> dict[str, list[str]]:
    """How many are in each list."""
    found = product.ask("POST", f"{ROOT}/{operation}/{PATH}", json=body)["response_map"]
    return {name: [each.get("path") for each in found[name]] for name in LISTS[:-1]}


def _pulls(product: ProductClient, shared: SharedProject) -> None:
    """Every list of a pull, and nothing to do, by each operation that pulls."""
    shared.commit(FILES | BASE)
    _pull(product)
    assert product.ask("POST", OPERATIONS[0][1])["response_map"] == {"status": "up-to-date"}
    theirs, ours = shared.edit("theirs", b"ours"), shared.edit("mine", b"ours")
    shared.edit("same", b"ours")
    for path, content in OURS.items():
        shared.edit(path, content)
    links = {"link": Symlink("next"), "another": Symlink("next")}
    both = {"mine": b"2", "same": b"2", "theirs": b"2", "lost": b"lost"}
    shared.commit({**both, **THEIRS, **links, "next": b"2", "rules/new": b"3"})
    found = _pull(product, use_theirs=[theirs], use_ours=[ours])
    assert found == {
        "overwritten": ["theirs"],
        "updated": ["both", "both.json", "next"],
        "created": ["rules/new"],
        "deleted": ["gone"],
        "ignored": ["another", "link", "mine", "same"],
    }
    assert _pull(product, "discard_changes", asset_path_list=["same"])["overwritten"] == ["same"]
    reset = _pull(product, "checkout", hard_reset=True)
    assert reset["overwritten"] == ["both", "both.json", "mine"]


def _statuses(product: ProductClient, shared: SharedProject) -> None:
    """Every status of an asset, with a SHA and without."""
    shared.edit("same", b"ours")
    shared.edit("mine", b"ours")
    shared.edit("local", b"ours")
    shared.delete("lost")
    shared.commit({"same": b"2", "mine": b"3", "lost": b"lost", "theirs": b"2", "fresh": b"1"})
    entries = product.ask("GET", f"{ROOT}/repo-status/{PATH}")["response_map"]["entries"]
    found = {each["path"]: each["metadata"]["git"]["status"] for each in entries}
    assert {name: found[name] for name in ("same", "mine", "local", "lost", "fresh", "next")} == {
        "same": "Tracked, Modified Locally",
        "mine": "Tracked, Conflict",
        "local": "Untracked",
        "lost": "Removed",
        "fresh": "Added",
        "next": "Tracked, Modified Remotely",
    }


def _whole_space(product: ProductClient, shared: SharedProject) -> None:
    """Every list that a space's pull has, nothing to do, and a project that fails."""
    for ref in ("heads/main", "heads/none"):
        shared.grant(shared.tenant.project(ref=ref), Role.ADMIN)
    url = f"{ROOT}/git-pull/projects/acme/space"
    shared.edit("both.json", b'{"x": 2, "y": 2}')
    shared.edit("both", b"one\n2\n3\nfour\n")
    merging = {"both.json": b'{"x": 1, "y": 3}', "both": b"1\n2\n3\nfive\n"}
    shared.commit(
        {
            **merging,
            "same": b"2",
            "mine": b"3",
            "lost": b"9",
            "theirs": b"4",
            "link": Symlink("same"),
        }
    )
    for _ in range(2):
        found = product.ask("POST", url)["response_map"]
        assert sorted(each["http_status_code"] for each in found.values()) == [200, 200, 502]


def _failures(product: ProductClient, shared: SharedProject) -> None:
    pull, checkout, discard, _, status, untrack = (url for _, url, _ in OPERATIONS)
    theirs = {"use_theirs": ["0" * 24]}
    assert "0" * 24 in str(product.ask("POST", pull, 400, json=theirs))
    shared.commit({"mine": b"5"})
    for url in (pull, checkout):
        product.ask("POST", f"{url}?on_conflict=refuse", 409)
    shared.tenant.server.trouble = Trouble(status=503)
    product.ask("POST", pull, 502)
    product.ask("POST", checkout, 502)
    product.ask("GET", status, 502)
    shared.tenant.server.trouble = None
    bodies = {pull: {}, checkout: {}, discard: {"asset_path_list": ["mine"]}}
    with shared.waiting() as waiting:
        for url, body in bodies.items():
            product.ask("POST", url, 504, client=waiting, json=body)
            _busy(product, waiting, bodies, untrack)
            shared.runner.work()
    product.ask("GET", untrack)
    product.ask("GET", untrack, 400)
    product.ask("GET", status, 400)


def _busy(
    product: ProductClient, waiting: TestClient, bodies: dict[str, Any], untrack: str
) -> None:
    for url, body in bodies.items():
        product.ask("POST", url, 409, client=waiting, json=body)
    product.ask("GET", untrack, 409, client=waiting)
