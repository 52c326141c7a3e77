"""A server as a process, with tenants and their projects, and clients of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, TypeAlias

import httpx2

from tests.server.serving import LONG, serving
from towline.kinds import Kind, Kinds
from towline.model import Digest
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.projects.tenants import Tenants
from towline_server.services import Services, open_services
from towline_server.settings import load_settings

from .bench import Sample, WrongResult

V1 = "/api/towline/v1"
SNAPLOGIC = "/api/1/rest/public/project/pull"
PASSWORD = "towline-bench-1"
ASKERS = 8
"""How many clients ask for pulls at the same time."""
ACTIVE = ("queued", "fetching", "comparing", "validating", "applying")
UNIT = "ms a pull"
_LOOK_SECONDS = 0.1
"""How often is looked whether the last run has ended: a look uses the cores that are measured."""

Latencies: TypeAlias = dict[str, list[float]]
"""Seconds, by what was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """What a tenant has: so many projects of one repository."""

    name: str
    url: str
    projects: int

    @property
    def email(self) -> str:
        """The name of its user."""
        return f"{self.name}@towline.example"


@dataclass
class PlaneClient:
    """A client of a server that runs, for one tenant."""

    http: httpx2.Client
    tenancy: Tenancy
    key: str
    projects: Sequence[str]
    asked: list[str] = field(default_factory=list)
    """The runs that it asked for last."""
    backend: str = "native"
    """What executes them."""

    def pull_one(self) -> Sample:
        """Pull the first project in a request that waits for its run."""
        path = f"{SNAPLOGIC}/{self.tenancy.name}/space/project0"
        began = time.perf_counter()
        answer = self.http.post(path, json={}, auth=(self.tenancy.email, PASSWORD))
        took = time.perf_counter() - began
        _expect(answer, 200)
        return {UNIT: 1000 * took}

    def pull_many(self, count: int) -> Sample:
        """Pull so many projects at once, until the last run has ended."""
        began = time.perf_counter()
        self.ask(count)
        while self.active():
            time.sleep(_LOOK_SECONDS)
        took = time.perf_counter() - began
        ends = {self._get(f"/runs/{run}")["state"] for run in self.asked}
        if ends != {"succeeded"}:
            raise WrongResult(f"runs ended as {', '.join(sorted(ends))}")
        return {UNIT: 1000 * took / count}

    def ask(self, count: int) -> None:
        """Ask for so many pulls, of one project after another."""
        with ThreadPoolExecutor(ASKERS) as pool:
            self.asked = list(pool.map(self._ask, islice(cycle(self.projects), count)))

    def active(self, states: Sequence[str] = ACTIVE) -> int:
        """How many runs are in one of these states."""
        query = [*(("state", state) for state in states), ("limit", "1")]
        return int(self._get("/runs", query)["total"])

    def cancel(self) -> None:
        """Cancel what it asked for, and wait until it has ended."""
        for run in self.asked:
            self.http.post(f"{V1}/runs/{run}/cancel", headers={"X-API-Key": self.key})
        while self.active():
            time.sleep(_LOOK_SECONDS)

    def check(self, count: int, expected: Mapping[str, bytes]) -> None:
        """Compare the assets of the first and of the last of so many projects.

        Raises:
            WrongResult: they are not those of the repository.
        """
        digests = {path: str(Digest.of(content)) for path, content in expected.items()}
        for project in {self.projects[0], self.projects[count - 1]}:
            found: dict[str, str] = {}
            while page := self._assets(project, len(found)):
                found |= page
            if found != digests:
                raise WrongResult(f"the assets of project {project} are not the repository's")

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
        which = number % len(self.asked)
        reads = {
            "status of a run": f"/runs/{self.asked[which]}",
            "status of a project": f"/projects/{self.projects[which]}/status",
        }
        for what, path in reads.items():
            began = time.perf_counter()
            self._get(path)
            taken.setdefault(what, []).append(time.perf_counter() - began)

    def _assets(self, project: str, offset: int) -> dict[str, str]:
        query = [("limit", "500"), ("offset", str(offset))]
        items = self._get(f"/projects/{project}/assets", query)["items"]
        return {asset["path"]: asset["digest"] for asset in items}

    def _ask(self, project: str) -> str:
        answer = self.http.post(
            f"{V1}/projects/{project}/runs",
            json={"backend": self.backend},
            headers={"X-API-Key": self.key},
        )
        _expect(answer, 202)
        return str(answer.json()["id"])

    def _get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Any:
        answer = self.http.get(V1 + path, params=list(query), headers={"X-API-Key": self.key})
        _expect(answer, 200)
        return answer.json()


def _expect(answer: httpx2.Response, status: int) -> None:
    if answer.status_code != status:
        raise WrongResult(f"{answer.status_code}: {answer.text}")


@contextmanager
def running_plane(
    folder: Path, database_url: str, tenancies: Sequence[Tenancy], *options: str, **variables: str
) -> Iterator[list[PlaneClient]]:
    """A server that has just been started, with tenants whose projects were never pulled."""
    folder.mkdir()
    values: dict[str, Any] = {
        "database_url": database_url,
        "data_dir": str(folder / "data"),
        "secret_keys": ["k" * 40],
        "remote_schemes": ["http"],
        "remote_networks": ["127.0.0.0/8"],
        "rate_per_second": 0,
        "address_rate_per_second": 0,
    }
    services = open_services(load_settings(**values))
    made = [_made(services, each) for each in tenancies]
    services.close()
    file = folder / "towline.toml"
    # A Python literal of these kinds is TOML too, but for the quotes.
    lines = (f"{name} = {value!r}".replace("'", '"') for name, value in values.items())
    file.write_text("\n".join(lines) + "\n")
    with (
        serving(["--settings", str(file), "--port", "0", *options], **variables) as server,
        _http(str(server.hear("listening")["url"])) as http,
    ):
        yield [
            PlaneClient(http, tenancy, key, projects)
            for tenancy, (key, projects) in zip(tenancies, made, strict=True)
        ]


def _http(url: str) -> httpx2.Client:
    # The server closes a connection that is idle for 5 s, perhaps while a request is under way.
    limits = httpx2.Limits(keepalive_expiry=2)
    return httpx2.Client(base_url=url, timeout=LONG, trust_env=False, limits=limits)


def _made(services: Services, tenancy: Tenancy) -> tuple[str, list[str]]:
    """An administrator's key, and the ids of projects that are bound to one connection."""
    kinds = Kinds((Kind(name="pipeline", globs=("pipelines/**",)),))
    with services.database.writing() as session:
        tenant = Tenants(session).create(tenancy.name)
        connection = services.connections(session).create(tenant_id=tenant.id, url=tenancy.url)
        identities = services.identities(session)
        _, key = identities.create_key(tenant_id=tenant.id, name="bench", tenant_role=Role.ADMIN)
        identities.create_user(
            tenant_id=tenant.id, email=tenancy.email, password=PASSWORD, tenant_role=Role.ADMIN
        )
        here = Projects(session)
        made = []
        for number in range(tenancy.projects):
            path = f"/{tenancy.name}/space/project{number}"
            project = here.create(tenant_id=tenant.id, path=path, kinds=kinds)
            here.associate(project.id, Binding(connection_id=connection.id))
            made.append(str(project.id))
    return key, made
