"""A real Git server, projects bound to its repositories, and runs over them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

from towline.kinds import Kind, Kinds
from towline.model import AssetPath, Revision
from towline.remotes.credentials import Credential
from towline.remotes.url import ALL_SCHEMES
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import GitServer
from towline.testing.plans import now
from towline_server.auth.sealing import Sealer
from towline_server.db import Database
from towline_server.db.clock import database_now
from towline_server.projects.connections import Connections
from towline_server.projects.domain import Binding, Project, PullSettings
from towline_server.projects.service import Projects
from towline_server.projects.store import SqlStore
from towline_server.projects.tables import TenantRow

KINDS = Kinds(
    (
        Kind(name="rule", globs=("rules/**",)),
        Kind(name="task", globs=("tasks/**",)),
        Kind(name="file", globs=("*",)),
    )
)
SEALER = Sealer(["a secret key of the tests, and of no one else"])


@dataclass
class GitTenant:
    """One tenant with a connection to one repository on a Git server."""

    database: Database
    server: GitServer
    folder: Path
    tenant_id: UUID = field(default_factory=uuid4)
    sealer: Sealer = SEALER
    name: str = ""
    """The tenant's; by default its id."""

    def __post_init__(self) -> None:
        self.name = self.name or self.tenant_id.hex
        self.repository = GitRepository(self.server.root / "repo.git")
        with self.database.writing() as session:
            now = database_now(session)
            session.add(TenantRow(id=self.tenant_id, name=self.name, created_at=now))
        self.connection_id = self.connect(f"{self.server.url}/repo.git")

    @property
    def cache_dir(self) -> Path:
        """Where fetched objects are stored."""
        return self.folder / "cache"

    def connect(self, url: str, credential: Credential | None = None) -> UUID:
        """A new connection."""
        with self.database.writing() as session:
            connections = Connections(session, self.sealer, ALL_SCHEMES)
            made = connections.create(tenant_id=self.tenant_id, url=url, credential=credential)
        return made.id

    def project(
        self,
        *,
        name: str = "",
        space: str = "space",
        ref: str = "heads/main",
        scope: str = "",
        connection_id: UUID | None = None,
        kinds: Kinds = KINDS,
        settings: PullSettings = PullSettings(),
        bound: bool = True,
    ) -> Project:
        """A new project, bound to the repository."""
        with self.database.writing() as session:
            projects = Projects(session)
            path = f"{self.name}/{space}/{name or uuid4().hex}"
            made = projects.create(
                tenant_id=self.tenant_id, path=path, kinds=kinds, settings=settings
            )
            if not bound:
                return made
            binding = Binding(
                connection_id=connection_id or self.connection_id, ref=ref, scope=scope
            )
            return projects.associate(made.id, binding)

    def commit(self, **files: bytes) -> Revision:
        """Commit a tree; ``__`` in a name is a slash."""
        return self.repository.commit(
            {name.replace("__", "/"): content for name, content in files.items()}
        )

    def store(self, project: Project) -> SqlStore:
        """A project's store."""
        return SqlStore(self.database, project.id)

    def edit(self, project: Project, path: str, content: bytes) -> None:
        """A local edit."""
        self.store(project).put(AssetPath(path), content)

    def pulls(self, project: Project) -> int:
        """How many pulls a project's log has."""
        return len(self.store(project).log())

    def contents(self, project: Project) -> dict[str, bytes]:
        """The contents of a project, by path."""
        store = self.store(project)
        found = {}
        for record in now(store).records():
            if record.ours is not None:
                content = store.read(record.ours.digest)
                assert content is not None
                found[str(record.ours.path)] = content
        return found
