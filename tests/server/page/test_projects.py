"""The list of projects, and one project's assets: their states, filters and costs."""

from __future__ import annotations

import pytest

from tests.server.page.browser import PageClient
from tests.server.sql_log import statements
from towline.options import OnConflict
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project
from towline_server.runs.domain import RunRequest


def _pull(site: PageClient, project: Project, **request: OnConflict) -> None:
    site.services.runs.request(project.id, RunRequest(**request))  # type: ignore[arg-type] # fields of one type
    site.runner.work()


def _state(site: PageClient, project: Project) -> str:
    text = site.client.get("/", params={"q": str(project.path)}).text
    return text.partition("<td>")[2].partition("</td>")[0].split('">')[-1].partition("<")[0]


def test_a_project_goes_through_its_states(site: PageClient):
    tenant, project = site.tenant, site.project
    site.sign_in()
    assert _state(site, tenant.project(bound=False)) == ""
    assert _state(site, project) == "not pulled"
    site.services.runs.request(project.id)
    assert _state(site, project) == "queued"
    site.runner.work()
    assert _state(site, project) == "failed"
    tenant.commit(a=b"1", b=b"1")
    _pull(site, project)
    assert _state(site, project) == "up to date"
    tenant.commit(a=b"2", b=b"2")
    site.send(site.get(site.url), f"{site.url}/fetch")
    assert _state(site, project) == "behind"
    tenant.edit(project, "a", b"3")
    _pull(site, project)
    assert _state(site, project) == "1 conflict"
    _pull(site, project, on_conflict=OnConflict.SKIP)
    assert _state(site, project) == "1 conflict"
    _pull(site, project, on_conflict=OnConflict.OURS)
    assert _state(site, project) == "up to date"


def test_a_list_takes_as_many_statements_for_many_projects(site: PageClient):
    site.sign_in(site.key(Role.READER))

    def sent() -> int:
        with statements(site.services.database) as found:
            site.ask("/")
        return len(found)

    few = sent()
    for number in range(120):
        site.tenant.project(name=f"p{number}")
    assert sent() == few
    page = site.get("/")
    assert "1–100 of 121 projects" in page.text
    assert "101–121 of 121 projects" in site.get("/?page=2").text
    assert "1–1 of 1 projects" in site.get("/?q=P119").text


def test_assets_are_filtered_by_state_kind_folder_and_path(site: PageClient):
    tenant, project = site.tenant, site.project
    tenant.commit(rules__a=b"1", rules__deep__b=b"1", tasks__c=b"1")
    _pull(site, project)
    tenant.edit(project, "rules/a", b"2")
    site.sign_in()

    def shown(**query: str) -> set[str]:
        text = site.client.get(site.url, params=query).text
        return {
            line.partition('">')[2].partition("<")[0]
            for line in text.splitlines()
            if "/asset?id=" in line
        }

    assert shown() == {"a", "b", "c"}
    assert shown(state="changed") == shown(state="modified-here") == {"a"}
    assert shown(kind="task") == {"c"}
    assert shown(under="rules/") == {"a", "b"}
    assert shown(q="DEEP") == {"b"}
    assert shown(q="nothing") == set()


@pytest.mark.slow
def test_a_thousand_assets_are_shown_a_hundred_at_a_time(site: PageClient):
    site.tenant.repository.commit({f"rules/{number}.json": b"1" for number in range(1000)})
    site.sign_in()
    site.send(site.get(f"{site.url}/plans"), f"{site.url}/plans")
    [plan] = [link for link in site.get(f"{site.url}/plans").links if "/plans/" in link]
    assert "1–100 of 1000 assets" in site.get(plan).text
    assert "901–1000 of 1000 assets" in site.get(f"{plan}?page=10").text
    site.send(site.get(plan), f"{plan}/apply")
    for address in (site.url, f"{site.url}/history/1"):
        answer = site.ask(address)
        assert "1–100 of 1000 assets" in answer.text
        assert len(answer.content) < 100_000
    with statements(site.services.database) as sent:
        site.ask(site.url)
    assert len(sent) < 40
