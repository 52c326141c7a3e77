"""Projects: made, found, bound to repositories. One object for one session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, delete, exists, false, func, select, update
from sqlalchemy.orm import Session

from towline.codec import decode, encode
from towline.errors import AlreadyAssociated, InvalidValue
from towline.kinds import Kinds
from towline.names import NamePolicy
from towline.remotes.url import WantedRef
from towline_server.audit.log import Action
from towline_server.auth.roles import Principal
from towline_server.db.statements import insert_new
from towline_server.errors import Ambiguous, NotFound, existing

from .changes import record_in
from .connection_tables import BindingRow, ConnectionRow
from .domain import Binding, Project, ProjectPath, PullSettings, branch_of
from .locking import hold
from .tables import ProjectRow, TenantRow


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


class Projects:
    """The projects of a database, through a session that the caller commits.

    It does not authorise: callers put what they get through `towline_server.auth.roles.authorise`.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    # --- look ---------------------------------------------------------------------------------

    def get(self, project_id: UUID) -> Project | None:
        """The project of this id (Codat's ``companyId``)."""
        return self._one(ProjectRow.id == project_id)

    def known(self, project_id: UUID) -> Project:
        """The project of this id. Raises NotFound."""
        return existing(self.get(project_id), "project")

    def with_connection(self, project_id: UUID) -> tuple[Project, ConnectionRow | None]:
        """The project of this id, and the row of what it is bound to. Raises NotFound."""
        query = _PROJECTS.add_columns(ConnectionRow).outerjoin(
            ConnectionRow, ConnectionRow.id == BindingRow.connection_id
        )
        found = self._session.execute(query.where(ProjectRow.id == project_id)).first()
        row, bound, connection = existing(found, "project")
        return _project(row, bound), connection

    def by_path(self, tenant_id: UUID, path: str) -> Project | None:
        """A tenant's project at this path, case-sensitive; None for what is no path, too."""
        try:
            # Some of what is no path no database takes as text, either.
            parsed = ProjectPath.parse(path)
        except InvalidValue:
            return None
        return self._one(ProjectRow.tenant_id == tenant_id, ProjectRow.path == parsed)

    def by_branch(self, tenant_id: UUID, branch: str | None) -> Project | None:
        """A tenant's project on a branch; without one, its only project that is bound.

        Raises:
            InvalidValue: no branch has such a name.
            Ambiguous: no branch was named, and several projects are bound.
        """
        bound = BindingRow
        if branch is not None:
            # A short name that starts with heads/ is still a branch here, so it is spelled out;
            # the name by itself is judged too, as it must not look like an option.
            WantedRef.parse(branch)
            wanted = branch_of(f"refs/heads/{branch}")
            return self._one(bound.tenant_id == tenant_id, bound.answers_for == wanted)
        found = self._all(bound.tenant_id == tenant_id, limit=2)
        if len(found) > 1:
            raise Ambiguous(what="branch")
        return found[0] if found else None

    def by_connection(self, connection_id: UUID) -> tuple[Project, ...]:
        """Every project that is bound to this connection, by path."""
        return self._all(BindingRow.connection_id == connection_id)

    def of_tenant(self, tenant_id: UUID, *, space: str | None = None) -> tuple[Project, ...]:
        """Every project of a tenant, or of one space (``org/space``) of it, by path."""
        conditions = [ProjectRow.tenant_id == tenant_id]
        if space is not None:
            prefix = space.strip("/") + "/"
            # By length: LIKE would ignore case on SQLite.
            conditions.append(func.substr(ProjectRow.path, 1, len(prefix)) == prefix)
        return self._all(*conditions)

    def visible_to(
        self,
        principal: Principal,
        *,
        limit: int | None = None,
        offset: int = 0,
        conditions: Sequence[ColumnElement[bool]] = (),
        order: Sequence[ColumnElement[Any]] = (),
    ) -> tuple[Project, ...]:
        """The projects that a caller has any role on, by path.

        ``conditions`` and ``order`` are over `ProjectRow`.
        """
        where = (_visible(principal), *conditions)
        return self._all(*where, limit=limit, offset=offset, order=order)

    def count_visible_to(
        self, principal: Principal, *, conditions: Sequence[ColumnElement[bool]] = ()
    ) -> int:
        """How many projects a caller has any role on."""
        where = (_visible(principal), *conditions)
        query = select(func.count()).select_from(ProjectRow).where(*where)
        return self._session.scalar(query) or 0

    # --- make and change ----------------------------------------------------------------------

    def create(
        self,
        *,
        tenant_id: UUID,
        path: str,
        kinds: Kinds | None = None,
        names: NamePolicy = NamePolicy.EXACT,
        settings: PullSettings = PullSettings(),
        project_id: UUID | None = None,
    ) -> Project:
        """A new project, bound to nothing yet. The path's org must be the tenant's name.

        Raises:
            InvalidValue: the path is none, or of another org.
            AlreadyExists: the tenant has a project there.
        """
        parsed = ProjectPath.parse(path)
        tenant = self._session.get(TenantRow, tenant_id)
        if tenant is None or tenant.name != parsed.org:
            raise InvalidValue(field="path", problem="its first name must be the tenant's")
        row = ProjectRow(
            id=project_id or uuid4(),
            tenant_id=tenant_id,
            path=parsed,
            created_at=utc_now(),
            kinds=encode(kinds or Kinds()),
            names=str(names),
            settings=encode(settings),
        )
        insert_new(self._session, row, "project")
        record_in(self._session, row.id, Action.PROJECT_CREATED, row.id, path=parsed)
        return self.known(row.id)

    def change(
        self,
        project_id: UUID,
        *,
        kinds: Kinds | None = None,
        settings: PullSettings | None = None,
    ) -> Project:
        """Change what a project calls an asset, or its settings. A run under way starts over.

        Raises:
            NotFound: there is no such project.
        """
        self.known(project_id)
        values: dict[str, Any] = {}
        if kinds is not None:
            values["kinds"] = encode(kinds)
        if settings is not None:
            values["settings"] = encode(settings)
        self._overtake(project_id, values)
        record_in(self._session, project_id, Action.PROJECT_CHANGED, project_id, changed=[*values])
        return self.known(project_id)

    def associate(self, project_id: UUID, binding: Binding) -> Project:
        """Bind a project to a repository.

        Raises:
            NotFound: there is no such project, or its tenant has no such connection.
            AlreadyAssociated: it is bound already.
        """
        project = self.get(project_id)
        if project is not None and project.binding is not None:
            raise AlreadyAssociated(project=f"/{project.path}")
        return self.bind(project_id, binding)

    def bind(self, project_id: UUID, binding: Binding) -> Project:
        """Bind a project to a repository, whatever it was bound to. A run under way ends stale.

        Raises:
            NotFound: there is no such project, or its tenant has no such connection.
        """
        hold(self._session, project_id)
        project = self.known(project_id)
        connection = self._session.get(ConnectionRow, binding.connection_id)
        if connection is None or connection.tenant_id != project.tenant_id:
            raise NotFound(what="connection")
        self._overtake(project_id, {})
        left = self._drop_binding(project_id)
        row = BindingRow(
            project_id=project_id,
            tenant_id=project.tenant_id,
            connection_id=binding.connection_id,
            ref=binding.ref,
            scope=binding.scope,
            answers_for=self._free_branch(project.tenant_id, binding.branch),
            bound_at=utc_now(),
        )
        insert_new(self._session, row, "binding")
        self._pass_on(project.tenant_id, left)
        about = {"connection": binding.connection_id, "ref": binding.ref, "scope": binding.scope}
        record_in(self._session, project_id, Action.PROJECT_BOUND, project_id, **about)
        return self.known(project_id)

    def dissociate(self, project_id: UUID) -> Project:
        """Take a project's binding away; its assets stay.

        Raises:
            NotFound: there is no such project.
        """
        project = self.known(project_id)
        self._overtake(project_id, {})
        self._pass_on(project.tenant_id, self._drop_binding(project_id))
        record_in(self._session, project_id, Action.PROJECT_UNBOUND, project_id)
        return self.known(project_id)

    def delete(self, project_id: UUID) -> None:
        """Delete a project with all that it has. What is not there is deleted already."""
        project = self.get(project_id)
        if project is not None:
            path = project.path
            record_in(self._session, project_id, Action.PROJECT_DELETED, project_id, path=path)
        self._session.execute(delete(ProjectRow).where(ProjectRow.id == project_id))

    # --- rows ---------------------------------------------------------------------------------

    def _one(self, *conditions: ColumnElement[bool]) -> Project | None:
        found = self._all(*conditions, limit=1)
        return found[0] if found else None

    def _all(
        self,
        *conditions: ColumnElement[bool],
        limit: int | None = None,
        offset: int = 0,
        order: Sequence[ColumnElement[Any]] = (),
    ) -> tuple[Project, ...]:
        ordered = (*order, ProjectRow.path, ProjectRow.id)
        query = _PROJECTS.where(*conditions).order_by(*ordered)
        rows = self._session.execute(query.limit(limit).offset(offset))
        return tuple(_project(row, bound) for row, bound in rows)

    def _overtake(self, project_id: UUID, values: dict[str, Any]) -> None:
        """Write to the project's row and take its fence: what was planned before is stale."""
        row = ProjectRow
        statement = update(row).where(row.id == project_id)
        fenced = statement.values(**values, fence=row.fence + 1, edition=row.edition + 1)
        self._session.execute(fenced.execution_options(synchronize_session="fetch"))

    def _drop_binding(self, project_id: UUID) -> str | None:
        """Delete the binding, and return the branch that it answered for."""
        row = self._session.get(BindingRow, project_id)
        if row is None:
            return None
        self._session.delete(row)
        self._session.flush()
        return row.answers_for

    def _pass_on(self, tenant_id: UUID, branch: str | None) -> None:
        """Let the next project that is bound to a branch answer for it, if none does."""
        if self._free_branch(tenant_id, branch) is None:
            return
        bound = BindingRow
        waiting = select(bound).where(bound.tenant_id == tenant_id, bound.answers_for.is_(None))
        for row in self._session.scalars(waiting.order_by(bound.bound_at, bound.project_id)):
            if branch_of(row.ref) == branch:
                row.answers_for = branch
                self._session.flush()
                return

    def _free_branch(self, tenant_id: UUID, branch: str | None) -> str | None:
        """The branch, where no other project of the tenant answers for it yet."""
        bound = BindingRow
        taken = exists().where(bound.tenant_id == tenant_id, bound.answers_for == branch)
        return None if branch is None or self._session.scalar(select(taken)) else branch


_PROJECTS: Select[ProjectRow, BindingRow] = select(ProjectRow, BindingRow).outerjoin(
    BindingRow, BindingRow.project_id == ProjectRow.id
)


def _project(row: ProjectRow, bound: BindingRow | None) -> Project:
    binding = None
    if bound is not None:
        binding = Binding(connection_id=bound.connection_id, ref=bound.ref, scope=bound.scope)
    return Project(
        id=row.id,
        tenant_id=row.tenant_id,
        path=ProjectPath(row.path),
        binding=binding,
        kinds=decode(Kinds, row.kinds, "kinds"),
        names=NamePolicy(row.names),
        settings=decode(PullSettings, row.settings, "settings"),
        created_at=row.created_at,
    )


def _visible(principal: Principal) -> ColumnElement[bool]:
    mine = ProjectRow.tenant_id == principal.tenant_id
    if principal.tenant_role is not None:
        return mine
    if not principal.project_roles:
        return false()
    return mine & ProjectRow.id.in_(principal.project_roles)
