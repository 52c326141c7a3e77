"""A server that browsers visit: its tenant, its people, and what a person does first."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Page

from tests.control_plane import PASSWORD, cheap_passwords
from tests.databases import open_database
from tests.server.runs.git_tenant import GitTenant
from tests.server.serving import ServerProcess, client_of, serving, settings_file
from towline.testing.git_server import GitServer
from towline_server.auth.identities import Identities
from towline_server.auth.roles import Role
from towline_server.auth.sealing import Sealer
from towline_server.projects.domain import Project


@dataclass
class Site:
    """A server, its tenant, and a user of each role."""

    url: str
    tenant: GitTenant
    server: ServerProcess
    emails: dict[Role, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.tenant.database.writing() as session:
            identities = Identities(session, cheap_passwords())
            for role in Role:
                self.emails[role] = f"{role}@demo.example"
                identities.create_user(
                    tenant_id=self.tenant.tenant_id,
                    email=self.emails[role],
                    password=PASSWORD,
                    name=f"A {role}",
                    tenant_role=role,
                )

    def sign_in(self, page: Page, role: Role = Role.WRITER, address: str = "/") -> None:
        """Go to a page, and sign in on the way."""
        page.goto(address)
        self.fill_in(page, role)

    def fill_in(self, page: Page, role: Role) -> None:
        """Sign in, on the page that asks for it."""
        page.get_by_label("Email").fill(self.emails[role])
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Sign out").wait_for()

    def native(self, method: str, address: str, **rest: Any) -> Any:
        """Ask the native API as an administrator, for what a test needs but does not test."""
        proof = (self.emails[Role.ADMIN], PASSWORD)
        with httpx2.Client(base_url=f"{self.url}/api/towline/v1", trust_env=False) as client:
            answer = client.request(method, address, auth=proof, timeout=60, **rest)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def pull(self, project: Project, **body: Any) -> Any:
        """Pull a project, and return its run."""
        run = self.native("POST", f"/projects/{project.id}/runs", json=body)
        with httpx2.Client(base_url=self.url, trust_env=False) as client:
            proof = (self.emails[Role.ADMIN], PASSWORD)
            events = f"/api/towline/v1/runs/{run['id']}/events"
            with client.stream("GET", events, auth=proof, timeout=60) as answer:
                assert b"event: ended" in b"".join(answer.iter_bytes())
        return self.native("GET", f"/runs/{run['id']}")

    def conflicting(self, name: str = "") -> Project:
        """A new project that was pulled, and that both sides edited since."""
        tenant = self.tenant
        before = {"rules/a.json": b'{"x": 1, "y": [1]}', "rules/b.txt": b"one\ntwo\n"}
        tenant.repository.commit(before)
        project = tenant.project(name=name)
        assert self.pull(project)["outcome"] == "changed"
        tenant.edit(project, "rules/a.json", b'{"x": 2, "y": [1]}')
        news = {"rules/a.json": b'{"x": 3, "y": [1, 2]}', "rules/b.txt": b"one\nthree\n"}
        tenant.repository.commit({**news, "tasks/new.json": b"{}"})
        return project

    def filled(self) -> Mapping[str, str]:
        """The ids, by their place in an address, of a project that has something of all."""
        project = self.conflicting("filled")
        plan = self.native("POST", f"/projects/{project.id}/plans", json={})
        run = self.pull(project, mode="dry_run", on_conflict="skip")
        shown = self.native("GET", f"/projects/{project.id}/assets")["items"]
        self.native("POST", "/webhooks", json={"url": "http://127.0.0.1:9/", "description": "one"})
        rhythm = {"cron": "0 4 * * *", "timezone": "Europe/Berlin"}
        schedule = self.native("POST", f"/projects/{project.id}/schedules", json=rhythm)
        people = self.native("GET", f"/admin/tenants/{project.tenant_id}/identities")["items"]
        return {
            "identity": people[0]["id"],
            "connection": str(project.bound.connection_id),
            "project": str(project.id),
            "plan": plan["id"],
            "schedule": schedule["id"],
            "run": run["id"],
            "asset": next(each["id"] for each in shown if each["path"] == "rules/a.json"),
        }


@contextmanager
def new_site(folder: Path, sqlite_template: Path) -> Iterator[Site]:
    """A server with a tenant, over a Git server, in a folder of their own."""
    file = shutil.copy(sqlite_template, folder / "towline.sqlite")
    root = folder / "repositories"
    root.mkdir()
    with GitServer(root) as git, serving_site(git, folder, f"sqlite:///{file}") as made:
        yield made


@contextmanager
def serving_again(first: Site) -> Iterator[None]:
    """Serve what a server had that has ended, at its address."""
    file, port = first.tenant.folder / "towline.toml", first.url.split(":")[-1]
    words = ["--settings", str(file), "--port", port]
    with serving(words) as second, client_of(second):
        yield


@contextmanager
def serving_site(git: GitServer, folder: Path, database_url: str) -> Iterator[Site]:
    """Serve a tenant's database in a process of its own."""
    database = open_database(database_url)
    sealer = Sealer(["k" * 40])
    tenant = GitTenant(database, git, folder, sealer=sealer, name="shop")
    file = settings_file(tenant, database_url, webhook_schemes=["http"])
    with serving(["--settings", str(file), "--port", "0"]) as server:
        with client_of(server) as client:
            url = str(client.base_url).rstrip("/")
        yield Site(url, tenant, server)
    database.close()
