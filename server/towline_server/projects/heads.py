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
    """How a project's paths are read, and its ids are made."""

    project: str
    """Its name for ids (`towline.ports.AssetStore.project`)."""
    kinds: Kinds
    names: NamePolicy


def read_head(session: Session, project_id: UUID) -> Head:
    """What a project's row says of paths.

    Raises:
        NotFound: there is no such project (any more).
    """
    columns = (Project.kinds, Project.names, Project.ids_from)
    found = select(*columns).where(Project.id == project_id)
    row = session.execute(found).first()
    if row is None:
        raise NotFound(what="project")
    return Head(
        project=name_for_ids(project_id, row.ids_from),
        kinds=decode(Kinds, row.kinds, "kinds"),
        names=NamePolicy(row.names),
    )


def name_for_ids(project_id: UUID, ids_from: str | None) -> str:
    """The project's name for ids: its id's text, unless it is a copy of one from elsewhere."""
    return str(project_id) if ids_from is None else ids_from
