"""Runs through the native API."""

from __future__ import annotations

from uuid import UUID

import pytest

from tests.server.api.client import V1, ApiClient, code_of
from towline_server.auth.roles import Role


def test_a_run_pulls(api: ApiClient):
    revision = api.tenant.commit(rules__a=b"1", tasks__b=b"2")
    run = api.pull()
    assert (run["state"], run["outcome"], run["progress"]) == ("succeeded", "changed", 100)
    assert (run["target_revision"], run["is_initial"], run["pull"]) == (revision, True, 1)
    assert [item["path"] for item in run["report"]["created"]] == ["rules/a", "tasks/b"]
    assert api.tenant.contents(api.project) == {"rules/a": b"1", "tasks/b": b"2"}


def test_a_run_follows_its_request(api: ApiClient):
    api.tenant.commit(rules__a=b"1", tasks__b=b"1")
    dry = api.pull(mode="dry_run")
    assert (dry["outcome"], dry["pull"]) == ("changed", None)
    assert api.tenant.contents(api.project) == {}
    partial = api.pull(kind="rule")
    assert set(api.tenant.contents(api.project)) == {"rules/a"}
    behind = [(item["path"], item["behind"]) for item in partial["report"]["behind"]]
    assert behind == [("tasks/b", "left_out")]
    assert api.pull(only={"globs": ["task"]})["error"]["code"] == "unknown_assets"
    api.pull(only={"globs": ["tasks/**"]})
    assert set(api.tenant.contents(api.project)) == {"rules/a", "tasks/b"}
    api.put("rules/a", b"ours")
    api.tenant.commit(rules__a=b"theirs", tasks__b=b"1")
    refused = api.pull()
    assert (refused["state"], refused["result_class"]) == ("failed", "conflict")
    assert refused["report"]["conflicts"][0]["kind"] == "content"
    asset_id = refused["report"]["conflicts"][0]["parties"][0]["asset_id"]
    ours = api.pull(use_ours=[asset_id])
    assert ours["report"]["ignored"][0]["reason"] == "declined"
    assert api.tenant.contents(api.project)["rules/a"] == b"ours"


def test_contents_merge_as_the_run_or_else_the_project_says(api: ApiClient):
    api.tenant.commit(**{"a.json": b'{"x": 1, "y": 1}'})
    api.pull()
    api.put("a.json", b'{"x": 2, "y": 1}')
    api.tenant.commit(**{"a.json": b'{"x": 1, "y": 2}'})
    assert api.ask("PATCH", api.url, json={"content_merge": "never"}).status_code == 200
    assert api.pull()["result_class"] == "conflict"
    assert len(api.get(f"{api.url}/conflicts")["conflicts"]) == 1
    [by_structure] = api.pull(mode="dry_run", content_merge="structure")["report"]["updated"]
    assert (by_structure["merged"], by_structure["merged_by"]) == (True, "structure")
    assert api.ask("PATCH", api.url, json={"content_merge": "auto"}).status_code == 200
    assert api.get(f"{api.url}/conflicts")["conflicts"] == []
    assert api.pull(content_merge="never")["result_class"] == "conflict"
    assert api.pull()["report"]["updated"] == [by_structure]
    assert api.tenant.contents(api.project) == {"a.json": b'{"x": 2, "y": 2}'}


def test_renames_are_found_as_the_run_or_else_the_project_says(api: ApiClient):
    lines = [b"line %d of what it does\n" % number for number in range(20)]
    api.tenant.commit(rules__a=b"".join(lines))
    api.pull()
    api.tenant.commit(rules__b=b"".join([*lines, b"one more\n"]))
    exact = api.pull(mode="dry_run", renames="exact")["report"]
    assert [len(exact[name]) for name in ("updated", "created", "deleted")] == [0, 1, 1]
    [item] = api.pull()["report"]["updated"]
    assert (item["renamed_from"], item["path"]) == ("rules/a", "rules/b")


def test_a_failure_is_returned(api: ApiClient):
    run = api.pull()
    assert (run["state"], run["result_class"]) == ("failed", "permanent_failure")
    assert (run["error"]["code"], run["error"]["fault"]) == ("empty_repository", "remote")
    assert str(api.tenant.folder) not in str(run)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({"mode": "sideways"}, (422, "invalid_request")),
        ({"unknown": 1}, (422, "invalid_request")),
        ({"content_merge": "git"}, (422, "invalid_request")),
        ({"allow_empty": 1}, (422, "invalid_request")),
        ({"allow_empty": "true"}, (422, "invalid_request")),
        ({"only": {"ids": [""]}}, (422, "invalid_request")),
        ({"use_ours": ["x"], "use_theirs": ["x"]}, (400, "conflicting_resolutions")),
        ({"kind": "rule", "only": {"kinds": ["task"]}}, (400, "invalid_value")),
        ({"backend": "temporal"}, (422, "backend_not_configured")),
    ],
)
def test_a_bad_request_starts_nothing(api: ApiClient, body: dict[str, object], refusal):
    assert code_of(api.ask("POST", f"{api.url}/runs", json=body)) == refusal
    assert api.get(f"{api.url}/runs")["total"] == 0


def test_lists_are_filtered_and_paged(api: ApiClient):
    api.tenant.commit(a=b"1")
    ended = [api.pull()["id"] for _ in range(2)]
    waiting = api.ask("POST", f"{api.url}/runs", json={}).json()["id"]
    hidden = api.runner.runs.request(api.tenant.project().id)

    def ids(url: str, key: str | None = None) -> list[str]:
        return [each["id"] for each in api.get(url, key=key)["items"]]

    assert set(ids(f"{api.url}/runs")) == {*ended, waiting}
    assert ids(f"{api.url}/runs?state=queued&state=failed") == [waiting]
    assert "report" not in api.get(f"{api.url}/runs")["items"][0]
    assert set(ids(f"{V1}/runs", api.keys[Role.READER])) == {*ended, waiting}
    every = ids(f"{V1}/runs", api.tenant_keys[Role.READER])
    assert set(every) == {*ended, waiting, str(hidden.id)}
    assert ids(f"{V1}/runs", api.keys[None]) == []
    page = api.get(f"{api.url}/runs?limit=2&offset=2")
    assert (len(page["items"]), page["total"], page["has_next"]) == (1, 3, False)


def test_a_waiting_run_is_cancelled_and_tried_again(api: ApiClient):
    api.tenant.commit(a=b"1")
    url = api.ask("POST", f"{api.url}/runs", json={}).headers["location"]
    assert code_of(api.ask("POST", f"{url}/retry")) == (409, "run_not_ended")
    cancelled = api.ask("POST", f"{url}/cancel", json={"reason": "not now"}).json()
    assert (cancelled["state"], cancelled["reason_code"]) == ("cancelled", "user_cancelled")
    assert api.ask("POST", f"{url}/cancel").json() == cancelled
    again = api.ask("POST", f"{url}/retry", json={"mode": "full_refresh"})
    assert again.status_code == 202
    following = again.json()
    assert (following["attempt"], following["mode"]) == (2, "full_refresh")
    assert following["previous_attempt_id"] == cancelled["id"]
    api.runner.worker().execute(UUID(following["id"]))
    attempts = api.get(f"{url}/attempts")
    assert [each["state"] for each in attempts] == ["cancelled", "succeeded"]
