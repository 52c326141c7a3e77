"""Local edits through the native API, and their preconditions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from tests.server.api.client import ApiClient, code_of
from towline.model import Digest
from towline_server.api import DIALECT
from towline_server.app import create_app
from towline_server.auth.roles import Role
from towline_server.settings import Settings


def test_an_asset_is_written_read_moved_and_deleted(api: ApiClient):
    asset = api.put("rules/a.json", b'{"a": 1}').json()
    digest = Digest.of(b'{"a": 1}')
    assert (asset["kind"], asset["digest"], asset["size"]) == ("rule", digest, 8)
    assert (asset["base"], asset["modified"]) == (None, True)
    url = f"{api.url}/assets/{asset['id']}"
    assert api.get(url) == asset
    for content in (f"{url}/content", f"{api.url}/content/rules/a.json"):
        read = api.ask("GET", content)
        assert (read.content, read.headers["etag"]) == (b'{"a": 1}', f'"{digest}"')
        assert read.headers["x-content-type-options"] == "nosniff"
        again = api.ask("GET", content, headers={"If-None-Match": read.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    moved = api.ask("POST", f"{url}/move", json={"path": "tasks/b"}).json()
    assert (moved["path"], moved["kind"], moved["digest"]) == ("tasks/b", "task", digest)
    url = f"{api.url}/assets/{moved['id']}"
    assert api.ask("DELETE", url).status_code == 204
    assert code_of(api.ask("GET", url)) == (404, "not_found")
    assert code_of(api.ask("DELETE", url)) == (404, "not_found")


def test_a_pulled_asset_keeps_its_id(api: ApiClient):
    api.tenant.commit(a=b"1")
    api.pull()
    asset = api.get(f"{api.url}/assets")["items"][0]
    assert (asset["modified"], asset["base"]["path"]) == (False, "a")
    moved = api.ask("POST", f"{api.url}/assets/{asset['id']}/move", json={"path": "b"}).json()
    assert (moved["id"], moved["modified"], moved["base"]) == (asset["id"], True, asset["base"])


def test_a_pulled_asset_that_was_deleted_is_not_listed(api: ApiClient):
    api.tenant.commit(a=b"1", b=b"1")
    api.pull()
    gone, stays = api.get(f"{api.url}/assets")["items"]
    url = f"{api.url}/assets/{gone['id']}"
    assert api.ask("DELETE", url).status_code == 204
    listed = api.get(f"{api.url}/assets")
    assert (listed["items"], listed["total"], listed["has_next"]) == ([stays], 1, False)
    for each in (url, f"{url}/content", f"{api.url}/content/a"):
        assert code_of(api.ask("GET", each)) == (404, "not_found")


def test_the_first_write_is_201_and_says_where(api: ApiClient):
    first, second = (api.put("a", content) for content in (b"1", b"2"))
    assert (first.status_code, second.status_code) == (201, 200)
    assert api.get(first.headers["location"]) == second.json()
    assert "location" not in second.headers


def test_the_executable_bit_stays_as_it_is(api: ApiClient):
    assert api.put("a", b"1").json()["executable"] is False
    assert api.put("a?executable=true", b"1").json()["executable"] is True
    assert api.put("a", b"2").json()["executable"] is True


def test_lists_are_filtered_and_paged(api: ApiClient):
    for path in ("rules/a", "rules/b", "tasks/a", "Rules"):
        api.put(path, b"")
    url = f"{api.url}/assets"

    def paths(query: str) -> list[str]:
        return [each["path"] for each in api.get(f"{url}?{query}")["items"]]

    assert paths("") == ["Rules", "rules/a", "rules/b", "tasks/a"]
    assert paths("kind=rule") == ["rules/a", "rules/b"]
    assert paths("prefix=rules/") == ["rules/a", "rules/b"]
    page = api.get(f"{url}?limit=2&offset=1")
    assert ([each["path"] for each in page["items"]], page["total"], page["has_next"]) == (
        ["rules/a", "rules/b"],
        4,
        True,
    )
    assert api.get(f"{url}?limit=2&offset=2")["has_next"] is False


@pytest.mark.parametrize("path", ["", "a//b", ".git/config", "a%5Cb", "a%00", "b/..%2F..%2Fc"])
def test_hostile_paths_are_refused(api: ApiClient, path: str):
    assert code_of(api.put(path, b"")) == (400, "invalid_path")
    assert code_of(api.ask("GET", f"{api.url}/content/{path}")) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "at"), [("PUT", "content/%ff"), ("GET", "content/%C3"), ("GET", "assets?prefix=%ff")]
)
def test_addresses_are_utf8(api: ApiClient, method: str, at: str):
    assert code_of(api.ask(method, f"{api.url}/{at}")) == (400, "invalid_value")
    assert api.tenant.contents(api.project) == {}


def test_paths_are_as_long_as_a_pull_takes(api: ApiClient):
    fits = f"{'a/' * 384}{'é' * 127}"
    made = api.put(fits, b"")
    assert made.status_code == 201, made.text
    url = f"{api.url}/assets/{made.json()['id']}/move"
    for path in ("é" * 128, "a/" * 512 + "b"):
        assert code_of(api.put(path, b"")) == (400, "invalid_path")
        assert code_of(api.ask("POST", url, json={"path": path})) in (
            (400, "invalid_path"),
            (422, "invalid_request"),
        )
    assert list(api.tenant.contents(api.project)) == [fits]


def test_a_caller_does_not_overwrite_what_it_has_not_seen(api: ApiClient):
    new, stale = {"If-None-Match": "*"}, {"If-Match": f'"{Digest.of(b"other")}"'}
    made = api.put("a", b"1", headers=new)
    assert made.status_code == 201
    seen = {"If-Match": made.headers["etag"]}
    url = f"{api.url}/assets/{made.json()['id']}"
    for refused in (
        api.put("a", b"2", headers=new),
        api.put("a", b"2", headers=stale),
        api.put("b", b"2", headers=stale),
        api.ask("DELETE", url, headers=stale),
        api.ask("POST", f"{url}/move", headers=stale, json={"path": "b"}),
    ):
        assert code_of(refused) == (412, "asset_changed")
    assert api.tenant.contents(api.project) == {"a": b"1"}
    moved = api.ask("POST", f"{url}/move", headers=seen, json={"path": "b"})
    assert moved.status_code == 200
    url = f"{api.url}/assets/{moved.json()['id']}"
    assert api.ask("DELETE", url, headers={"If-Match": "*"}).status_code == 204


@pytest.mark.parametrize("tag", ["x", '"x"', f'W/"{Digest.of(b"1")}"', str(Digest.of(b"1")), ""])
def test_a_tag_that_is_no_digest_fits_nothing(api: ApiClient, tag: str):
    made, headers = api.put("a", b"1"), {"If-Match": tag}
    url = f"{api.url}/assets/{made.json()['id']}"
    for refused in (
        api.put("a", b"2", headers=headers),
        api.put("b", b"2", headers=headers),
        api.ask("DELETE", url, headers=headers),
        api.ask("POST", f"{url}/move", headers=headers, json={"path": "b"}),
    ):
        assert code_of(refused) == (412, "asset_changed")
    assert api.tenant.contents(api.project) == {"a": b"1"}


def test_one_of_several_tags_is_enough_and_a_star_fits_whatever_is_there(api: ApiClient):
    assert code_of(api.put("a", b"1", headers={"If-Match": "*"})) == (412, "asset_changed")
    api.put("a", b"1")
    several = f'"x", "{Digest.of(b"1")}"'
    for tag in (several, "*"):
        assert api.put("a", b"2", headers={"If-Match": tag}).status_code == 200


def test_if_none_match_takes_a_star_alone(api: ApiClient):
    for headers in ({"If-None-Match": '"x"'}, {"If-None-Match": "*", "If-Match": "*"}):
        assert code_of(api.put("a", b"1", headers=headers)) == (400, "invalid_value")


def test_too_large_an_asset_is_refused(api: ApiClient):
    allowed = api.services.settings.engine_limits.asset_bytes
    assert api.put("a", b"x" * allowed).status_code == 201
    assert api.put("a", b"x" * (allowed + 1)).status_code == 413


def test_an_asset_that_no_pull_would_take_is_refused(api: ApiClient, settings: Settings):
    small = settings.model_copy(update={"limits": {"asset_bytes": 10}})
    services = replace(api.services, settings=small)
    with TestClient(create_app(small, services=services, dialects=[DIALECT])) as client:
        api.client = client
        assert api.put("a", b"x" * 10).status_code == 201
        assert code_of(api.put("a", b"x" * 11)) == (400, "limit_exceeded")


def test_what_is_in_the_way_stays(api: ApiClient):
    api.put("a", b"1")
    assert code_of(api.put("a/b", b"2")) == (400, "invalid_path")


def test_a_move_is_made_once(api: ApiClient):
    asset = api.put("a", b"1").json()
    url = f"{api.url}/assets/{asset['id']}/move"
    headers = {"Idempotency-Key": "once"}
    answers = [api.ask("POST", url, headers=headers, json={"path": "b"}) for _ in range(2)]
    assert [each.status_code for each in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    other = api.ask("POST", url, key=api.keys[Role.WRITER], headers=headers, json={"path": "b"})
    assert code_of(other) == (404, "not_found")
