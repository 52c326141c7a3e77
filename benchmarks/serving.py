"""The control plane under load: many projects of one repository are pulled at once, and looked at.

Its peers, in the same run: git itself in as many clones, one after another; and the same looks at
the same server while nothing runs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from fixtures.projects import large
from tests.postgres import running_server
from tests.server.serving import client_of, serving
from towline.kinds import Kind, Kinds
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer
from towline_server.auth.roles import Role
from towline_server.projects.domain import Binding
from towline_server.projects.service import Projects
from towline_server.projects.tenants import Tenants
from towline_server.services import open_services
from towline_server.settings import load_settings

from .measures import Measure, Scale, compared
from .processes import environment

SECTION = "serving"
V1 = "/api/towline/v1"
GIT = "git pull, one by one"
IDLE, LOADED = "nothing runs", "under load"
ASKERS = 8
"""How many clients ask for pulls at the same time."""
LOOKS = 200
"""How often each status is read while nothing runs."""
ACTIVE = ("queued", "fetching", "comparing", "validating", "applying")

Latencies = dict[str, list[float]]
"""Seconds, by what was read."""


@dataclass
class Source:
    """The repository, on a Git server."""

    server: GitServer
    assets: int
    version: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{self.server.url}/large.git"

    def commit(self) -> None:
        """Change 1% of the files."""
        self.version += 1
        files = large.files(self.assets, changed=range(0, self.assets, 100), version=self.version)
        GitRepository(self.server.root / "large.git").commit(files)
        self.server.tally.clear()

    @property
    def fetches(self) -> int:
        """How many fetches it has served since the last commit."""
        # Each begins with one question for the refs.
        return sum(each.method == "GET" for each in self.server.tally.requests)


@dataclass
class Plane:
    """A server with projects, and a client of it."""

    client: httpx2.Client
    projects: Sequence[str]
    asked: list[str] = field(default_factory=list)
    """The last run of each project."""

    def pull_all(self) -> float:
        """Pull every project; seconds until the last one has ended."""
        began = time.perf_counter()
        with ThreadPoolExecutor(ASKERS) as pool:
            self.asked = list(pool.map(self._ask, self.projects))
        states = [("state", state) for state in ACTIVE]
        while self._get("/runs", [*states, ("limit", "1")])["total"]:
            time.sleep(0.02)
        took = time.perf_counter() - began
        ends = {run["state"] for run in self._get("/runs", [("limit", "100")])["items"]}
        assert ends == {"succeeded"}, ends
        return took

    def _ask(self, project: str) -> str:
        answer = self.client.post(f"{V1}/projects/{project}/runs", json={})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def _get(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Any:
        answer = self.client.get(V1 + path, params=list(query))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def look(self, taken: Latencies, number: int) -> None:
        """Read the status of a run and of its project, each by itself."""
        which = number % len(self.projects)
        reads = {"run": f"/runs/{self.asked[which]}"} if self.asked else {}
        reads["project"] = f"/projects/{self.projects[which]}/status"
        for what, path in reads.items():
            began = time.perf_counter()
            self._get(path)
            taken.setdefault(what, []).append(time.perf_counter() - began)


@contextmanager
def looking(plane: Plane, taken: Latencies) -> Iterator[None]:
    """A client that reads one project after another as fast as it is answered."""
    enough = threading.Event()

    def look() -> None:
        number = 0
        while not enough.is_set():
            plane.look(taken, number)
            number += 1

    with ThreadPoolExecutor(1) as pool:
        looks = pool.submit(look)
        try:
            yield
        finally:
            enough.set()
        looks.result()


@contextmanager
def plane_over(folder: Path, source: Source, database_url: str, projects: int) -> Iterator[Plane]:
    """A server that has just been started, with so many projects that were never pulled."""
    values = {
        "database_url": database_url,
        "data_dir": str(folder / "data"),
        "secret_keys": ["k" * 40],
        "remote_schemes": ["http"],
        "remote_networks": ["127.0.0.0/8"],
        "rate_per_second": 0,
        "address_rate_per_second": 0,
    }
    made, key = _tenancy(values, source.url, projects)
    file = folder / "towline.toml"
    # A Python literal of these kinds is TOML too, but for the quotes.
    lines = (f"{name} = {value!r}".replace("'", '"') for name, value in values.items())
    file.write_text("\n".join(lines) + "\n")
    with (
        serving(["--settings", str(file), "--port", "0"]) as server,
        client_of(server) as client,
    ):
        client.headers["X-API-Key"] = key
        yield Plane(client, made)


def _tenancy(values: Mapping[str, Any], url: str, projects: int) -> tuple[list[str], str]:
    """Projects bound to one connection; returns their ids, and an administrator's key."""
    services = open_services(load_settings(**values))
    kinds = Kinds((Kind(name="pipeline", globs=("pipelines/**",)),))
    with services.database.writing() as session:
        tenant = Tenants(session).create("bench")
        connection = services.connections(session).create(tenant_id=tenant.id, url=url)
        _, key = services.identities(session).create_key(
            tenant_id=tenant.id, name="bench", tenant_role=Role.ADMIN
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


def measures(scale: Scale) -> Iterator[Measure]:
    """All of this section."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="towline-bench-")))
        server = stack.enter_context(GitServer(folder / "server"))
        source = Source(server, scale.served_assets)
        source.commit()
        pulls = {GIT: _git(folder, source, scale)}
        fetches = {GIT: float(source.fetches)}
        reads: list[Measure] = []
        for name, url in _databases(stack, folder, scale):
            here = folder / name
            here.mkdir()
            with plane_over(here, source, url, scale.served_projects) as plane:
                found = _served(plane, source, scale)
            pulls[f"towline, {name}"] = found.seconds
            fetches[f"towline, {name}"] = found.fetches
            reads += _reads(name, found, scale.served_projects)
    size = scale.served_projects
    per_pull = {who: 1000 * seconds / size for who, seconds in pulls.items()}
    yield from compared(
        GIT, per_pull, section=SECTION, case="pulled at once", size=size, unit="ms a pull"
    )
    yield from compared(
        GIT, fetches, section=SECTION, case="pulled at once", size=size, unit="fetches"
    )
    yield from reads


@dataclass(kw_only=True)
class Served:
    """What was measured at a server: the best pull of all, and every look."""

    seconds: float
    fetches: float
    idle: Latencies
    loaded: Latencies


def _served(plane: Plane, source: Source, scale: Scale) -> Served:
    # The first pull creates everything, and fills caches.
    plane.pull_all()
    idle: Latencies = {}
    for number in range(LOOKS if scale.judge_times else 2):
        plane.look(idle, number)
    loaded: Latencies = {}
    taken, fetched = [], []
    for _ in range(scale.served_rounds):
        source.commit()
        with looking(plane, loaded):
            taken.append(plane.pull_all())
        fetched.append(source.fetches)
    return Served(seconds=min(taken), fetches=max(fetched), idle=idle, loaded=loaded)


def _git(folder: Path, source: Source, scale: Scale) -> float:
    """Seconds in which git alone pulls into as many clones, one after another."""
    clones = [folder / f"clone{number}" for number in range(scale.served_projects)]
    for clone in clones:
        _run("git", "clone", "--quiet", source.url, str(clone), home=folder)
    best = float("inf")
    for _ in range(scale.served_rounds):
        source.commit()
        began = time.perf_counter()
        for clone in clones:
            _run("git", "-C", str(clone), "pull", "--quiet", "--ff-only", home=folder)
        best = min(best, time.perf_counter() - began)
    return best


def _run(*command: str, home: Path) -> None:
    subprocess.run(command, env=environment(home), cwd=home, check=True)


def _databases(stack: ExitStack, folder: Path, scale: Scale) -> Iterator[tuple[str, str]]:
    """SQLite, and PostgreSQL where its programs are there; quick runs do without."""
    yield "SQLite", f"sqlite:///{folder}/SQLite/towline.db"
    if not scale.judge_times:
        return
    try:
        server = stack.enter_context(running_server())
    except FileNotFoundError as error:
        print(f"{SECTION}: not measured: {error}", file=sys.stderr)
        return
    yield "PostgreSQL", server.create("bench")


def _reads(name: str, found: Served, size: int) -> Iterator[Measure]:
    for what in found.idle:
        for percent in (50, 99):
            figures = {
                IDLE: 1000 * _percentile(found.idle[what], percent),
                LOADED: 1000 * _percentile(found.loaded[what], percent),
            }
            case = f"{what} read, p{percent}, {name}"
            yield from compared(IDLE, figures, section=SECTION, case=case, size=size, unit="ms")


def _percentile(taken: Sequence[float], percent: int) -> float:
    """The least that is at least as much as so many of them (nearest rank)."""
    return sorted(taken)[-(-len(taken) * percent // 100) - 1]
