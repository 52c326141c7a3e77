"""The whole of SnapLogic: every operation, status, field, word and null of its pages."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.control_plane import PASSWORD
from tests.server.dialects.page_schema import PageSchema
from tests.server.dialects.pages.tour import Answers, Tour
from tests.server.dialects.scene import Scene, login
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
    "space.response_map.*.response_map.overwritten[]: present": "a space is pulled as it stands",
}
OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", f"{ROOT}/pull/{PATH}", {}),
    ("POST", f"{ROOT}/checkout/{PATH}", {}),
    ("POST", f"{ROOT}/discard_changes/{PATH}", {"asset_path_list": ["kept"]}),
    ("POST", f"{ROOT}/git-pull/projects/acme/space", {}),
    ("GET", f"{ROOT}/repo-status/{PATH}", {}),
    ("GET", f"{ROOT}/untrack/{PATH}", {}),
]
LISTS = ("overwritten", "updated", "created", "deleted", "ignored", "error_msgs")
FILES = {name: name.encode() for name in ("gone", "kept", "link", "lost", "mine", "same", "theirs")}


@pytest.fixture
def tour(scene: Scene) -> Tour:
    made = Tour(scene.client, PageSchema("snaplogic"), "SnapLogic", ANSWERS)
    made.headers = login("admin@acme.example")
    return made


def test_the_whole_dialect(tour: Tour, scene: Scene):
    robot = _robot(scene)
    for who, status in (({"Authorization": "Basic x"}, 401), (robot, 403)):
        for method, url, _ in OPERATIONS:
            tour.ask(method, url, status, headers=who)
    for method, url, body in OPERATIONS:
        missing = url.replace("space", "nowhere")
        tour.ask(method, missing, 404, json=body if method == "POST" else None)
        if method == "POST":
            tour.ask(method, url, 400, json={"none": 1})
    _pulls(tour, scene)
    _statuses(tour, scene)
    _whole_space(tour, scene)
    _failures(tour, scene)
    with scene.over(scene.inline, rate_per_second=0.001, rate_burst=1) as slow:
        slow.post(OPERATIONS[0][1], headers=tour.headers)
        for method, url, _ in OPERATIONS:
            tour.ask(method, url, 429, client=slow)
    assert tour.lacking(IMPOSSIBLE) == []


def _robot(scene: Scene) -> dict[str, str]:
    account = ("robot@acme.example", PASSWORD)
    with scene.services.database.writing() as session:
        scene.services.identities(session).create_service_account(
            tenant_id=scene.world.tenant_id, name="robot", login=account, tenant_role=Role.ADMIN
        )
    return login(*account)


def _pull(tour: Tour, operation: str = "pull", **body: Any) -> dict[str, list[str]]:
    """How many stand in each list."""
    found = tour.ask("POST", f"{ROOT}/{operation}/{PATH}", json=body)["response_map"]
    return {name: [each.get("path") for each in found[name]] for name in LISTS[:-1]}


def _pulls(tour: Tour, scene: Scene) -> None:
    """Every list of a pull, and nothing to do, by each operation that pulls."""
    scene.commit(FILES)
    _pull(tour)
    assert tour.ask("POST", OPERATIONS[0][1])["response_map"] == {"status": "up-to-date"}
    theirs, ours = scene.edit("theirs", b"ours"), scene.edit("mine", b"ours")
    scene.edit("same", b"ours")
    links = {"link": Symlink("kept"), "another": Symlink("kept")}
    both = {"mine": b"2", "same": b"2", "theirs": b"2", "lost": b"lost"}
    scene.commit({**both, **links, "kept": b"2", "rules/new": b"3"})
    found = _pull(tour, use_theirs=[theirs], use_ours=[ours])
    assert found == {
        "overwritten": ["theirs"],
        "updated": ["kept"],
        "created": ["rules/new"],
        "deleted": ["gone"],
        "ignored": ["another", "link", "mine", "same"],
    }
    assert _pull(tour, "discard_changes", asset_path_list=["same"])["overwritten"] == ["same"]
    assert _pull(tour, "checkout", hard_reset=True)["overwritten"] == ["mine"]


def _statuses(tour: Tour, scene: Scene) -> None:
    """Every status of an asset, with a SHA and without."""
    scene.edit("same", b"ours")
    scene.edit("mine", b"ours")
    scene.edit("local", b"ours")
    scene.delete("lost")
    scene.commit({"same": b"2", "mine": b"3", "lost": b"lost", "theirs": b"2", "fresh": b"1"})
    entries = tour.ask("GET", f"{ROOT}/repo-status/{PATH}")["response_map"]["entries"]
    found = {each["path"]: each["metadata"]["git"]["status"] for each in entries}
    assert {name: found[name] for name in ("same", "mine", "local", "lost", "fresh", "kept")} == {
        "same": "Tracked, Modified Locally",
        "mine": "Tracked, Conflict",
        "local": "Untracked",
        "lost": "Removed",
        "fresh": "Added",
        "kept": "Tracked, Modified Remotely",
    }


def _whole_space(tour: Tour, scene: Scene) -> None:
    """Every list that a space's pull has, nothing to do, and a project that fails."""
    for ref in ("heads/main", "heads/none"):
        scene.grant(scene.world.project(ref=ref), Role.ADMIN)
    url = f"{ROOT}/git-pull/projects/acme/space"
    scene.commit(
        {"same": b"2", "mine": b"3", "lost": b"9", "theirs": b"4", "link": Symlink("same")}
    )
    for _ in range(2):
        found = tour.ask("POST", url)["response_map"]
        assert sorted(each["http_status_code"] for each in found.values()) == [200, 200, 502]


def _failures(tour: Tour, scene: Scene) -> None:
    pull, checkout, discard, _, status, untrack = (url for _, url, _ in OPERATIONS)
    theirs = {"use_theirs": ["0" * 24]}
    assert "0" * 24 in str(tour.ask("POST", pull, 400, json=theirs))
    scene.commit({"mine": b"5"})
    for url in (pull, checkout):
        tour.ask("POST", f"{url}?on_conflict=refuse", 409)
    scene.world.server.trouble = Trouble(status=503)
    tour.ask("POST", pull, 502)
    tour.ask("POST", checkout, 502)
    tour.ask("GET", status, 502)
    scene.world.server.trouble = None
    bodies = {pull: {}, checkout: {}, discard: {"asset_path_list": ["mine"]}}
    with scene.waiting() as waiting:
        for url, body in bodies.items():
            tour.ask("POST", url, 504, client=waiting, json=body)
            _busy(tour, waiting, bodies, untrack)
            scene.bench.work()
    tour.ask("GET", untrack)
    tour.ask("GET", untrack, 400)
    tour.ask("GET", status, 400)


def _busy(tour: Tour, waiting: TestClient, bodies: dict[str, Any], untrack: str) -> None:
    for url, body in bodies.items():
        tour.ask("POST", url, 409, client=waiting, json=body)
    tour.ask("GET", untrack, 409, client=waiting)
