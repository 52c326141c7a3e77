"""What a tenant's pull takes beside another tenant who overloads the server, to the same alone."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from towline.testing.git_server import GitServer, StaysSilent

from .bench import US, Bench, BenchCase, Sample, WrongResult
from .databases import postgresql
from .planes import PlaneClient, Tenancy, running_plane
from .projects import ServedProject, served_project

SECTION = "fairness"
ALONE = "alone"
PROJECTS = 200
"""Projects of the tenant with the long queue."""


@dataclass
class Neighbours:
    """A tenant who pulls 1% of a project now and then, and others."""

    bench: Bench
    project: ServedProject
    tenant: PlaneClient

    def beside(self, other: PlaneClient, count: int, *, name: str, target: float) -> None:
        """Compare a pull alone with one while so many runs of another tenant are not done."""
        rounds = range(self.bench.scale.pace.least)
        alone = [self._pull() for _ in rounds]
        other.ask(count)
        loaded = []
        for _ in rounds:
            loaded.append(self._pull())
            if not other.active():
                raise WrongResult(f"{name}: the other tenant's runs had ended")
        case = BenchCase(section=SECTION, name=name, size=count, baseline=ALONE, target=target)
        self.bench.add(case, {ALONE: alone, f"{US}, beside another": loaded})

    def _pull(self) -> Sample:
        self.project.commit()
        return self.tenant.pull_one()


def measure(bench: Bench) -> None:
    """All of this section, on PostgreSQL where it is there."""
    silent, queued = (24, 1_000) if bench.scale.judge else (4, 20)
    with ExitStack() as stack:
        project = stack.enter_context(served_project(bench.scale.served_assets))
        folder = project.folder
        hung = stack.enter_context(GitServer(folder / "hung", trouble=StaysSilent()))
        # Another name is another host.
        url = f"{hung.url.replace('127.0.0.1', 'localhost')}/hung.git"
        tenancies = [
            Tenancy(name="small", url=project.url, projects=1),
            Tenancy(name="silent", url=url, projects=silent),
            Tenancy(name="many", url=project.url, projects=min(PROJECTS, queued)),
        ]
        postgres = postgresql(stack, bench)
        database = postgres.create("fair") if postgres else f"sqlite:///{folder}/towline.db"
        clients = stack.enter_context(running_plane(folder / "plane", database, tenancies))
        here = Neighbours(bench, project, clients[0])
        # The first pull creates everything.
        clients[0].pull_one()
        here.beside(
            clients[1], silent, name="pulls of another tenant from a silent server", target=2.0
        )
        clients[1].cancel()
        here.beside(clients[2], queued, name="queued runs of another tenant", target=3.0)
