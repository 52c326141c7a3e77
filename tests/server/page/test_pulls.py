"""What a person does without scripts: plan, pull, dry run, cancel, retry, look back, undo."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.server.page.browser import HtmlPage, PageClient
from towline_server.auth.roles import Role
from towline_server.page.entries import RULES
from towline_server.runs.states import RunState


@pytest.fixture(autouse=True)
def signed_in(site: PageClient) -> None:
    site.sign_in(site.keys[Role.WRITER])


def _edited(site: PageClient) -> None:
    """A project that was pulled, and that both sides edited since."""
    site.tenant.commit(rules__a=b'{"x": 1}', rules__b=b"one\n", rules__gone=b"1")
    _run(site)
    site.tenant.edit(site.project, "rules/a", b'{"x": 2}')
    site.tenant.commit(rules__a=b'{"x": 3}', rules__b=b"two\n", rules__new=b"new\n")


def _run(site: PageClient, **values: Any) -> HtmlPage:
    """Request a run by the form of the project's page, execute it, and show it."""
    answer = site.send(site.get(site.url), f"{site.url}/runs", **values)
    site.runner.work()
    return site.get(answer.headers["location"])


def _asset(site: PageClient, name: str) -> str:
    page = site.get(f"{site.url}?q={name}")
    [found] = [link for link in page.links if "/asset?id=" in link]
    return found.partition("id=")[2]


def test_a_plan_is_looked_at_and_applied(site: PageClient):
    _edited(site)
    asked = site.post(f"{site.url}/plans", {"on_conflict": "theirs"})
    plan = asked.headers["location"]
    page = site.get(plan)
    assert "Only the repository changed it." in page.text
    assert "It is new in the repository." in page.text
    [changed] = [link for link in page.links if link.endswith(_asset(site, "rules/a"))]
    assert "/x" in site.get(changed).text
    text = site.get(f"{plan}/diff?id={_asset(site, 'rules/b')}").text
    assert "-one" in text
    assert "+two" in text
    applied = site.send(page, f"{plan}/apply")
    assert applied.headers["location"] == f"{site.url}/history/2"
    assert site.tenant.contents(site.project)["rules/a"] == b'{"x": 3}'
    site.ask(plan, 404)


def test_a_plan_with_open_conflicts_cannot_be_applied(site: PageClient):
    _edited(site)
    plan = site.post(f"{site.url}/plans").headers["location"]
    page = site.get(plan)
    assert "unresolved conflicts" in page.text
    assert f"{plan}/apply" not in page.actions
    assert site.post(f"{plan}/apply").status_code == 409
    site.send(page, f"{plan}/delete")
    site.ask(plan, 404)


def test_selected_assets_are_pulled_and_a_dry_run_changes_nothing(site: PageClient):
    _edited(site)
    site.post(f"{site.url}/fetch")
    selected = {"only": "selected", "id": _asset(site, "rules/b")}
    dry = site.post(f"{site.url}/runs", {**selected, "mode": "dry_run"}).headers["location"]
    site.runner.work()
    text = site.get(dry).text
    assert "Only the repository changed it." in text
    assert re.search(r"fetching \d+\.\d\d s, comparing \d+\.\d\d s, validating", text)
    assert site.tenant.contents(site.project)["rules/b"] == b"one\n"
    site.post(f"{site.url}/runs", selected)
    site.runner.work()
    found = site.tenant.contents(site.project)
    assert (found["rules/b"], "rules/new" in found) == (b"two\n", False)
    none = site.post(f"{site.url}/runs", {"only": "selected"})
    assert (none.status_code, "select some first" in none.text) == (400, True)


def test_a_run_that_conflicts_explains_it_and_is_retried(site: PageClient):
    _edited(site)
    page = _run(site)
    assert "unresolved conflicts" in page.text
    assert "rules/a" in page.text
    assert "in conflict; it is refused" in page.text  # its log
    [retry] = [action for action in page.actions if action.endswith("/retry")]
    again = site.send(page, retry).headers["location"]
    site.runner.work()
    assert f"/ui/runs/{retry.split('/')[3]}" in site.get(again).links


def test_a_run_that_waits_is_cancelled(site: PageClient):
    run = site.send(site.get(site.url), f"{site.url}/runs").headers["location"]
    page = site.get(run)
    site.send(page, f"{run}/cancel")
    page = site.get(run)
    assert "cancelled" in page.text
    assert f"{run}/cancel" not in page.actions


def test_a_stream_ends_with_the_report(site: PageClient):
    _edited(site)
    run = site.post(f"{site.url}/runs", {"on_conflict": "skip"}).headers["location"]
    site.runner.work()
    with site.client.stream("GET", f"{run}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        events = "".join(answer.iter_text()).split("\n\n")
    names = [event.partition("\n")[0] for event in events if event]
    assert names[-2:] == ["event: run", "event: ended"]
    assert "Both sides changed the same part of it. Left in conflict." in events[-3]


def test_a_pull_is_undone_after_a_look_at_what_that_does(site: PageClient):
    _edited(site)
    _run(site, on_conflict="skip")
    [undo] = [each for each in site.get(f"{site.url}/history").links if each.endswith("2/undo")]
    page = site.get(undo)
    assert "rules/b" in page.text
    done = site.send(page, undo)
    assert done.headers["location"] == f"{site.url}/history/3"
    assert "Undo of pull 2" in site.get(done.headers["location"]).text
    assert site.tenant.contents(site.project)["rules/b"] == b"one\n"
    # It is undone already.
    site.ask(undo, 404)


def test_runs_are_listed_by_state(site: PageClient):
    site.tenant.commit(rules__a=b"1")
    _run(site)
    site.services.runs.request(site.project.id)
    for address in ("/ui/runs", f"{site.url}/runs"):
        found = {
            state: len([e for e in site.get(f"{address}?state={state}").links if "/runs/" in e])
            for state in ("", RunState.SUCCEEDED, RunState.QUEUED, RunState.FAILED, "nonsense")
        }
        assert list(found.values()) == [2, 1, 1, 0, 2]


def test_every_rule_is_explained():
    from pathlib import Path
    from re import findall

    text = (Path(__file__).parents[3] / "docs" / "semantics.md").read_text(encoding="utf-8")
    table = text.partition("| rule | case |")[2].partition("\n\n")[0]
    assert [int(number) for number in findall(r"^\| (\d+) \|", table, 8)] == list(RULES)
