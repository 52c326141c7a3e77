"""Where a project's repository is, with everything that talking to it needs."""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from towline.limits import Limits
from towline.remotes.backends import Backend
from towline.remotes.cache import Cache
from towline.remotes.credentials import Credential
from towline.remotes.git import GitRemote
from towline.remotes.git_process import find_git
from towline.remotes.url import RemoteUrl, Scheme
from towline_server.auth.sealing import Sealer
from towline_server.db.session import Database
from towline_server.errors import NotFound
from towline_server.projects.connection_tables import Connection
from towline_server.projects.connections import Connections
from towline_server.projects.domain import Project
from towline_server.projects.service import Projects

_UNUSED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A ref of a repository, its credential, and the cache of its objects on this machine."""

    url: RemoteUrl
    ref: str
    scope: str
    cache: Path
    credential: Credential | None = field(default=None, repr=False)

    def cached(self) -> GitRemote:
        """What was fetched, to be read. It never talks to the remote: it was never told to fetch.

        Read by the git executable where there is one: what is hostile to a reader then meets
        another process, with its own bounds.
        """
        backend = Backend.GIT if find_git({}) is not None else Backend.AUTO
        return GitRemote(
            self.url, ref=self.ref, scope=self.scope, cache=self.cache, backend=backend
        )


class Repositories:
    """The repositories of a database's projects.

    The cache is the connection's alone, even where two name one address: what one credential may
    read, another may not.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        cache_dir: Path,
        *,
        schemes: AbstractSet[Scheme] = frozenset({Scheme.HTTPS}),
        limits: Limits = Limits(total_seconds=60),
    ) -> None:
        self._database = database
        self._sealer = sealer
        self._cache_dir = cache_dir
        self._schemes = schemes
        self.limits = limits

    def project(self, project_id: UUID) -> Project:
        """A project as it stands.

        Raises:
            NotFound: it was deleted.
        """
        with self._database.reading() as session:
            project = Projects(session).get(project_id)
        if project is None:
            raise NotFound(what="project")
        return project

    def of(self, project: Project) -> Repository:
        """The repository that a project is bound to.

        Raises:
            NotAssociated: it is bound to none.
            InvalidValue: the operator does not allow its scheme (any more).
            CredentialUnreadable: the credential's key is gone.
        """
        binding = project.bound
        with self._database.reading() as session:
            connections = Connections(session, self._sealer, self._schemes)
            connection = connections.get(binding.connection_id)
            if connection is None:
                raise NotFound(what="connection")
            url = RemoteUrl.parse(connection.url.address, self._schemes)
            credential = connections.credentials(connection.id)(url) if url.is_http else None
        return Repository(
            url=url,
            ref=binding.ref,
            scope=binding.scope,
            cache=self._cache_dir / _cache_name(connection.id, url.address),
            credential=credential,
        )

    def prune(self, unused: timedelta = _UNUSED) -> None:
        """Remove what was fetched of connections that are gone, or have another address by now.

        A run may still read it: what was written to within ``unused`` stays, for the next time.
        """
        with self._database.reading() as session:
            rows = session.execute(select(Connection.id, Connection.url))
            known = {_cache_name(connection_id, url) for connection_id, url in rows}
        before = time.time() - unused.total_seconds()
        for folder in self._cache_dir.glob("*.git"):
            with suppress(FileNotFoundError):  # another server may be about the same
                if folder.name not in known and (folder / "objects/pack").stat().st_mtime < before:
                    Cache(folder).remove()


def _cache_name(connection_id: UUID, address: str) -> str:
    return sha256(f"{connection_id}\0{address}".encode()).hexdigest()[:32] + ".git"
