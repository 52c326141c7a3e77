"""The nouns of the control plane: a project, its binding, and the connection behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from towline.content_rules import ContentMode
from towline.errors import InvalidValue, NotAssociated
from towline.frozen import frozen
from towline.kinds import Kinds
from towline.names import NamePolicy, path_problem
from towline.options import OnConflict, Renames
from towline.remotes.url import Origin, RemoteUrl, WantedRef
from towline_server.sources.config import SOURCES

LONGEST_NAME = 255


class ProjectPath(str):
    """``org/space/project``: a project's name for people; case-sensitive, org is the tenant."""

    __slots__ = ()

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Take a path from outside, with or without a slash before it.

        Raises:
            InvalidValue: it has not three names, or one that no path may have.
        """
        path = raw.removeprefix("/")
        names = path.split("/")
        if len(names) != 3:
            raise InvalidValue(field="path", problem="must be org/space/project")
        if problem := path_problem(path):
            raise InvalidValue(field="path", problem=problem)
        if any(len(name) > LONGEST_NAME for name in names):
            raise InvalidValue(field="path", problem=f"a name exceeds {LONGEST_NAME} characters")
        return cls(path)

    @property
    def org(self) -> str:
        """The first name: the tenant's."""
        return self.split("/")[0]

    @property
    def space(self) -> str:
        """The second name."""
        return self.split("/")[1]

    @property
    def name(self) -> str:
        """The last name."""
        return self.split("/")[2]


class Provider(StrEnum):
    """What sort of host a repository is on, ``git`` is any; or what else has files."""

    GIT = "git"
    GITHUB = "github"
    GITLAB = "gitlab"
    BITBUCKET = "bitbucket"
    GITEA = "gitea"
    AZURE_DEVOPS = "azure_devops"
    HTTP_API = "http_api"
    S3 = "s3"
    POSTGRES = "postgres"
    SFTP = "sftp"

    @property
    def is_git(self) -> bool:
        """Whether it is a Git host; what is none is a source (`towline_server.sources`)."""
        return self not in SOURCES


@frozen(kw_only=True)
class Connection:
    """A repository, or a source of files, that projects of a tenant may be bound to.

    It never holds the credential.
    """

    id: UUID
    tenant_id: UUID
    name: str
    provider: Provider
    url: RemoteUrl
    config: Mapping[str, Any]
    """What a source is set to beside its address (`towline_server.sources.config`)."""
    credential_origin: Origin | None
    """Where the stored credential goes; None: there is none."""
    has_webhook_secret: bool
    created_at: datetime
    updated_at: datetime

    @property
    def has_credential(self) -> bool:
        """Whether a credential is stored."""
        return self.credential_origin is not None


@frozen(kw_only=True)
class Binding:
    """What a project is associated with: a ref and a subfolder of a connection's repository.

    Raises:
        InvalidValue: no branch or tag has such a name, or the scope is no folder.
    """

    connection_id: UUID
    ref: str = "heads/main"
    """A branch or a tag: ``heads/NAME``, ``tags/NAME``, a full ref, or a short name."""
    scope: str = ""

    def __post_init__(self) -> None:
        WantedRef.parse(self.ref)
        object.__setattr__(self, "scope", self.scope.strip("/"))
        if self.scope and (problem := path_problem(self.scope)):
            raise InvalidValue(field="scope", problem=problem)

    @property
    def branch(self) -> str | None:
        """The branch's short name; None for a tag, a commit or the remote's HEAD."""
        return branch_of(self.ref)

    def has_ref(self, spelled: str) -> bool:
        """Whether a text means the same ref: ``main`` is the branch ``heads/main``."""
        try:
            given = WantedRef.parse(spelled)
        except InvalidValue:
            return False
        bound = WantedRef.parse(self.ref)
        return (given.names[:1], given.commit) == (bound.names[:1], bound.commit)

    def has_scope(self, folder: str) -> bool:
        """Whether a text means the same folder, with or without slashes around it."""
        return folder.strip("/") == self.scope


def branch_of(ref: str) -> str | None:
    """The short name of the branch that a ref means, or None where it means none.

    Raises:
        InvalidValue: no ref has such a name.
    """
    wanted = WantedRef.parse(ref)
    if not wanted.names or not wanted.names[0].startswith("refs/heads/"):
        return None
    return wanted.names[0].removeprefix("refs/heads/")


@frozen(kw_only=True)
class PullSettings:
    """How the pulls of a project decide, where a request leaves it open."""

    on_conflict: OnConflict = OnConflict.REFUSE
    content_merge: ContentMode = ContentMode.AUTO
    renames: Renames = Renames.SIMILAR


@frozen(kw_only=True)
class Project:
    """A project as its tenant sees it; its assets are in its store."""

    id: UUID
    tenant_id: UUID
    path: ProjectPath
    binding: Binding | None
    kinds: Kinds = field(default_factory=Kinds)
    names: NamePolicy = NamePolicy.EXACT
    settings: PullSettings = PullSettings()
    created_at: datetime

    @property
    def bound(self) -> Binding:
        """Its binding.

        Raises:
            NotAssociated: it has none.
        """
        if self.binding is None:
            raise NotAssociated(project=f"/{self.path}")
        return self.binding
