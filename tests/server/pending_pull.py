"""A pull that is requested over HTTP, and followed in the database."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import uuid4

import httpx2
from sqlalchemy import select

from tests.server.runs.git_tenant import GitTenant
from tests.server.serving import LONG, admin_key
from towline.pull import pull
from towline.remotes.git import GitRemote
from towline.testing.plans import now
from towline_server.projects.asset_events import AssetEvents, EventFilter, want_events
from towline_server.projects.asset_tables import PullRow
from towline_server.projects.domain import Project
from towline_server.runs.tables import RunRow

V1 = "/api/towline/v1"
CHANGES = [(1, "updated", "a"), (2, "deleted", "gone"), (3, "created", "rules/new")]
"""The events of the pull: what it does here, numbered without a gap."""
ProjectState = tuple[dict[str, bytes], str | None, int]
"""Contents by path, base, and how many pulls were applied."""


@dataclass
class PendingPull:
    """A project that was pulled once and edited since.

    Its next pull changes an asset, creates one and deletes one.
    """

    tenant: GitTenant
    backend: str = "native"
    project: Project = field(init=False)
    key: str = field(init=False)
    old: ProjectState = field(init=False)
    new: ProjectState = field(init=False)

    def __post_init__(self) -> None:
        tenant = self.tenant
        self.project = tenant.project()
        self.key = admin_key(tenant)
        tenant.commit(a=b"1", gone=b"1", here=b"1", rules__b=b"1")
        with GitRemote(
            f"{tenant.server.url}/repo.git", cache=tenant.folder / "first.git"
        ) as remote:
            pull(tenant.store(self.project), remote)
        with tenant.database.writing() as session:
            want_events(session, self.project.id, uuid4(), ["file", "rule"])
        tenant.server.tally.clear()
        tenant.edit(self.project, "here", b"edited")
        self.old = self.state()
        base = tenant.commit(a=b"2", here=b"1", rules__b=b"1", rules__new=b"2")
        contents = {"a": b"2", "here": b"edited", "rules/b": b"1", "rules/new": b"2"}
        self.new = (contents, base, 2)

    def state(self) -> ProjectState:
        """Return the state of the project in the database."""
        store = self.tenant.store(self.project)
        return self.tenant.contents(self.project), now(store).state().base, len(store.log())

    def ask(self, client: httpx2.Client) -> str:
        """Ask for the pull; returns its run."""
        url = f"{V1}/projects/{self.project.id}/runs"
        answer = client.post(url, json={"backend": self.backend}, headers=self._headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def look(self, client: httpx2.Client, run_id: str) -> dict[str, Any]:
        """Return a run."""
        answer = client.get(f"{V1}/runs/{run_id}", headers=self._headers)
        assert answer.status_code == 200, answer.text
        run: dict[str, Any] = answer.json()
        return run

    def end(self, client: httpx2.Client, run_id: str) -> dict[str, Any]:
        """Wait for the end of a run, or of an attempt in its place."""
        url = f"{V1}/runs/{run_id}/events"
        deadline = time.monotonic() + LONG
        with client.stream("GET", url, headers=self._headers) as stream:
            lines = stream.iter_lines()
            # While nothing happens, too, a line comes now and then.
            while next(lines) != "event: ended":
                assert time.monotonic() < deadline, self.look(client, run_id)
            data = next(line for line in lines if line.startswith("data: "))
        run: dict[str, Any] = json.loads(data.removeprefix("data: "))
        return run

    def attempts(self, client: httpx2.Client, run_id: str) -> list[dict[str, Any]]:
        """Every attempt, the first one first; each names its neighbours."""
        found: list[dict[str, Any]] = client.get(
            f"{V1}/runs/{run_id}/attempts", headers=self._headers
        ).json()
        assert found[0]["id"] == run_id
        for before, after in pairwise(found):
            assert before["next_attempt_id"] == after["id"]
            assert after["previous_attempt_id"] == before["id"]
            assert before["state"] == "failed"
        return found

    def reports(self) -> list[Any]:
        """Every report there is: those of the pulls after the first, then those of the runs."""
        with self.tenant.database.reading() as session:
            of_pulls = select(PullRow.report).where(
                PullRow.project_id == self.project.id, PullRow.number > 1
            )
            of_runs = select(RunRow.report).where(
                RunRow.project_id == self.project.id, RunRow.report.is_not(None)
            )
            return [*session.scalars(of_pulls), *session.scalars(of_runs)]

    def changes(self, run_id: str) -> list[tuple[int, str, str]]:
        """The events of the project, which must be of one pull by this run."""
        with self.tenant.database.reading() as session:
            page = AssetEvents(session, self.project.id).page(EventFilter(), after=0, limit=100)
        assert {(event.pull, str(event.run_id)) for event in page.events} == {(2, run_id)}
        return [(event.sequence, str(event.change), event.path) for event in page.events]

    @property
    def _headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}
