"""Pulls of many projects at once, by what executes them: two processes of each backend."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.server.serving import serving
from tests.temporal import temporal_server_in

from .bench import Bench, BenchCase
from .databases import postgresql
from .planes import PlaneClient, Tenancy, running_plane
from .projects import served_project

SECTION = "executors"
NATIVE, TEMPORAL = "native", "temporal"
WORKERS = 2


def measure(bench: Bench) -> None:
    """All of this section, on PostgreSQL where it is there."""
    count = 200 if bench.scale.judge else 10
    with ExitStack() as stack:
        project = stack.enter_context(served_project(bench.scale.served_assets))
        folder = project.folder
        postgres = postgresql(stack, bench)
        address = stack.enter_context(temporal_server_in(folder)).address
        samples = {}
        for backend in (NATIVE, TEMPORAL):
            database = postgres.create(backend) if postgres else f"sqlite:///{folder}/{backend}.db"
            tenancy = Tenancy(name=backend, url=project.url, projects=count)
            with _plane(folder / backend, database, tenancy, address) as client:
                client.pull_many(count)  # the first pull creates everything
                rounds = []
                for _ in range(bench.scale.pace.least):
                    project.commit()
                    rounds.append(client.pull_many(count))
                samples[backend] = rounds
        name = f"{count} projects of one repository, {WORKERS} processes"
        bench.add(BenchCase(section=SECTION, name=name, size=count, baseline=NATIVE), samples)


@contextmanager
def _plane(folder: Path, database: str, tenancy: Tenancy, address: str) -> Iterator[PlaneClient]:
    """A server, two processes that execute its runs, and a client that asks for them."""
    variables = {"TOWLINE_TEMPORAL__ADDRESS": address}
    native = tenancy.name == NATIVE
    options = ("--workers", str(WORKERS if native else 1))
    with ExitStack() as stack:
        plane = running_plane(folder, database, [tenancy], *options, **variables)
        [client] = stack.enter_context(plane)
        for number in range(0 if native else WORKERS):
            words = ["--settings", str(folder / "towline.toml")]
            words += ["--data-dir", str(folder / f"worker-{number}"), "--backend", TEMPORAL]
            worker = stack.enter_context(serving(words, command="work", **variables))
            worker.hear("polling Temporal")
        client.backend = tenancy.name
        yield client
