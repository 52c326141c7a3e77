"""What the store must know of a project to read its paths."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline.codec import decode
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline_server.errors import NotFound

from .tables import Project


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How a project's paths are read."""

    kinds: Kinds
    names: NamePolicy


def read_head(session: Session, project_id: UUID) -> Head:
    """What a project's row says of paths.

    Raises:
        NotFound: there is no such project (any more).
    """
    found = select(Project.kinds, Project.names).where(Project.id == project_id)
    row = session.execute(found).first()
    if row is None:
        raise NotFound(what="project")
    return Head(kinds=decode(Kinds, row.kinds, "kinds"), names=NamePolicy(row.names))
