"""A server as a process, with projects of one repository, and clients of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import httpx2

from tests.server.serving import client_of, serving
from towline.kinds import Kind, Kinds
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.projects.tenants import Tenants
from towline_server.services import open_services
from towline_server.settings import load_settings

from .bench import Sample, WrongResult

V1 = "/api/towline/v1"
SNAPLOGIC = "/api/1/rest/public/project/pull"
EMAIL, PASSWORD = "bench@towline.example", "towline-bench-1"
ASKERS = 8
"""How many clients ask for pulls at the same time."""
ACTIVE = ("queued", "fetching", "comparing", "validating", "applying")

Latencies: TypeAlias = dict[str, list[float]]
"""Seconds, by what was read."""


@dataclass
class Plane:
    """A server that runs, and a client of it."""

    client: httpx2.Client
    key: str
    projects: Sequence[str]
    asked: list[str] = field(default_factory=list)
    """The last run of each project."""

    def pull_one(self) -> Sample:
        """Pull the first project in a request that waits for its run."""
        began = time.perf_counter()
        answer = self.client.post(
            f"{SNAPLOGIC}/bench/space/project0", json={}, auth=(EMAIL, PASSWORD)
        )
        took = time.perf_counter() - began
        if answer.status_code != 200:
            raise WrongResult(f"{answer.status_code}: {answer.text}")
        return {"ms a pull": 1000 * took}

    def pull_many(self, count: int) -> Sample:
        """Pull so many projects at once, until the last run has ended."""
        began = time.perf_counter()
        with ThreadPoolExecutor(ASKERS) as pool:
            self.asked = list(pool.map(self._ask, self.projects[:count]))
        states = [("state", state) for state in ACTIVE]
        while self._get("/runs", [*states, ("limit", "1")])["total"]:
            time.sleep(0.02)
        took = time.perf_counter() - began
        ends = {self._get(f"/runs/{run}")["state"] for run in self.asked}
        if ends != {"succeeded"}:
            raise WrongResult(f"runs ended as {', '.join(sorted(ends))}")
        return {"ms a pull": 1000 * took / count}

    def looks(self, count: int) -> Latencies:
        """Read the status of runs and of projects so often, one after another."""
        taken: Latencies = {}
        for number in range(count):
            self._look(taken, number)
        return taken

    def looks_while(self, work: Callable[[], object]) -> Latencies:
        """Read them, one after another, while something is done."""
        taken: Latencies = {}
        done = threading.Event()

        def look() -> None:
            number = 0
            while not done.is_set():
                self._look(taken, number)
                number += 1

        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(look)
            try:
                work()
            finally:
                done.set()
            looking.result()
        return taken

    def _look(self, taken: Latencies, number: int) -> None:
        reads = {
            "status of a run": f"/runs/{self.asked[number % len(self.asked)]}",
            "status of a project": f"/projects/{self.projects[number % len(self.asked)]}/status",
        }
        for what, path in reads.items():
            began = time.perf_counter()
            self._get(path)
            taken.setdefault(what, []).append(time.perf_counter() - began)

    def _ask(self, project: str) -> str:
        answer = self.client.post(
            f"{V1}/projects/{project}/runs", json={}, headers={"X-API-Key": self.key}
        )
        if answer.status_code != 202:
            raise WrongResult(f"{answer.status_code}: {answer.text}")
        return str(answer.json()["id"])

    def _get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Any:
        answer = self.client.get(V1 + path, params=list(query), headers={"X-API-Key": self.key})
        if answer.status_code != 200:
            raise WrongResult(f"{answer.status_code}: {answer.text}")
        return answer.json()


@contextmanager
def plane_over(folder: Path, url: str, database_url: str, projects: int) -> Iterator[Plane]:
    """A server that has just been started, with so many projects that were never pulled."""
    folder.mkdir()
    values = {
        "database_url": database_url,
        "data_dir": str(folder / "data"),
        "secret_keys": ["k" * 40],
        "remote_schemes": ["http"],
        "remote_networks": ["127.0.0.0/8"],
        "rate_per_second": 0,
        "address_rate_per_second": 0,
    }
    made, key = _tenancy(values, url, projects)
    file = folder / "towline.toml"
    # A Python literal of these kinds is TOML too, but for the quotes.
    lines = (f"{name} = {value!r}".replace("'", '"') for name, value in values.items())
    file.write_text("\n".join(lines) + "\n")
    with (
        serving(["--settings", str(file), "--port", "0"]) as server,
        client_of(server) as client,
    ):
        yield Plane(client, key, made)


def _tenancy(values: Mapping[str, Any], url: str, projects: int) -> tuple[list[str], str]:
    """Projects bound to one connection; returns their ids, and an administrator's key."""
    services = open_services(load_settings(**values))
    kinds = Kinds((Kind(name="pipeline", globs=("pipelines/**",)),))
    with services.database.writing() as session:
        tenant = Tenants(session).create("bench")
        connection = services.connections(session).create(tenant_id=tenant.id, url=url)
        identities = services.identities(session)
        _, key = identities.create_key(tenant_id=tenant.id, name="bench", tenant_role=Role.ADMIN)
        identities.create_user(
            tenant_id=tenant.id,
            name="bench",
            email=EMAIL,
            password=PASSWORD,
            tenant_role=Role.ADMIN,
        )
        here = Projects(session)
        made = []
        for number in range(projects):
            path = f"/bench/space/project{number}"
            project = here.create(tenant_id=tenant.id, path=path, kinds=kinds)
            here.associate(project.id, Binding(connection_id=connection.id))
            made.append(str(project.id))
    services.close()
    return made, key
