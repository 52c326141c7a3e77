"""One scenario, pulled through each dialect: the same store, the same lists."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import pytest
from fastapi.testclient import TestClient

from tests.control_plane import PASSWORD
from tests.server.dialects.tenant_client import basic
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.inline import open_inline
from towline.content_rules import ContentMode
from towline.model import AssetPath
from towline.options import OnConflict
from towline.remotes.trees import Symlink
from towline.testing.git_server import GitServer
from towline.testing.plans import now
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project, PullSettings
from towline_server.runs.runtime import Runtime
from towline_server.services import Services
from towline_server.settings import Settings

pytestmark = pytest.mark.slow

FOLDERS = {"rule": "rules/", "task": "tasks/", "file": ""}
"""Where the assets of each kind are."""
LISTS = ("overwritten", "updated", "created", "deleted", "ignored", "conflicts", "error_msgs")
NATIVE = "/api/towline/v1"

Pulled: TypeAlias = tuple[dict[str, tuple[bytes | None, bool]], dict[str, list[Any]]]
"""The contents of a store, and the lists."""

BEFORE: Mapping[str, Any] = {
    "both.json": b'{"x": 1, "y": 1}',
    "changed": b"1",
    "clash": b"1",
    "dropped": b"1",
    "moved": b"1",
    "same": b"1",
    "script": b"1",
}
AFTER: Mapping[str, Any] = {
    "both.json": b'{"x": 1, "y": 2}',
    "changed": (b"2", True),
    "clash": b"2",
    "fresh": (b"2", True),
    "moved": b"2",
    "same": b"1",
    "script": b"2",
}
"""One is created, some are changed, one is deleted."""


def _everywhere(files: Mapping[str, Any]) -> dict[str, Any]:
    """The same files among the assets of each kind."""
    return {
        f"{folder}{path}": content for folder in FOLDERS.values() for path, content in files.items()
    }


@dataclass
class ProjectClient:
    """One tenant with its project, and its client's way to it."""

    client: TestClient
    tenant: GitTenant
    project: Project
    key: str
    email: str
    ids: frozenset[str]
    """Those of the accounts of its key and its password."""

    def ask(self, method: str, url: str, headers: Mapping[str, str], **rest: Any) -> Any:
        answer = self.client.request(method, url, headers=dict(headers), **rest)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def native(self, method: str, url: str, **rest: Any) -> Any:
        return self.ask(method, NATIVE + url, {"X-API-Key": self.key}, **rest)

    def edit(self, folder: str) -> None:
        """What its user did: one clash; three that merge with what the repository did."""
        store = self.tenant.store(self.project)
        store.put(AssetPath(f"{folder}clash"), b"ours")
        store.put(AssetPath(f"{folder}both.json"), b'{"x": 2, "y": 1}')
        store.put(AssetPath(f"{folder}script"), b"1", executable=True)
        moved = now(store).at(AssetPath(f"{folder}moved"))
        assert moved is not None
        store.move(moved.id, AssetPath(f"{folder}renamed"))
        store.put(AssetPath(f"{folder}local"), b"ours")

    def contents(self) -> dict[str, tuple[bytes | None, bool]]:
        store = self.tenant.store(self.project)
        present = [record.ours for record in now(store).records() if record.ours is not None]
        return {str(each.path): (store.read(each.digest), each.executable) for each in present}

    def reports(self, known: set[str]) -> list[Any]:
        """The reports of the runs that are new since the last call, all requested by it."""
        found = self.native("GET", f"/projects/{self.project.id}/runs")["items"]
        assert {run["requested_by"] for run in found} <= self.ids
        new = [run["id"] for run in found if run["id"] not in known]
        known.update(new)
        return [self.native("GET", f"/runs/{each}")["report"] for each in new]


# --- how each dialect's client pulls ------------------------------------------------------------


def _native(caller: ProjectClient, _policy: OnConflict) -> None:
    caller.native("POST", f"/projects/{caller.project.id}/runs", json={})


def _snaplogic(caller: ProjectClient, policy: OnConflict) -> Any:
    """It skips unless it is asked otherwise; only it returns the lists at once."""
    query = {} if policy is OnConflict.SKIP else {"on_conflict": "refuse"}
    answer = caller.client.post(
        f"/api/1/rest/public/project/pull/{caller.project.path}",
        params=query,
        headers=basic(f"{caller.email}:{PASSWORD}"),
        json={},
    )
    assert answer.status_code in (200, 409), answer.text
    return answer.json()["response_map"]


def _nected(caller: ProjectClient, _policy: OnConflict) -> Any:
    headers = {"Nected-API-Key": caller.key, "Nected-Branch": "main"}
    asked = caller.ask("POST", "/dev/remote/pull", headers)
    url = f"/dev/remote/tasks/{asked['data']['taskId']}"
    return caller.ask("GET", url, headers)["data"]["report"]


def _codat(caller: ProjectClient, _policy: OnConflict) -> None:
    caller.ask("POST", f"/companies/{caller.project.id}/data/all", basic(caller.key))


def _codat_queue(caller: ProjectClient, _policy: OnConflict) -> None:
    for kind in FOLDERS:
        url = f"/companies/{caller.project.id}/data/queue/{kind}"
        caller.ask("POST", url, basic(caller.key))


def _syncs(caller: ProjectClient, _policy: OnConflict) -> Any:
    return _sync(caller, {})


def _syncs_fan_out(caller: ProjectClient, _policy: OnConflict) -> Any:
    return _sync(caller, {"executionMode": "fan_out_entity"})


def _sync(caller: ProjectClient, more: Mapping[str, Any]) -> Any:
    headers = {"X-API-Key": caller.key}
    body = {"connectionId": str(caller.tenant.connection_id), "name": "All", **more}
    made = caller.ask("POST", "/api/v1/syncs", headers, json=body)
    run = caller.ask("POST", f"/api/v1/syncs/{made['id']}/trigger", headers, json={})
    return caller.ask("GET", f"/api/v1/syncs/runs/{run['id']}", headers)["summary"]


def _connections(caller: ProjectClient, _policy: OnConflict) -> None:
    url = f"/v2/integrations/connections/{caller.tenant.connection_id}/sync"
    caller.ask("POST", url, {"Authorization": f"Bearer {caller.key}"})


Way: TypeAlias = Callable[[ProjectClient, OnConflict], Any]

WAYS: Mapping[str, Way] = {
    "SnapLogic": _snaplogic,
    "Nected": _nected,
    "Codat": _codat,
    "Codat, kind by kind": _codat_queue,
    "Syncs": _syncs,
    "Syncs, fanned out": _syncs_fan_out,
    "Connections": _connections,
}
"""Each is held against the native API."""


# --- the scenario -------------------------------------------------------------------------------


@pytest.fixture
def tenant(services: Services, git_server: GitServer, tmp_path: Path) -> GitTenant:
    """The tenant of the native API; it executes the runs of all."""
    return GitTenant(services.database, git_server, tmp_path / "native", sealer=services.sealer)


@pytest.fixture
def client(settings: Settings, services: Services, tenant: GitTenant) -> Iterator[TestClient]:
    """The control plane; a run has ended when it was asked for."""
    runs = open_inline(tenant.database, tenant.sealer, tenant.cache_dir)
    runtime = cast(Runtime, SimpleNamespace(runs=runs))
    app = create_app(settings, services=services.with_runtime(runtime))
    with TestClient(app) as opened:
        yield opened


@dataclass
class Comparison:
    """A repository, and for each client a project that pulls it."""

    client: TestClient
    services: Services
    tenant: GitTenant
    folder: Path
    settings: PullSettings

    def pull(self, after: Mapping[str, Any], ways: Mapping[str, Way]) -> Pulled:
        """What the second pull gives, once each of these ways gives the same as the native API."""
        native = self.caller(self.tenant)
        others = {name: self.caller(self.new_tenant(name)) for name in ways}
        self.tenant.repository.commit(_everywhere(BEFORE))
        first = self.pulled(native, _native)
        for name, way in ways.items():
            assert self.pulled(others[name], way) == first, name
        self.tenant.repository.commit(_everywhere(after))
        for caller in (native, *others.values()):
            for folder in FOLDERS.values():
                caller.edit(folder)
        second = self.pulled(native, _native)
        for name, way in ways.items():
            assert self.pulled(others[name], way) == second, name
        return second

    def new_tenant(self, name: str) -> GitTenant:
        sealer, server = self.services.sealer, self.tenant.server
        return GitTenant(self.services.database, server, self.folder / name, sealer=sealer)

    def caller(self, tenant: GitTenant) -> ProjectClient:
        project = tenant.project(settings=self.settings)
        email = f"{tenant.tenant_id.hex}@demo.example"
        with self.services.database.writing() as session:
            identities = self.services.identities(session)
            made, key = identities.create_key(tenant_id=tenant.tenant_id, name="key")
            user = identities.create_user(
                tenant_id=tenant.tenant_id, email=email, password=PASSWORD
            )
            for each in (made, user):
                identities.grant(each.id, project, Role.WRITER)
        ids = frozenset(str(each.id) for each in (made, user))
        return ProjectClient(self.client, tenant, project, key, email, ids)

    def pulled(self, caller: ProjectClient, way: Way) -> Pulled:
        """The store and the lists after a pull, without what differs from project to project."""
        known: set[str] = set()
        caller.reports(known)
        answer = way(caller, self.settings.on_conflict)
        lists = _lists(caller.reports(known))
        if answer is not None:
            assert _own_lists(answer) == {name: _names(lists[name]) for name in _own_lists(answer)}
        return caller.contents(), lists


MERGING = PullSettings(on_conflict=OnConflict.SKIP)
REFUSING = PullSettings(on_conflict=OnConflict.REFUSE, content_merge=ContentMode.NEVER)


@pytest.fixture(params=[MERGING, REFUSING], ids=["merging", "refusing"])
def settings_of_projects(request: pytest.FixtureRequest) -> PullSettings:
    """The settings of every project."""
    found: PullSettings = request.param
    return found


@pytest.fixture
def comparison(
    client: TestClient,
    services: Services,
    tenant: GitTenant,
    tmp_path: Path,
    settings_of_projects: PullSettings,
) -> Comparison:
    """Clients of one server, each with a tenant of its own."""
    return Comparison(client, services, tenant, tmp_path, settings_of_projects)


def test_the_dialects_agree(comparison: Comparison):
    store, lists = comparison.pull(AFTER, WAYS)
    paths = {name: {each["path"] for each in lists[name]} for name in LISTS[:-1]}
    merges = comparison.settings == MERGING
    clashes = _everywhere(dict.fromkeys(("clash",) if merges else ("clash", "both.json"))).keys()
    assert paths["conflicts"] == clashes
    assert len(lists["error_msgs"]) == len(clashes)
    unchanged = {"local": (b"ours", False), "clash": (b"ours", False), "same": (b"1", False)}
    if not merges:
        assert not any(paths[name] for name in LISTS[:5])
        old = dict.fromkeys(("changed", "dropped", "renamed"), (b"1", False))
        edited = {"script": (b"1", True), "both.json": (b'{"x": 2, "y": 1}', False)}
        assert store == _everywhere({**unchanged, **old, **edited})
        return
    changed = ("changed", "renamed", "script", "both.json")
    assert paths["updated"] == _everywhere(dict.fromkeys(changed, b"")).keys()
    assert {each["path"] for each in lists["updated"] if each["merged"]} == (
        _everywhere(dict.fromkeys(changed[1:], b"")).keys()
    )
    assert {each["path"]: each["merged_by"] for each in lists["updated"] if each["merged_by"]} == (
        _everywhere({"both.json": "structure"})
    )
    assert paths["created"] == _everywhere({"fresh": b""}).keys()
    assert paths["deleted"] == _everywhere({"dropped": b""}).keys()
    assert paths["ignored"] == clashes
    assert paths["overwritten"] == set()
    pulled = {"changed": (b"2", True), "fresh": (b"2", True), "script": (b"2", True)}
    merged = {"renamed": (b"2", False), "both.json": (b'{"x": 2, "y": 2}', False)}
    assert store == _everywhere({**unchanged, **pulled, **merged})


@pytest.mark.parametrize("settings_of_projects", [MERGING], indirect=True)
def test_the_dialects_agree_on_what_is_no_asset(comparison: Comparison):
    comparison.pull({**AFTER, "link": Symlink("changed")}, {"Connections": _connections})


def _own_lists(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The lists in a dialect's own answer, as far as it has them."""
    if "error_list" in answer:
        return {"error_msgs": sorted(_anonymous(each["message"]) for each in answer["error_list"])}
    return {name: _names(answer[name]) for name in LISTS if name in answer}


def _names(entries: list[Any]) -> list[Any]:
    return sorted(
        _anonymous(each) if isinstance(each, str) else str((each["path"], each.get("reason")))
        for each in entries
    )


def _lists(reports: list[Any]) -> dict[str, list[Any]]:
    """The lists of a batch as one; what several of its runs list is there once."""
    found = {}
    for name in LISTS:
        entries = [each for report in reports if report for each in report[name]]
        shown = {repr(each): each for each in map(_anonymous, entries)}
        found[name] = [shown[key] for key in sorted(shown)]
    return found


def _anonymous(value: Any) -> Any:
    """A value without the ids of assets, each of which is its project's own."""
    if isinstance(value, dict):
        return {name: _anonymous(each) for name, each in value.items() if name != "asset_id"}
    if isinstance(value, list):
        return [_anonymous(each) for each in value]
    return re.sub(r" \([^ ]+\)", "", value) if isinstance(value, str) else value
