"""The routes: companies are projects, and their data is pulled a kind at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Response

from towline_server.api.models import Name
from towline_server.auth.roles import Principal, Role
from towline_server.errors import NotFound
from towline_server.projects import tables as projects
from towline_server.projects.domain import Connection, Project
from towline_server.projects.service import Projects
from towline_server.runs.domain import Origin, Run
from towline_server.runs.latest import latest_of_kinds
from towline_server.runs.listing import RunFilter
from towline_server.runs.states import RunState
from towline_server.services import Services, services_of
from towline_server.web import reach
from towline_server.web.authentication import Form, authenticated
from towline_server.web.idempotency import idempotent

from .models import Company, DataConnection, DataStatus, ErrorMessage, Paged, PullOperation
from .operations import operation_fields, operation_of, uuid_text
from .paging import Wanted, sized, wanted
from .query import Field, Fields, Type
from .statuses import DatasetStatus, status_of

PREFIX = "/companies"
_FORMS = (Form.BASIC_KEY,)
_COMPANY = "company"
_OPERATION = "pull operation"

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorMessage} for status in (400, 401, 403, 404, 409, 413, 429, 500, 503)
}

router = APIRouter(prefix=PREFIX, route_class=idempotent(*_FORMS), responses=_ERRORS)

Caller = Annotated[Principal, Depends(authenticated(*_FORMS))]
Opened = Annotated[Services, Depends(services_of)]
CompanyId = Annotated[UUID, Path(alias="companyId")]
# What a kind may be called where projects are made.
DataType = Annotated[Name, Path(alias="dataType")]


# --- companies --------------------------------------------------------------------------------

_COMPANY_FIELDS = Fields(
    {
        "id": Field(Type.STRING, uuid_text(projects.Project.id)),
        "name": Field(Type.STRING, "/" + projects.Project.path.expression),
        "created": Field(Type.TIME, projects.Project.created_at.expression),
    },
    not_queryable=frozenset({"dataConnections"}),
)
Companies = Annotated[Wanted, Depends(wanted("company", _COMPANY_FIELDS))]


@router.get("", response_model_exclude_unset=True)
def list_companies(services: Opened, caller: Caller, part: Companies) -> Paged[Company]:
    """List the projects that the key may see, by name."""
    conditions = part.conditions(_COMPANY_FIELDS)
    order = part.order(_COMPANY_FIELDS)
    with services.database.reading() as session:
        found = Projects(session)
        total = found.count_visible_to(caller, conditions=conditions)
        page = found.visible_to(
            caller, limit=part.page_size, offset=part.offset, conditions=conditions, order=order
        )
        known = services.connections(session).of_tenant(caller.tenant_id)
    by_id = {connection.id: connection for connection in known}
    return part.paged([_company(project, by_id) for project in page], total)


@router.get("/{companyId}/connections", response_model_exclude_unset=True)
def list_connections(
    services: Opened, caller: Caller, company_id: CompanyId, part: Annotated[Wanted, Depends(sized)]
) -> Paged[DataConnection]:
    """List the connections of a project: one, or none while it is not associated."""
    project = reach.project(services, caller, company_id, Role.READER, _COMPANY)
    with services.database.reading() as session:
        known = services.connections(session).of_tenant(caller.tenant_id)
    found = _connections(project, {connection.id: connection for connection in known})
    return part.paged(found[part.offset : part.offset + part.page_size], len(found))


def _company(project: Project, known: Mapping[UUID, Connection]) -> Company:
    return Company(
        id=project.id,
        name=f"/{project.path}",
        created=project.created_at,
        data_connections=_connections(project, known),
    )


def _connections(project: Project, known: Mapping[UUID, Connection]) -> list[DataConnection]:
    if project.binding is None:
        return []
    connection = known[project.binding.connection_id]
    return [
        DataConnection(
            id=connection.id,
            platform_name=str(connection.provider),
            status="Linked",
            created=connection.created_at,
        )
    ]


# --- pull operations --------------------------------------------------------------------------

_OPERATION_FIELDS = operation_fields()
Operations = Annotated[Wanted, Depends(wanted("operation", _OPERATION_FIELDS))]


@router.post("/{companyId}/data/all", status_code=204, response_class=Response)
def pull_all(services: Opened, caller: Caller, company_id: CompanyId) -> None:
    """Pull every kind of asset: one operation each, all of one revision."""
    project = reach.project(services, caller, company_id, Role.WRITER, _COMPANY)
    kinds = [kind.name for kind in project.kinds.kinds]
    services.runs.request_kinds(project.id, kinds, origin=Origin(requested_by=caller.id))


@router.post("/{companyId}/data/queue/{dataType}", response_model_exclude_unset=True)
def pull_one(
    services: Opened,
    caller: Caller,
    company_id: CompanyId,
    data_type: DataType,
    connection_id: Annotated[UUID | None, Query(alias="connectionId")] = None,
) -> PullOperation:
    """Pull one kind of asset, unless an operation of it is in progress."""
    project = reach.project(services, caller, company_id, Role.WRITER, _COMPANY)
    bound = None if project.binding is None else project.binding.connection_id
    if connection_id not in (None, bound):
        raise NotFound(what="connection")
    origin = Origin(requested_by=caller.id)
    return operation_of(services.runs.request_only_one(project.id, data_type, origin=origin))


@router.get("/{companyId}/data/history", response_model_exclude_unset=True)
def list_operations(
    services: Opened, caller: Caller, company_id: CompanyId, part: Operations
) -> Paged[PullOperation]:
    """List the operations of a company, the newest first."""
    project = reach.project(services, caller, company_id, Role.READER, _COMPANY)
    page = services.runs.page(
        RunFilter(project_id=project.id, of_one_kind=True),
        limit=part.page_size,
        offset=part.offset,
        conditions=part.conditions(_OPERATION_FIELDS),
        order=part.order(_OPERATION_FIELDS),
    )
    return part.paged([operation_of(run) for run in page.runs], page.total)


@router.get("/{companyId}/data/history/{datasetId}", response_model_exclude_unset=True)
def get_operation(
    services: Opened,
    caller: Caller,
    company_id: CompanyId,
    dataset_id: Annotated[UUID, Path(alias="datasetId")],
) -> PullOperation:
    """Look at one operation."""
    reach.project(services, caller, company_id, Role.READER, _COMPANY)
    found = reach.run_of_one_kind(services, caller, dataset_id, Role.READER, _OPERATION)
    if found.project_id != company_id:
        raise NotFound(what=_OPERATION)
    return operation_of(found)


@router.get("/{companyId}/dataStatus", response_model_exclude_unset=True)
def get_data_status(
    services: Opened, caller: Caller, company_id: CompanyId
) -> dict[str, DataStatus]:
    """Tell how current each kind of asset is."""
    project = reach.project(services, caller, company_id, Role.READER, _COMPANY)
    with services.database.reading() as session:
        latest = latest_of_kinds(session, project.id)
        pulled = latest_of_kinds(session, project.id, (RunState.SUCCEEDED,))
    kinds = [kind.name for kind in project.kinds.kinds]
    return {kind: _data_status(kind, latest.get(kind), pulled.get(kind)) for kind in kinds}


def _data_status(kind: str, latest: Run | None, pulled: Run | None) -> DataStatus:
    known: dict[str, Any] = {}
    if latest is not None:
        known["latest_sync_id"] = latest.id
    if pulled is not None:
        known["latest_successful_sync_id"] = pulled.id
        known["last_successful_sync"] = pulled.completed_at
    status = DatasetStatus.INITIAL if latest is None else status_of(latest)
    return DataStatus(data_type=kind, current_status=status, **known)
