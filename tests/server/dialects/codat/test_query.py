"""The query language: what it takes and refuses, and what the database makes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.server.dialects.codat.operations import (
    FIELDS,
    FLAGS,
    NUMBERS,
    STRINGS,
    TIMES,
    Operation,
    fill,
    queries,
)
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.errors import InvalidValue
from towline.testing.git_server import GitServer
from towline_server.db import Database
from towline_server.dialects.codat.models import DatasetStatus
from towline_server.dialects.codat.operations import operation_fields, operation_of
from towline_server.dialects.codat.query import LONGEST, parse_order, parse_query
from towline_server.projects.data_types import DataTypes
from towline_server.runs.listing import RunFilter

TYPES = DataTypes({"rule": "bills"})
OPERATION = operation_fields(TYPES)


def _found(
    tenant: GitTenant, project_id: UUID, query: str = "", order: str = ""
) -> Sequence[Operation]:
    page = Runner(tenant).runs.page(
        RunFilter(project_id=project_id, of_one_kind=True),
        limit=1000,
        conditions=[parse_query(query, OPERATION)] if query else [],
        order=[parse_order(order, OPERATION)] if order else [],
    )
    assert page.total == len(page.runs)
    found = [operation_of(run, TYPES) for run in page.runs]
    return [json.loads(each.model_dump_json(by_alias=True, exclude_unset=True)) for each in found]


@pytest.fixture
def tenant(database: Database, git_server: GitServer, tmp_path: Path) -> GitTenant:
    """A tenant and its companies, on each engine."""
    return GitTenant(database, git_server, tmp_path)


def test_the_database_agrees_with_plain_python(tenant: GitTenant):
    project_id = fill(tenant)
    operations = list(_found(tenant, project_id))
    # Initial is in the answer that starts an operation alone.
    stored = set(DatasetStatus) - {DatasetStatus.INITIAL}
    assert {each["status"] for each in operations} == {str(status) for status in stored}

    @given(queries(operations))
    def agrees(query):
        wanted = [each["id"] for each in operations if query.matches(each)]
        assert [each["id"] for each in _found(tenant, project_id, query.text())] == wanted

    agrees()


def _null_first(value: object) -> tuple[object, ...]:
    if isinstance(value, str) and value.startswith("2026-"):
        return 1, datetime.fromisoformat(value)
    return (0,) if value is None else (1, value)


def test_every_field_sorts_both_ways(tenant: GitTenant):
    project_id = fill(tenant)
    for field in FIELDS:
        values = [each.get(field) for each in _found(tenant, project_id, order=field)]
        # Null is the lowest.
        assert values == sorted(values, key=_null_first), field
        back = [each.get(field) for each in _found(tenant, project_id, order=f"-{field}")]
        assert back == values[::-1], field


def test_a_long_query_is_not_too_much_for_the_database(tenant: GitTenant):
    project_id = fill(tenant)
    query = "||".join(["status!=x"] * 180)
    assert 1900 < len(query) <= LONGEST
    assert len(_found(tenant, project_id, query)) == len(_found(tenant, project_id))
    deep = "{" * 64 + "progress>=0" + "}" * 64
    assert len(_found(tenant, project_id, deep)) == len(_found(tenant, project_id))


# --- the grammar ------------------------------------------------------------------------------

SIGNS = ["=", "!=", "~", ">", ">=", "<", "<=", "&&", "||", "{", "}", "&", "|", " ", "-", ".", "\0"]
WORDS = [*FIELDS, "isCompleted", "nothing", "true", "12", "2026-03-01", "9" * 400, "ß", "\ud800"]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(SIGNS + WORDS), max_size=20).map("".join) | st.text(max_size=50))
@example("{" * LONGEST)
@example("progress=" + "9" * 2000)
@example("requested>0001-01-01T00:00:00+23:00")
@example("requested<9999-12-31T23:59:59-23:00")
def test_whatever_is_asked_is_parsed_or_refused(query: str):
    try:
        str(parse_query(query, OPERATION))
    except InvalidValue as error:
        refused = error
    else:
        return
    assert (refused.field, bool(refused.problem)) == ("query", True)


@pytest.mark.parametrize("text", ["", "-", "isCompleted", "-isCompleted", "--id", "x", "id,status"])
def test_what_cannot_be_sorted_by_is_refused(text: str):
    with pytest.raises(InvalidValue, match="orderBy"):
        parse_order(text, OPERATION)


REFUSED = {
    "status": "needs one of",
    "=x": "needs a field at character 1",
    "status=": "needs a value at character 8",
    "status==x": "needs a value at character 8",
    "status=x&&": "needs a field at character 11",
    "&&status=x": "needs a field at character 1",
    "status=x||": "needs a field at character 11",
    "{status=x": "needs } at character 10",
    "status=x}": "needs && or ||",
    "{}": "needs a field at character 2",
    "status=x{id=y}": "needs && or ||",
    "{status=x}{id=y}": "needs && or ||",
    "status=x&&&&id=y": "needs a field",
    "isCompleted=true": "isCompleted is not queryable",
    "name=x": "there is no field called 'name'",
    "Status=x": "there is no field called 'Status'",
    "status>x": "> cannot be used with status, which is a string",
    "dataType<=x": "<= cannot be used with dataType",
    "id>=x": ">= cannot be used with id",
    "isErrored>true": "> cannot be used with isErrored",
    "isErrored~true": "~ cannot be used with isErrored",
    "progress~1": "~ cannot be used with progress, which is a number",
    "requested~2026": "~ cannot be used with requested, which is a time",
    "progress=ten": "progress needs a number",
    "progress=1e3": "progress needs a number",
    "progress=nan": "progress needs a number",
    "progress=1_0": "progress needs a number",
    "progress=٣": "progress needs a number",
    "requested>yesterday": "requested needs a time",
    "requested>9999-12-31T23:59:59-23:00": "requested needs a time",
    "isErrored=1": "isErrored needs true or false",
    "status=a\nb": "cannot be printed",
    "{" * 65 + "id=x" + "}" * 65: "more than 64 groups",
    "id=" + "x" * (LONGEST - 2): f"{LONGEST} are allowed",
}


@pytest.mark.parametrize("query", REFUSED)
def test_a_malformed_query_is_refused(query: str):
    with pytest.raises(InvalidValue) as refused:
        parse_query(query, OPERATION)
    assert REFUSED[query] in refused.value.message


def test_every_operator_goes_with_the_right_types():
    taken: dict[str, set[str]] = {}
    values = dict.fromkeys(STRINGS, "x") | dict.fromkeys(NUMBERS, "1")
    values |= dict.fromkeys(TIMES, "2026-03-01") | dict.fromkeys(FLAGS, "true")
    for operator in ("=", "!=", "~", ">", ">=", "<", "<="):
        for field, value in values.items():
            try:
                parse_query(f"{field}{operator}{value}", OPERATION)
            except InvalidValue:
                continue
            taken.setdefault(operator, set()).add(field)
    ordered, all_fields = NUMBERS | TIMES, set(FIELDS)
    orders = dict.fromkeys((">", ">=", "<", "<="), ordered)
    assert taken == {"=": all_fields, "!=": all_fields, "~": STRINGS, **orders}


def test_groups_beside_each_other_are_not_within_each_other():
    parse_query("||".join(["{id=x}"] * 200), OPERATION)


def test_a_time_without_a_zone_is_utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        parsed = parse_query("requested>2026-03-01", OPERATION)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert list(parsed.compile().params.values()) == [datetime(2026, 3, 1, tzinfo=UTC)]


def test_the_longest_query_is_under_2048_characters():
    assert LONGEST == 2047
    parse_query("id=" + "x" * (LONGEST - 3), OPERATION)
