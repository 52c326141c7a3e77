"""The routes: companies are projects, and their data is pulled a kind at a time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from sqlalchemy.orm import Session
from starlette.responses import JSONResponse

from towline_server.api.models import Name
from towline_server.auth.roles import Principal, Role
from towline_server.dialects.models import Opened
from towline_server.errors import KindInProgress, NotFound
from towline_server.problems import Failure, request_id_of
from towline_server.projects.data_types import DataTypes
from towline_server.projects.domain import Connection, Project, Provider
from towline_server.projects.service import Projects
from towline_server.projects.tables import ProjectRow
from towline_server.runs.domain import Run, Trigger
from towline_server.runs.listing import RunFilter, latest_of_kinds
from towline_server.runs.states import RunState
from towline_server.services import Services
from towline_server.web import access
from towline_server.web.authentication import Form, authenticated
from towline_server.web.dialect import Dialect
from towline_server.web.idempotency import idempotent

from .models import (
    Company,
    DataConnection,
    DatasetStatus,
    DataStatus,
    ErrorMessage,
    Paged,
    PullOperation,
    Retry,
    Validation,
    ValidationItem,
)
from .operations import operation_fields, operation_of, status_of, uuid_text
from .paging import PageRequest, sized, wanted
from .query import FieldType, QueryField, QueryFields

PREFIX = "/companies"
_FORMS = (Form.BASIC_KEY,)
_COMPANY = "company"
_CONNECTION = "connection"
_OPERATION = "pull operation"
_NEVER = datetime(1, 1, 1, tzinfo=UTC)
_INTEGRATIONS = UUID("2b7f4c0e-7a53-4b8e-9d4e-6f1c0a5be1d7")
_KEYS: Mapping[Provider, str] = MappingProxyType(
    {
        Provider.GIT: "gitx",
        Provider.GITHUB: "ghub",
        Provider.GITLAB: "glab",
        Provider.BITBUCKET: "bbkt",
        Provider.GITEA: "gtea",
        Provider.AZURE_DEVOPS: "azdo",
        Provider.HTTP_API: "http",
        Provider.S3: "awss",
        Provider.POSTGRES: "pgsq",
        Provider.SFTP: "sftp",
    }
)
"""The four characters by which clients identify an integration."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorMessage} for status in (400, 401, 403, 404, 409, 413, 429, 500, 503)
}

router = APIRouter(prefix=PREFIX, route_class=idempotent(*_FORMS), responses=_ERRORS)

Caller = Annotated[Principal, Depends(authenticated(*_FORMS))]
CompanyId = Annotated[UUID, Path(alias="companyId")]
# The names that a kind may have where projects are created.
DataType = Annotated[Name, Path(alias="dataType")]


# --- companies --------------------------------------------------------------------------------

_COMPANY_FIELDS = QueryFields(
    {
        "id": QueryField(FieldType.STRING, uuid_text(ProjectRow.id)),
        "name": QueryField(FieldType.STRING, "/" + ProjectRow.path.expression),
        "created": QueryField(FieldType.TIME, ProjectRow.created_at.expression),
    },
    not_queryable=frozenset({"dataConnections"}),
)
Companies = Annotated[PageRequest, Depends(wanted("company", _COMPANY_FIELDS))]


@router.get("", response_model_exclude_unset=True)
def list_companies(
    services: Opened, caller: Caller, part: Companies, request: Request
) -> Paged[Company]:
    """List the projects that the key may see, by name."""
    conditions = part.conditions(_COMPANY_FIELDS)
    order = part.order(_COMPANY_FIELDS)
    with services.database.reading() as session:
        found = Projects(session)
        total = found.count_visible_to(caller, conditions=conditions)
        page = found.visible_to(
            caller, limit=part.page_size, offset=part.offset, conditions=conditions, order=order
        )
        known = _known(services, caller, session)
    return part.paged([_company(request, project, known) for project in page], total)


@router.get("/{companyId}")
def get_company(
    services: Opened, caller: Caller, company_id: CompanyId, request: Request
) -> Company:
    """Return a project."""
    project = access.project(services, caller, company_id, Role.READER, _COMPANY)
    with services.database.reading() as session:
        return _company(request, project, _known(services, caller, session))


@router.get("/{companyId}/connections", response_model_exclude_unset=True)
def list_connections(
    services: Opened,
    caller: Caller,
    company_id: CompanyId,
    part: Annotated[PageRequest, Depends(sized)],
    request: Request,
) -> Paged[DataConnection]:
    """List the connections of a project: one, or none while it is not associated."""
    project = access.project(services, caller, company_id, Role.READER, _COMPANY)
    with services.database.reading() as session:
        found = _connections(request, project, _known(services, caller, session))
    return part.paged(found[part.offset : part.offset + part.page_size], len(found))


@router.get("/{companyId}/connections/{connectionId}")
def get_connection(
    services: Opened,
    caller: Caller,
    company_id: CompanyId,
    connection_id: Annotated[UUID, Path(alias="connectionId")],
    request: Request,
) -> DataConnection:
    """Return the connection of a project."""
    project = access.project(services, caller, company_id, Role.READER, _COMPANY)
    with services.database.reading() as session:
        for found in _connections(request, project, _known(services, caller, session)):
            if found.id == connection_id:
                return found
    raise NotFound(what=_CONNECTION)


def _known(services: Services, caller: Principal, session: Session) -> Mapping[UUID, Connection]:
    connections = services.connections(session).of_tenant(caller.tenant_id)
    return {connection.id: connection for connection in connections}


def _company(request: Request, project: Project, known: Mapping[UUID, Connection]) -> Company:
    return Company(
        id=project.id,
        name=f"/{project.path}",
        redirect=_url_of(request, project.id),
        created=project.created_at,
        data_connections=_connections(request, project, known),
    )


def _connections(
    request: Request, project: Project, known: Mapping[UUID, Connection]
) -> list[DataConnection]:
    if project.binding is None:
        return []
    connection = known[project.binding.connection_id]
    return [
        DataConnection(
            id=connection.id,
            integration_id=uuid5(_INTEGRATIONS, connection.provider),
            integration_key=_KEYS[connection.provider],
            source_id=uuid5(NAMESPACE_URL, str(connection.url)),
            source_type="Other",
            platform_name=str(connection.provider),
            link_url=f"{_url_of(request, project.id)}/connections/{connection.id}",
            status="Linked",
            created=connection.created_at,
        )
    ]


def _url_of(request: Request, company_id: UUID) -> str:
    return str(request.url.replace(path=f"{PREFIX}/{company_id}", query="", fragment=""))


# --- pull operations --------------------------------------------------------------------------

_OPERATION_FIELDS = operation_fields(DataTypes({}))
Operations = Annotated[PageRequest, Depends(wanted("operation", _OPERATION_FIELDS))]


@router.post("/{companyId}/data/all", status_code=204, response_class=Response)
def pull_all(services: Opened, caller: Caller, company_id: CompanyId) -> None:
    """Pull every kind of asset: one operation each, all of one revision."""
    project = access.project(services, caller, company_id, Role.WRITER, _COMPANY)
    kinds = [kind.name for kind in project.kinds.kinds]
    services.runs.request_kinds(project.id, kinds, trigger=Trigger(requested_by=caller.id))


@router.post("/{companyId}/data/queue/{dataType}", response_model_exclude_unset=True)
def pull_one(
    services: Opened,
    caller: Caller,
    company_id: CompanyId,
    data_type: DataType,
    connection_id: Annotated[UUID | None, Query(alias="connectionId")] = None,
) -> PullOperation:
    """Pull one kind of asset, unless an operation of it is in progress."""
    project = access.project(services, caller, company_id, Role.WRITER, _COMPANY)
    kind = DataTypes.of(project.kinds).kind_of(data_type)
    bound = None if project.binding is None else project.binding.connection_id
    if connection_id not in (None, bound):
        raise NotFound(what=_CONNECTION)
    run = services.runs.request_only_one(project.id, kind, trigger=Trigger(requested_by=caller.id))
    operation = operation_of(run, DataTypes.of(project.kinds))
    # As the product's page shows the response; the next one shows it queued.
    return operation.model_copy(update={"status": DatasetStatus.INITIAL})


@router.get("/{companyId}/data/history", response_model_exclude_unset=True)
def list_operations(
    services: Opened, caller: Caller, company_id: CompanyId, part: Operations
) -> Paged[PullOperation]:
    """List the operations of a company, the newest first."""
    project = access.project(services, caller, company_id, Role.READER, _COMPANY)
    types = DataTypes.of(project.kinds)
    fields = operation_fields(types)
    page = services.runs.page(
        RunFilter(project_id=project.id, of_one_kind=True),
        limit=part.page_size,
        offset=part.offset,
        conditions=part.conditions(fields),
        order=part.order(fields),
    )
    return part.paged([operation_of(run, types) for run in page.runs], page.total)


@router.get("/{companyId}/data/history/{datasetId}", response_model_exclude_unset=True)
def get_operation(
    services: Opened,
    caller: Caller,
    company_id: CompanyId,
    dataset_id: Annotated[UUID, Path(alias="datasetId")],
) -> PullOperation:
    """Return an operation."""
    project = access.project(services, caller, company_id, Role.READER, _COMPANY)
    found = access.run_of_one_kind(services, caller, dataset_id, Role.READER, _OPERATION)
    if found.project_id != company_id:
        raise NotFound(what=_OPERATION)
    return operation_of(found, DataTypes.of(project.kinds))


@router.get("/{companyId}/dataStatus", response_model_exclude_unset=True)
def get_data_status(
    services: Opened, caller: Caller, company_id: CompanyId
) -> dict[str, DataStatus]:
    """Return how current each kind of asset is."""
    project = access.project(services, caller, company_id, Role.READER, _COMPANY)
    with services.database.reading() as session:
        latest = latest_of_kinds(session, project.id)
        pulled = latest_of_kinds(session, project.id, (RunState.SUCCEEDED,))
    return {
        data_type: _data_status(data_type, latest.get(kind), pulled.get(kind))
        for kind, data_type in DataTypes.of(project.kinds).by_kind.items()
    }


def _data_status(data_type: str, latest: Run | None, pulled: Run | None) -> DataStatus:
    known: dict[str, Any] = {"last_successful_sync": _NEVER}
    if latest is not None:
        known["latest_sync_id"] = latest.id
    if pulled is not None:
        known["latest_successful_sync_id"] = pulled.id
        known["last_successful_sync"] = pulled.completed_at
    status = DatasetStatus.INITIAL if latest is None else status_of(latest)
    return DataStatus(data_type=data_type, current_status=status, **known)


# --- failures -----------------------------------------------------------------------------------

_PASSING = frozenset({429, 502, 503, 504})


def render(request: Request, failure: Failure) -> Response:
    """Render a failure in the envelope of the product's pages."""
    status = _status(failure)
    message = ErrorMessage(
        status_code=status,
        service="towline",
        error=failure.message,
        correlation_id=request_id_of(request),
        validation=_validation(failure),
        can_be_retried=_can_be_retried(failure),
        detailed_error_code=0,
    )
    return JSONResponse(message.model_dump(by_alias=True), status_code=status)


def _status(failure: Failure) -> int:
    if failure.code == KindInProgress.code:
        return 400
    if failure.status != 422:
        return failure.status
    # What is no UUID is the id of nothing.
    ids = {("path", name) for name in ("companyId", "connectionId", "datasetId")}
    return 404 if any(tuple(issue["loc"]) in ids for issue in failure.issues or ()) else 400


def _validation(failure: Failure) -> Validation | None:
    if not failure.issues:
        return None
    found = [
        ValidationItem(
            item_id=".".join(str(part) for part in issue["loc"]),
            message=issue["msg"],
            validator_name=issue["type"],
        )
        for issue in failure.issues
    ]
    return Validation(errors=found, warnings=[])


def _can_be_retried(failure: Failure) -> Retry:
    if failure.status in _PASSING or failure.status == 409:
        return "Yes"
    return "Unknown" if failure.status >= 500 else "No"


DIALECT = Dialect(
    tag="Codat",
    description="Pull operations of one kind of asset each, by company.",
    router=router,
    prefixes=(PREFIX,),
    render=render,
)
