"""Operations of every sort, and which of them a query finds, without a database."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID

from hypothesis import strategies as st

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline_server.runs.states import STARTS_AT, Fault, RunState
from towline_server.runs.tables import RunRow

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
TEXTS = (None, "the remote is gone", "100% of it_is", "Größe: ünbekannt", "A=b ~ c", "O'Neil \\ x")
KINDS = ("rule", "Rule", "task", "file", "ordnung", "x y")

NUMBERS = frozenset({"progress"})
TIMES = frozenset({"requested", "completed"})
FLAGS = frozenset({"isErrored"})
STRINGS = frozenset(
    ["id", "companyId", "connectionId", "dataType", "status", "statusDescription", "errorMessage"]
)
FIELDS = sorted(NUMBERS | TIMES | FLAGS | STRINGS)

Operation: TypeAlias = Mapping[str, Any]


def fill(tenant: GitTenant) -> UUID:
    """A company with an operation of every status, and of every sort of value."""
    project = tenant.project()
    runs = Runner(tenant).runs
    shapes = list(itertools.product(RunState, (False, True)))
    shapes += [(RunState.FAILED, True)] * len(Fault)
    faults = itertools.cycle(Fault)
    for number, (state, works) in enumerate(shapes):
        [run] = runs.request_kinds(project.id, [KINDS[number % len(KINDS)]])
        ended = state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)
        values = {
            # Of what is active there may be one alone.
            "is_parent": state.is_active,
            "state": state,
            "progress": _progress(state, works, number),
            "created_at": START + timedelta(minutes=number % 5, microseconds=number),
            "completed_at": START + timedelta(hours=number) if ended else None,
            "connection_id": None if number % 4 == 0 else run.connection_id,
            "fault": next(faults) if state is RunState.FAILED else None,
            "error_code": "code" if state in (RunState.FAILED, RunState.CANCELLED) else None,
            "error_message": TEXTS[number % len(TEXTS)] or "",
            "cancel_reason": TEXTS[number % len(TEXTS)],
            "cancel_requested_at": START,
            "outcome": "partial" if number % 2 else "changed",
        }
        with tenant.database.writing() as session:
            row = session.get(RunRow, run.id)
            for name, value in values.items():
                setattr(row, name, value)
    return project.id


def _progress(state: RunState, works: bool, number: int) -> int:
    if state.is_active:
        # One that waits, and one that does something.
        return STARTS_AT[state] + (3 if works else 0)
    return (number * 7) % 101


# --- queries ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A field held against a value."""

    field: str
    operator: str
    value: str

    def matches(self, operation: Operation) -> bool:
        return _compare(self.field, self.operator, operation.get(self.field), self.value)

    def text(self) -> str:
        return f"{self.field}{self.operator}{self.value}"


@dataclass(frozen=True)
class Combination:
    """Terms of which all must match, or any."""

    sign: str
    terms: tuple[Query, ...]

    def matches(self, operation: Operation) -> bool:
        found = (term.matches(operation) for term in self.terms)
        return all(found) if self.sign == "&&" else any(found)

    def text(self) -> str:
        return f" {self.sign} ".join(self._grouped(term) for term in self.terms)

    def _grouped(self, term: Query) -> str:
        # "&&" binds closer, so an "||" in it needs its group; the other way it may go without.
        needs = isinstance(term, Combination) and self.sign == "&&"
        return f"{{{term.text()}}}" if needs else term.text()


Query: TypeAlias = Comparison | Combination


def _compare(field: str, operator: str, found: Any, wanted: str) -> bool:
    if found is None:
        return operator == "!="
    if operator == "~":
        return wanted in found
    left, right = _values(field, found, wanted)
    match operator:
        case "=":
            return bool(left == right)
        case "!=":
            return bool(left != right)
        case ">":
            return bool(left > right)
        case ">=":
            return bool(left >= right)
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case _:
            raise AssertionError(operator)


def _values(field: str, found: Any, wanted: str) -> tuple[Any, Any]:
    if field in NUMBERS:
        return float(found), float(wanted)
    if field in TIMES:
        return datetime.fromisoformat(found), datetime.fromisoformat(wanted)
    if field in FLAGS:
        return found, wanted == "true"
    return found, wanted


def queries(operations: list[Operation]) -> st.SearchStrategy[Query]:
    """Queries over these operations, most of which some of them fit."""
    asks = st.sampled_from(FIELDS).flatmap(lambda field: _asks(field, operations))
    return st.recursive(
        asks,
        lambda inner: st.builds(
            Combination,
            st.sampled_from(["&&", "||"]),
            st.lists(inner, min_size=2, max_size=3).map(tuple),
        ),
        max_leaves=6,
    )


def _asks(field: str, operations: list[Operation]) -> st.SearchStrategy[Query]:
    seen = sorted({str(each[field]) for each in operations if each.get(field) is not None})
    if field in STRINGS:
        operators = ["=", "!=", "~"]
        values = st.sampled_from(seen).flatmap(_parts).filter(_is_operand)
    elif field in FLAGS:
        operators, values = ["=", "!="], st.sampled_from(["true", "false"])
    else:
        operators = ["=", "!=", ">", ">=", "<", "<="]
        values = st.sampled_from(seen)
        if field in NUMBERS:
            values |= st.integers(-5, 10**30).map(str) | st.just("12.5")
    return st.builds(Comparison, st.just(field), st.sampled_from(operators), values)


def _parts(text: str) -> st.SearchStrategy[str]:
    parts = st.tuples(st.integers(0, len(text)), st.integers(0, len(text)))
    return st.just(text) | parts.map(lambda ends: text[min(ends) : max(ends)])


def _is_operand(value: str) -> bool:
    return bool(value) and value == value.strip() and value[0] not in "=!~<>"
