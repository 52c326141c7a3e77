"""Records in the audit log what is done to a project."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from towline_server.audit import log

from .tables import ProjectRow


def record_in(
    session: Session, project_id: UUID, action: log.Action, subject: object, **detail: object
) -> None:
    """Record what the actor does to a project, as `towline_server.audit.log.record`."""
    tenant_id = select(ProjectRow.tenant_id).where(ProjectRow.id == project_id).scalar_subquery()
    log.record(session, action, subject, log.Owner(tenant_id, project_id), **detail)
