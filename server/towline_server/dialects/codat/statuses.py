"""Owns the status of a pull operation: one table, read over a run and over its row.

A phase that was entered and has done nothing yet waits for its turn at the project: that is what
the statuses ending in Queued say.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from types import MappingProxyType
from typing import TypeAlias

from sqlalchemy import Case, ColumnElement, and_, case, literal_column

from towline_server.db.base import ExactText
from towline_server.runs import tables
from towline_server.runs.domain import Run
from towline_server.runs.states import STARTS_AT, Fault, RunState


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

_Pair: TypeAlias = tuple[DatasetStatus, DatasetStatus]

PHASES: Mapping[RunState, _Pair] = MappingProxyType(
    {
        RunState.FETCHING: (DatasetStatus.FETCHING, DatasetStatus.FETCHING),
        RunState.COMPARING: (DatasetStatus.MAP_QUEUED, DatasetStatus.MAPPING),
        RunState.VALIDATING: (DatasetStatus.VALIDATION_QUEUED, DatasetStatus.VALIDATING),
        RunState.APPLYING: (DatasetStatus.PROCESSING_QUEUED, DatasetStatus.PROCESSING),
    }
)
"""What a phase is called while it waits, and once it does something."""

ENDS: Mapping[RunState, DatasetStatus] = MappingProxyType(
    {RunState.SUCCEEDED: DatasetStatus.COMPLETE, RunState.CANCELLED: DatasetStatus.CANCELLED}
)

FAULTS: Mapping[Fault, DatasetStatus] = MappingProxyType(
    {
        Fault.REMOTE: DatasetStatus.FETCH_ERROR,
        Fault.CREDENTIAL: DatasetStatus.AUTH_ERROR,
        Fault.PERMISSION: DatasetStatus.PERMISSIONS_ERROR,
        Fault.RATE_LIMIT: DatasetStatus.RATE_LIMIT_ERROR,
        Fault.CONTENT: DatasetStatus.MAP_ERROR,
        Fault.CONFLICT: DatasetStatus.VALIDATION_ERROR,
        Fault.LIMIT: DatasetStatus.VALIDATION_ERROR,
        Fault.REQUEST: DatasetStatus.VALIDATION_ERROR,
        Fault.STORE: DatasetStatus.PROCESSING_ERROR,
        Fault.PREREQUISITE: DatasetStatus.PREREQUISITE_NOT_MET,
        Fault.UNSUPPORTED: DatasetStatus.NOT_SUPPORTED,
        Fault.EXECUTOR: DatasetStatus.INTERNAL_ERROR,
        Fault.CALLER: DatasetStatus.CANCELLED,
        Fault.INTERNAL: DatasetStatus.INTERNAL_ERROR,
    }
)
"""What a failure is called by what was at fault."""


def status_of(run: Run) -> DatasetStatus:
    """The status of the operation that a run is."""
    if run.state is RunState.QUEUED:
        return DatasetStatus.QUEUED
    if run.state in PHASES:
        waiting, working = PHASES[run.state]
        return waiting if run.progress <= STARTS_AT[run.state] else working
    if run.state in ENDS:
        return ENDS[run.state]
    return FAULTS[run.error.fault] if run.error is not None else DatasetStatus.INTERNAL_ERROR


@cache
def status_expression() -> ColumnElement[str]:
    """The same over the row of a run.

    It is text, of constants alone: a query may name it two hundred times, and putting that many
    trees together anew would take seconds.
    """
    text = _cases().compile(compile_kwargs={"literal_binds": True})
    return literal_column(f"({text})", ExactText())


def _cases() -> Case[str]:
    run = tables.Run
    whens: list[tuple[ColumnElement[bool], str]] = [
        (run.state == RunState.QUEUED, DatasetStatus.QUEUED),
    ]
    for state, (waiting, working) in PHASES.items():
        entered = and_(run.state == state, run.progress <= STARTS_AT[state])
        whens += [(entered, waiting), (run.state == state, working)]
    whens += [(run.state == state, status) for state, status in ENDS.items()]
    whens += [(run.fault == fault, status) for fault, status in FAULTS.items()]
    return case(
        *((when, str(then)) for when, then in whens), else_=str(DatasetStatus.INTERNAL_ERROR)
    )
