"""Lists: pages, their links, queries and orders as requests ask for them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.server.dialects.codat.client import SCHEMA, Codat
from tests.server.dialects.tenant_client import TenantClient, basic
from tests.server.runs.git_tenant import GitTenant
from towline_server.auth.roles import Role
from towline_server.projects.domain import Provider


@pytest.fixture
def codat(api: TenantClient, tenant: GitTenant) -> Codat:
    """A company with six operations, the first three of which pulled something."""
    tenant.commit(rules__a=b"1")
    project = tenant.project()
    made = Codat(api, project, api.key(Role.WRITER, project))
    made.pull_all()
    for kind in ("invoices", "rule", "bills"):
        made.queue(kind)
    return made


def _kinds(page: dict[str, Any]) -> list[str]:
    return [each["dataType"] for each in page["results"]]


NEWEST_FIRST = ["bills", "rule", "invoices", "rule", "task", "file"]


def test_a_list_is_newest_first(codat: Codat):
    page = codat.history()
    assert _kinds(page) == NEWEST_FIRST
    assert (page["pageNumber"], page["pageSize"], page["totalResults"]) == (1, 100, 6)
    path = f"/companies/{codat.project.id}/data/history"
    assert page["_links"] == {
        "self": {"href": path},
        "current": {"href": f"{path}?page=1&pageSize=100"},
    }


def test_links_lead_through_every_page(codat: Codat):
    query = {"query": "progress>=0 && status!=x", "orderBy": "requested"}
    page = codat.history(page=1, pageSize=4, **query)
    assert "previous" not in page["_links"]
    following = codat.api.client.get(page["_links"]["next"]["href"], headers=basic(codat.key))
    last = following.json()
    SCHEMA.check("operations", last)
    assert (last["pageNumber"], last["pageSize"], last["totalResults"]) == (2, 4, 6)
    assert "next" not in last["_links"]
    assert sorted(_kinds(page) + _kinds(last)) == sorted(NEWEST_FIRST)
    for link, wanted in (("previous", page), ("current", last)):
        answer = codat.api.client.get(last["_links"][link]["href"], headers=basic(codat.key))
        assert answer.json() == wanted


def test_a_page_behind_the_last_is_empty(codat: Codat):
    page = codat.history(page=2**31, pageSize=5000)
    assert (page["results"], page["totalResults"]) == ([], 6)


def test_the_last_page_may_be_full(codat: Codat):
    assert "next" not in codat.history(pageSize=6)["_links"]
    assert "next" in codat.history(pageSize=5)["_links"]


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"page": "x"},
        {"page": 2**31 + 1},
        {"pageSize": 0},
        {"pageSize": 5001},
        {"query": "status"},
        {"query": "isCompleted=true"},
        {"query": "status>Complete"},
        {"query": "progress~1"},
        {"query": "id=" + "x" * 2045},
        {"orderBy": "isCompleted"},
        {"orderBy": "nothing"},
    ],
)
def test_what_is_malformed_is_refused(codat: Codat, query: dict[str, Any]):
    assert codat.ask("GET", "/data/history", **query).status_code == 400


def test_the_seeds_own_query_finds_what_failed(codat: Codat, tenant: GitTenant):
    assert codat.history(query="status!=Complete&&status!=NotSupported")["results"] == []
    assert _kinds(codat.history(query="status=NotSupported")) == ["bills", "invoices"]
    assert _kinds(codat.history(query="{dataType=task || dataType~ill} && progress=100")) == [
        "task"
    ]
    first = codat.history()["results"][-1]
    assert codat.history(query=f"id={first['id']}")["results"] == [first]
    before = codat.history(query=f"requested<={first['requested']}")
    assert first in before["results"]


def test_orders(codat: Codat):
    assert _kinds(codat.history(orderBy="dataType")) == sorted(NEWEST_FIRST)
    assert _kinds(codat.history(orderBy="-dataType")) == sorted(NEWEST_FIRST, reverse=True)


def test_a_query_sees_its_own_company_alone(codat: Codat, api: TenantClient, tenant: GitTenant):
    other = tenant.project()
    Codat(api, other, api.key(Role.WRITER)).queue("rule")
    page = codat.history(query=f"companyId!={codat.project.id} || progress>=0")
    assert page["totalResults"] == 6


def test_companies_are_asked_for_like_operations(
    api: TenantClient, tenant: GitTenant, stranger: GitTenant
):
    projects = sorted((tenant.project() for _ in range(3)), key=lambda each: each.path)
    stranger.project()
    headers = basic(api.key(Role.READER))

    def names(**query: Any) -> list[str]:
        answer = api.client.get("/companies", headers=headers, params=query)
        SCHEMA.check("companies", answer.json())
        return [each["name"] for each in answer.json()["results"]]

    paths = [f"/{project.path}" for project in projects]
    assert names() == paths
    assert names(pageSize=2, page=2) == paths[2:]
    assert names(orderBy="-name") == paths[::-1]
    assert names(query=f"id={projects[1].id}") == paths[1:2]
    assert names(query=f"name={paths[2]}") == paths[2:]
    assert names(query="name~space && created>2000-01-01") == paths
    assert names(query="created>3000-01-01") == []
    for query in ({"query": "dataConnections=x"}, {"orderBy": "status"}, {"query": "id>1"}):
        answer = api.client.get("/companies", headers=headers, params=query)
        SCHEMA.check("error", answer.json())
        assert answer.status_code == 400


def test_a_company_and_its_connection_have_their_dates(api: TenantClient, tenant: GitTenant):
    with api.services.database.writing() as session:
        connection = api.services.connections(session).create(
            tenant_id=tenant.tenant_id, url=f"{tenant.server.url}/x.git", provider=Provider.GITHUB
        )
    project = tenant.project(connection_id=connection.id)
    answer = api.client.get("/companies", headers=basic(api.key(Role.READER)))
    [found] = answer.json()["results"]
    [shown] = found["dataConnections"]
    assert shown["platformName"] == "github"
    made = [datetime.fromisoformat(each["created"]) for each in (found, shown)]
    assert made == [project.created_at, connection.created_at]
    assert made[0] > made[1]


def test_connections_are_a_page_too(codat: Codat):
    page = codat.connections()
    assert [each["id"] for each in page["results"]] == [str(codat.api.tenant.connection_id)]
    page = codat.connections(page=2, pageSize=1)
    assert (page["results"], page["totalResults"]) == ([], 1)
    assert page["_links"]["previous"]["href"].endswith("?page=1&pageSize=1")
