"""A server that browsers visit: its tenant, its people, and what a person does first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Page

from tests.control_plane import PASSWORD, cheap_passwords
from tests.databases import open_database
from tests.server.runs.git_tenant import GitTenant
from tests.server.serving import ServerProcess, client_of, serving, settings_file
from towline.testing.git_server import GitServer
from towline_server.auth.identities import Identities
from towline_server.auth.roles import Role
from towline_server.auth.sealing import Sealer


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
        page.get_by_label("Email").fill(self.emails[role])
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("button", name="Sign out").wait_for()


@contextmanager
def serving_site(git: GitServer, folder: Path, database_url: str) -> Iterator[Site]:
    """Serve a tenant's database in a process of its own."""
    database = open_database(database_url)
    sealer = Sealer(["k" * 40])
    tenant = GitTenant(database, git, folder, sealer=sealer, name="shop")
    file = settings_file(tenant, database_url, retry_seconds=3600)
    with serving(["--settings", str(file), "--port", "0"]) as server:
        with client_of(server) as client:
            url = str(client.base_url).rstrip("/")
        yield Site(url, tenant, server)
    database.close()
