"""Runs as pull operations: their status, and their fields in SQL.

A phase that was entered and has done nothing yet waits for its turn at the project: the statuses
ending in Queued mean that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Case, ColumnElement, and_, case, cast, func, literal, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from towline_server.db.base import ExactText
from towline_server.projects.data_types import DataTypes
from towline_server.runs.domain import Run
from towline_server.runs.states import STARTS_AT, Fault, Outcome, RunState
from towline_server.runs.tables import RunRow

from .models import ERRORS, DatasetStatus, PullOperation
from .query import FieldType, QueryField, QueryFields

_Pair: TypeAlias = tuple[DatasetStatus, DatasetStatus]

PHASES: Mapping[RunState, _Pair] = MappingProxyType(
    {
        RunState.FETCHING: (DatasetStatus.FETCHING, DatasetStatus.FETCHING),
        RunState.COMPARING: (DatasetStatus.MAP_QUEUED, DatasetStatus.MAPPING),
        RunState.VALIDATING: (DatasetStatus.VALIDATION_QUEUED, DatasetStatus.VALIDATING),
        RunState.APPLYING: (DatasetStatus.PROCESSING_QUEUED, DatasetStatus.PROCESSING),
    }
)
"""The statuses of a phase: while it waits, and while it works."""

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
"""The status of a failure, by what was at fault."""


def status_of(run: Run) -> DatasetStatus:
    """Return the status of a run as an operation."""
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
    """Return the same as SQL over the row of a run.

    It is text, of constants alone: a query may name it two hundred times, and to build that many
    trees again would take seconds.
    """
    text = _cases().compile(compile_kwargs={"literal_binds": True})
    return literal_column(f"({text})", ExactText())


def _cases() -> Case[str]:
    run = RunRow
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


NO_CONNECTION = UUID(int=0)
"""The connection of an operation whose company had none: the field is never null."""
_SKIPPED = "conflicts were skipped; the rest was pulled"
_MERGED = "assets merged with local edits: "


def operation_of(run: Run, types: DataTypes) -> PullOperation:
    """Return a run of one kind as an operation."""
    assert run.request.kind is not None, "an operation is of one kind"
    status = status_of(run)
    failed = run.error if run.state is RunState.FAILED else None
    completed = {} if run.completed_at is None else {"completed": run.completed_at}
    return PullOperation(
        id=run.id,
        company_id=run.project_id,
        connection_id=run.connection_id or NO_CONNECTION,
        data_type=types.of_kind(run.request.kind),
        status=status,
        status_description=_description(run),
        error_message=None if failed is None else failed.message,
        requested=run.created_at,
        progress=run.progress,
        is_completed=status is DatasetStatus.COMPLETE,
        is_errored=status.is_error,
        **completed,
    )


def _description(run: Run) -> str | None:
    if run.state is RunState.CANCELLED and run.cancellation is not None:
        return run.cancellation.reason
    parts = [_SKIPPED] if run.outcome is Outcome.PARTIAL else []
    parts += [f"{_MERGED}{run.merged}"] if run.merged else []
    return "; ".join(parts) or None


class uuid_text(FunctionElement[str]):  # noqa: N801 - a function of SQL
    """A UUID column as text: in lower case, with hyphens."""

    name = "uuid_text"
    type = ExactText()
    inherit_cache = True


@compiles(uuid_text)
def _cast(element: uuid_text, compiler: SQLCompiler, **options: Any) -> str:
    return f'CAST({compiler.process(element.clauses, **options)} AS TEXT) COLLATE "C"'


@compiles(uuid_text, "sqlite")
def _with_hyphens(element: uuid_text, compiler: SQLCompiler, **options: Any) -> str:
    digits = compiler.process(element.clauses, **options)
    parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
    return " || '-' || ".join(f"substr({digits}, {start}, {size})" for start, size in parts)


def operation_fields(types: DataTypes) -> QueryFields:
    """Return the fields of an operation that queries may name."""
    run = RunRow
    status = status_expression()
    strings: dict[str, Any] = {
        "id": uuid_text(run.id),
        "companyId": uuid_text(run.project_id),
        "connectionId": func.coalesce(uuid_text(run.connection_id), str(NO_CONNECTION)),
        "dataType": _data_type(types),
        "status": status,
        "statusDescription": _described(),
        "errorMessage": case((run.state == RunState.FAILED, run.error_message)),
    }
    return QueryFields(
        by_name={
            **{name: QueryField(FieldType.STRING, each) for name, each in strings.items()},
            "requested": QueryField(FieldType.TIME, run.created_at.expression),
            "completed": QueryField(FieldType.TIME, run.completed_at.expression),
            "progress": QueryField(FieldType.NUMBER, run.progress.expression),
            "isErrored": QueryField(FieldType.FLAG, status.in_([str(error) for error in ERRORS])),
        },
        not_queryable=frozenset({"isCompleted"}),
    )


def _data_type(types: DataTypes) -> ColumnElement[Any]:
    kind = RunRow.kind
    renamed = [
        (kind == name, literal(data_type, ExactText()))
        for name, data_type in types.by_kind.items()
        if name != data_type
    ]
    return case(*renamed, else_=kind) if renamed else kind.expression


def _described() -> Case[Any]:
    run = RunRow
    is_partial, count = run.outcome == Outcome.PARTIAL, cast(run.merged, ExactText())
    return case(
        (run.state == RunState.CANCELLED, run.cancel_reason),
        (and_(is_partial, run.merged > 0), literal(f"{_SKIPPED}; {_MERGED}", ExactText()) + count),
        (is_partial, _SKIPPED),
        (run.merged > 0, literal(_MERGED, ExactText()) + count),
    )
