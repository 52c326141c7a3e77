"""The models of responses."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Generic, Literal, TypeAlias, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field

from towline_server.dialects.models import CamelModel
from towline_server.web.schemas import omittable

T = TypeVar("T")

Retry: TypeAlias = Literal["Yes", "No", "Unknown"]


class DatasetStatus(StrEnum):
    """The statuses of Codat's page "Pull operation", in its order."""

    INITIAL = "Initial"
    QUEUED = "Queued"
    FETCHING = "Fetching"
    MAP_QUEUED = "MapQueued"
    MAPPING = "Mapping"
    COMPLETE = "Complete"
    FETCH_ERROR = "FetchError"
    MAP_ERROR = "MapError"
    INTERNAL_ERROR = "InternalError"
    PROCESSING_QUEUED = "ProcessingQueued"
    PROCESSING = "Processing"
    PROCESSING_ERROR = "ProcessingError"
    VALIDATION_QUEUED = "ValidationQueued"
    VALIDATING = "Validating"
    VALIDATION_ERROR = "ValidationError"
    AUTH_ERROR = "AuthError"
    CANCELLED = "Cancelled"
    NOT_SUPPORTED = "NotSupported"
    RATE_LIMIT_ERROR = "RateLimitError"
    PERMISSIONS_ERROR = "PermissionsError"
    PREREQUISITE_NOT_MET = "PrerequisiteNotMet"

    @property
    def is_error(self) -> bool:
        """Whether an operation of this status is in an error state."""
        return self in ERRORS


ERRORS = tuple(
    status
    for status in DatasetStatus
    if status.endswith("Error") or status is DatasetStatus.PREREQUISITE_NOT_MET
)


class PullOperation(CamelModel):
    """A queued, running or ended pull of one kind of asset."""

    id: UUID
    company_id: UUID
    connection_id: UUID
    data_type: str
    status: DatasetStatus
    status_description: str | None
    error_message: str | None
    requested: datetime
    completed: datetime = omittable()
    progress: int
    is_completed: bool
    is_errored: bool


class DataStatus(CamelModel):
    """How current one kind of asset is."""

    data_type: str
    last_successful_sync: datetime
    """The first day of the year 1, if there was none: clients need one."""
    current_status: DatasetStatus
    latest_sync_id: UUID = omittable()
    latest_successful_sync_id: UUID = omittable()


class DataConnection(CamelModel):
    """The repository that a company's data comes from."""

    id: UUID
    integration_id: UUID
    """The same for every connection of one provider, as its key is."""
    integration_key: str
    source_id: UUID
    """The same for every connection to one repository."""
    source_type: Literal["Other"] = "Other"
    platform_name: str
    link_url: str
    """The connection itself: it needs no authorisation by its owner."""
    status: Literal["Linked"] = "Linked"
    created: datetime


class Company(CamelModel):
    """A project."""

    id: UUID
    name: str
    redirect: str
    """The company itself: there is nothing to link."""
    created: datetime
    data_connections: list[DataConnection]


class Link(BaseModel):
    """An address relative to the host."""

    href: str


class Links(BaseModel):
    """The addresses of a page and its neighbours."""

    self: Link
    current: Link
    next: Link = omittable()
    previous: Link = omittable()


class Paged(CamelModel, Generic[T]):
    """Some of a list."""

    results: list[T]
    page_number: int
    page_size: int
    total_results: int
    links: Links = Field(serialization_alias="_links")


class ValidationItem(CamelModel):
    """One problem of a request."""

    item_id: str
    message: str
    validator_name: str


class Validation(CamelModel):
    """What is wrong with a request."""

    errors: list[ValidationItem]
    warnings: list[ValidationItem]


class ErrorMessage(CamelModel):
    """Why a request was refused."""

    status_code: int
    service: str
    error: str
    correlation_id: str
    validation: Validation | None
    can_be_retried: Retry
    detailed_error_code: int
