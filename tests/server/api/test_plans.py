"""Plans that wait, conflicts and their close view, the log, undo."""

from __future__ import annotations

import shutil
from base64 import b64decode
from typing import Any
from uuid import uuid4

import pytest

from tests.server.api.client import ApiClient, code_of
from towline.testing.git_server import Answers
from towline_server.runs.conflicts import MOST_CONTENT_BYTES


def plan(api: ApiClient, **body: Any) -> dict[str, Any]:
    answer = api.ask("POST", f"{api.url}/plans", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"].endswith(f"/plans/{made['id']}")
    return made


def apply(api: ApiClient, made: dict[str, Any]) -> Any:
    return api.ask("POST", f"{api.url}/plans/{made['id']}/apply")


def conflict(api: ApiClient) -> str:
    """A project in conflict; returns the asset's id."""
    api.tenant.commit(**{"a.json": b'{"x": 1, "y": null}'})
    api.pull()
    api.put("a.json", b'{"x": 2, "y": null, "z": null}')
    api.tenant.commit(**{"a.json": b'{"x": 3, "y": 0}'})
    run = api.pull()
    assert run["result_class"] == "conflict"
    asset_id: str = run["report"]["conflicts"][0]["parties"][0]["asset_id"]
    return asset_id


def test_a_plan_is_shown_and_applied_later(api: ApiClient):
    revision = api.tenant.commit(rules__a=b"1")
    made = plan(api)
    assert (made["revision"], made["refused"], made["is_noop"]) == (revision, False, False)
    assert api.tenant.contents(api.project) == {}
    assert api.get(f"{api.url}/plans/{made['id']}") == made
    assert [each["id"] for each in api.get(f"{api.url}/plans")["items"]] == [made["id"]]
    api.tenant.commit(rules__a=b"2")
    applied = apply(api, made)
    assert applied.status_code == 200
    assert applied.json() == {**made["report"], "pull": 1}
    assert api.tenant.contents(api.project) == {"rules/a": b"1"}
    assert code_of(apply(api, made)) == (404, "not_found")


def test_a_plan_is_limited_and_resolved(api: ApiClient):
    asset_id = conflict(api)
    open_ = plan(api)
    assert (open_["refused"], open_["report"]["status"]) == (True, "conflicts")
    assert code_of(apply(api, open_)) == (409, "unresolved_conflicts")
    theirs = plan(api, use_theirs=[asset_id])
    assert [item["path"] for item in theirs["report"]["overwritten"]] == ["a.json"]
    assert apply(api, theirs).json()["status"] == "updated"
    assert plan(api, kind="rule")["is_noop"] is True
    body = {"kind": "none"}
    answer = api.ask("POST", f"{api.url}/plans", json=body)
    assert code_of(answer) == (400, "unknown_kind")


def test_a_plan_goes_stale(api: ApiClient):
    api.tenant.commit(a=b"1")
    made = plan(api)
    api.put("a", b"mine")
    refused = apply(api, made)
    assert code_of(refused) == (409, "stale_plan")
    assert api.tenant.contents(api.project) == {"a": b"mine"}


@pytest.mark.parametrize("what", ["kinds", "content rules", "binding"])
def test_a_plan_of_another_project_of_that_name_goes_stale(api: ApiClient, what: str):
    api.tenant.commit(a=b"1")
    made = plan(api)
    kinds = api.get(api.url)["kinds"]
    changes: dict[str, dict[str, Any]] = {
        "kinds": {"kinds": kinds[:1]},
        "content rules": {"kinds": [{**each, "merge": "never"} for each in kinds]},
        "binding": {
            "binding": {"connection_id": str(api.tenant.connection_id), "ref": "heads/next"}
        },
    }
    assert api.ask("PATCH", api.url, json=changes[what]).status_code == 200
    assert code_of(apply(api, made)) == (409, "stale_plan")
    assert api.tenant.contents(api.project) == {}


@pytest.mark.parametrize(
    ("name", "value"), [("content_merge", "lines"), ("renames", "exact"), ("on_conflict", "ours")]
)
def test_a_plan_by_other_settings_of_the_project_goes_stale(api: ApiClient, name: str, value: str):
    api.tenant.commit(a=b"1")
    by_project, by_request = plan(api), plan(api, **{name: value})
    assert api.ask("PATCH", api.url, json={name: value}).status_code == 200
    assert code_of(apply(api, by_project)) == (409, "stale_plan")
    assert api.tenant.contents(api.project) == {}
    assert apply(api, by_request).status_code == 200


def test_a_plan_is_dropped(api: ApiClient):
    api.tenant.commit(a=b"1")
    url = f"{api.url}/plans/{plan(api)['id']}"
    assert api.ask("DELETE", url).status_code == 204
    assert code_of(api.ask("GET", url)) == (404, "not_found")
    assert code_of(api.ask("DELETE", url)) == (404, "not_found")


def lose_cache(api: ApiClient) -> None:
    """What was fetched is not here, as on another server than the one that fetched it."""
    for cache in api.runner.repositories._cache_dir.glob("*.git"):
        shutil.rmtree(cache)


def test_what_was_fetched_elsewhere_is_fetched_again(api: ApiClient):
    api.tenant.commit(a=b"1")
    made = plan(api)
    lose_cache(api)
    assert apply(api, made).status_code == 200
    assert api.tenant.contents(api.project) == {"a": b"1"}


def test_the_remotes_failures_are_returned(api: ApiClient):
    api.tenant.server.trouble = Answers(status=503)
    answer = api.ask("POST", f"{api.url}/plans", json={})
    assert code_of(answer) == (502, "remote_unavailable")
    assert str(api.tenant.folder) not in answer.text


# --- conflicts --------------------------------------------------------------------------------


def test_a_conflict_is_explained_field_by_field(api: ApiClient):
    asset_id = conflict(api)
    listed = api.get(f"{api.url}/conflicts")
    assert [each["kind"] for each in listed["conflicts"]] == ["content"]
    made = plan(api)
    assert made["report"]["conflicts"] == listed["conflicts"]
    for url in (api.url, f"{api.url}/plans/{made['id']}"):
        view = api.get(f"{url}/conflicts/{asset_id}")
        assert view["conflict"] == listed["conflicts"][0]
        [explained] = view["explanations"]
        assert (explained["asset_id"], explained["format"]) == (asset_id, "json")
        assert explained["fields"] == [
            {"pointer": "/x", "clashes": True, "base": 1, "ours": 2, "theirs": 3},
            {"pointer": "/y", "clashes": False, "base": None, "ours": None, "theirs": 0},
            {"pointer": "/z", "clashes": False, "ours": None},
        ]
        assert {name: side["text"] for name, side in explained["contents"].items()} == {
            "base": '{"x": 1, "y": null}',
            "ours": '{"x": 2, "y": null, "z": null}',
            "theirs": '{"x": 3, "y": 0}',
        }
        assert code_of(api.ask("GET", f"{url}/conflicts/none")) == (404, "not_found")


def test_a_conflict_has_the_contents_that_fit(api: ApiClient):
    half = MOST_CONTENT_BYTES // 2
    api.tenant.commit(a=b"\xff" * half)
    api.pull()
    api.put("a", b"ours")
    api.tenant.commit(a=b"\xfe" * half)
    api.pull()
    [listed] = api.get(f"{api.url}/conflicts")["conflicts"]
    view = api.get(f"{api.url}/conflicts/{listed['parties'][0]['asset_id']}")
    contents = view["explanations"][0]["contents"]
    assert b64decode(contents["base"]["base64"]) == b"\xff" * half
    assert contents["ours"]["text"] == "ours"
    assert contents["theirs"].keys() == {"digest", "size"}


def test_conflicts_and_status_are_the_same_on_every_server(api: ApiClient):
    asset_id = conflict(api)
    made = plan(api)
    urls = [f"{api.url}/{each}" for each in ("status", "conflicts", f"conflicts/{asset_id}")]
    urls.append(f"{api.url}/plans/{made['id']}/conflicts/{asset_id}")
    for url in urls:
        before = api.get(url)
        lose_cache(api)
        assert api.get(url) == before
    lose_cache(api)
    api.tenant.server.trouble = Answers(status=503)
    status = api.get(urls[0])
    assert ([each["state"] for each in status["assets"]], bool(status["problem"])) == (
        ["modified-here"],
        True,
    )


def test_conflicts_are_looked_for_where_they_are_asked_for(api: ApiClient):
    api.tenant.commit(a=b"1")
    api.pull()
    api.put("a", b"ours")
    api.tenant.commit(a=b"theirs")
    url = f"{api.url}/conflicts"
    assert api.get(url)["conflicts"] == []
    fresh = api.get(f"{url}?fetch=true")
    assert [each["path"] for each in fresh["conflicts"]] == ["a"]
    assert api.get(url) == fresh


def test_conflicts_after_a_plan_are_those_of_its_revision(api: ApiClient):
    api.tenant.commit(a=b"1")
    api.pull()
    api.put("a", b"ours")
    api.tenant.commit(a=b"theirs")
    made, url = plan(api), f"{api.url}/conflicts"
    found = api.get(url)
    assert found["conflicts"] == made["report"]["conflicts"] != []
    assert found["revision"] == made["revision"]
    assert api.get(f"{api.url}/status")["revision"] == made["revision"]
    [party] = found["conflicts"][0]["parties"]
    assert api.get(f"{url}/{party['asset_id']}")["conflict"] == found["conflicts"][0]
    later = api.tenant.commit(a=b"later")
    api.pull()
    assert api.get(url)["revision"] == later


def test_an_applied_plan_is_what_status_compares_with(api: ApiClient):
    api.tenant.commit(a=b"1")
    api.pull()
    revision = api.tenant.commit(a=b"2")
    assert apply(api, plan(api)).status_code == 200
    status = api.get(f"{api.url}/status")
    assert (status["base"], status["revision"]) == (revision, revision)
    assert [each["state"] for each in status["assets"]] == ["unchanged"]


def test_where_nothing_was_fetched_nothing_conflicts(api: ApiClient):
    nothing: dict[str, Any] = {"base": None, "revision": None, "conflicts": [], "resolved": []}
    assert api.get(f"{api.url}/conflicts") == nothing


def test_the_status_of_every_asset(api: ApiClient):
    conflict(api)
    api.put("new", b"1")
    status = api.get(f"{api.url}/status")
    assert [(each["path"], each["state"]) for each in status["assets"]] == [
        ("a.json", "conflict"),
        ("new", "local-only"),
    ]
    assert (status["revision"], status["problem"]) == (api.tenant.repository.tip("main"), "")
    api.tenant.commit(**{"a.json": b"{}", "there": b"1"})
    fresh = api.get(f"{api.url}/status?fetch=true")
    assert "added-there" in [each["state"] for each in fresh["assets"]]
    assert api.get(f"{api.url}/status") == fresh


def test_a_project_bound_to_nothing_has_a_status(api: ApiClient):
    api.put("a", b"1")
    api.ask("PATCH", api.url, json={"binding": None})
    status = api.get(f"{api.url}/status")
    assert ([each["state"] for each in status["assets"]], bool(status["problem"])) == (
        ["local-only"],
        True,
    )
    for path in ("conflicts", "status?fetch=true"):
        assert code_of(api.ask("GET", f"{api.url}/{path}")) == (400, "not_associated")


# --- the log and undo -------------------------------------------------------------------------


def test_a_pull_is_taken_back(api: ApiClient):
    for content in (b"1", b"2"):
        api.tenant.commit(a=content)
        api.pull()
    dry = api.ask("POST", f"{api.url}/undo", json={"dry_run": True}).json()
    assert api.tenant.contents(api.project) == {"a": b"2"}
    undone = api.ask("POST", f"{api.url}/undo").json()
    assert undone == {**dry, "pull": 3}
    assert api.tenant.contents(api.project) == {"a": b"1"}
    log = api.get(f"{api.url}/pulls")
    assert [(each["number"], each["kind"], each["undone"]) for each in log["items"]] == [
        (3, "undo", False),
        (2, "pull", True),
        (1, "pull", False),
    ]
    assert log["items"][0]["undoes"] == 2
    one = api.get(f"{api.url}/pulls/3")
    assert one["report"] == {name: undone[name] for name in one["report"]}
    assert code_of(api.ask("GET", f"{api.url}/pulls/4")) == (404, "not_found")
    assert api.pull()["outcome"] == "changed"


def test_later_edits_are_not_trampled(api: ApiClient):
    api.tenant.commit(a=b"1")
    api.pull()
    api.put("a", b"mine")
    assert code_of(api.ask("POST", f"{api.url}/undo")) == (409, "undo_blocked")
    assert api.tenant.contents(api.project) == {"a": b"mine"}
    body = {"pull": 7}
    assert code_of(api.ask("POST", f"{api.url}/undo", json=body)) == (404, "unknown_pull")


def test_a_key_takes_back_one_pull(api: ApiClient):
    for content in (b"1", b"2", b"3"):
        api.tenant.commit(a=content)
        api.pull()
    headers = {"Idempotency-Key": str(uuid4())}
    answers = [api.ask("POST", f"{api.url}/undo", headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert api.tenant.contents(api.project) == {"a": b"2"}
