"""Lists of objects over HTTP, as snapshots."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.sources.list_server import Answer, ListServer, list_server
from tests.server.sources.reading import Reader
from towline.errors import (
    AuthenticationFailed,
    EmptyRepository,
    InvalidTree,
    InvalidValue,
    LimitExceeded,
    PermissionDenied,
    RateLimited,
    RedirectRefused,
    RefNotFound,
    RemoteError,
    RemoteRefused,
    RemoteUnavailable,
)
from towline.limits import Limits
from towline.remotes.credentials import Credential
from towline_server.errors import AddressRefused


@pytest.fixture
def server() -> Iterator[ListServer]:
    with list_server() as served:
        yield served


@pytest.fixture
def reader(server: ListServer, tmp_path: Path) -> Reader:
    return Reader("http_api", f"{server.url}/rules", tmp_path / "c.git")


def of(server: ListServer, body: object, where: str = "/rules", **answer) -> None:
    server.answers[where] = Answer(body, **answer)


def test_each_object_is_a_file(server: ListServer, reader: Reader):
    text = b'[{"name": "x", "id": 2, "of": {"b": [], "a": [1.10, 2e400]}}, {"id": "f/y"}]'
    of(server, text)
    assert reader.files() == {
        "2.json": b'{\n  "id": 2,\n  "name": "x",\n  "of": {\n    "a": [\n      1.10,\n'
        b'      2E+400\n    ],\n    "b": []\n  }\n}\n',
        "f/y.json": b'{\n  "id": "f/y"\n}\n',
    }


def test_the_same_tree_is_no_commit(server: ListServer, reader: Reader):
    of(server, [{"id": 1, "a": 1, "b": 2}])
    first = reader.fetch()
    of(server, b'[{"b":2,"a":1,"id":1}]')
    assert reader.fetch() == first
    of(server, [])
    assert reader.files() == {}
    assert reader.git("rev-parse", f"{reader.fetch()}^").strip().decode() == first
    assert reader.git("fsck", "--strict") == b""


def test_pages(server: ListServer, reader: Reader):
    of(server, {"data": {"items": [{"key": "a"}]}, "next": "c/2"}, "/rules?size=1")
    of(server, {"data": {"items": [{"key": "b"}]}, "next": None}, "/rules?size=1&after=c%2F2")
    reader.config = {
        "items": "/data/items",
        "id_field": "key",
        "extension": "",
        "paging": "cursor",
        "next_field": "/next",
        "cursor_parameter": "after",
        "parameters": {"size": "1"},
    }
    assert set(reader.files()) == {"a", "b"}


def test_pages_of_links(server: ListServer, reader: Reader):
    of(server, b'{"id": 1}\n\n{"id": 2}', headers={"Link": '</more?p=2>; rel="next"'})
    of(server, b'{"id": 3}\n', "/more?p=2")
    reader.config = {"format": "ndjson", "paging": "link"}
    assert set(reader.files()) == {"1.json", "2.json", "3.json"}


def test_pages_that_never_end(server: ListServer, reader: Reader):
    of(server, {"items": [], "next": "/rules"})
    reader.config = {"items": "/items", "paging": "next_url", "next_field": "/next"}
    with pytest.raises(RemoteRefused, match="never end"):
        reader.fetch()


def test_a_list_that_fails_midway_changes_nothing(server: ListServer, reader: Reader):
    of(server, [{"id": 1}])
    first = reader.fetch()
    of(server, {"items": [{"id": 2}], "next": "/rules?p=2"})
    reader.config = {"items": "/items", "paging": "next_url", "next_field": "/next"}
    for answer in (Answer(status=500), Answer(b"[", cut=True), Answer(b"no json")):
        server.answers["/rules?p=2"] = answer
        with pytest.raises(RemoteError):
            reader.fetch()
    reader.config, server.answers["/rules"] = {}, Answer([{"id": 1}])
    assert reader.fetch() == first


def test_only_contents_that_changed_are_read(server: ListServer, reader: Reader):
    reader.config = {
        "content_url_field": "at",
        "cursor_field": "updated_at",
        "extension": ".md",
    }
    items = [{"id": name, "at": f"/files/{name}", "updated_at": "1"} for name in "abc"]
    of(server, items)
    for name in "abc":
        of(server, name.encode(), f"/files/{name}")
    assert reader.files() == {"a.md": b"a", "b.md": b"b", "c.md": b"c"}
    server.requests.clear()
    items[1]["updated_at"] = "2"
    of(server, items)
    of(server, b"B", "/files/b")
    assert reader.files() == {"a.md": b"a", "b.md": b"B", "c.md": b"c"}
    assert server.requests == ["/rules", "/files/b"]
    # Read as something else, all of it is new.
    server.requests.clear()
    reader.config = {**reader.config, "extension": ".txt"}
    assert reader.files()["a.txt"] == b"a"
    assert len(server.requests) == 4


def test_a_cache_that_lost_something_is_filled_again(server: ListServer, reader: Reader):
    of(server, [{"id": "a", "at": "/a", "v": 1}])
    of(server, b"1", "/a")
    reader.config = {"content_url_field": "at", "cursor_field": "v"}
    for what in ("", "^{tree}", ":a.json"):
        lost = reader.git("rev-parse", f"{reader.fetch()}{what}").decode().strip()
        (reader.cache / "objects" / lost[:2] / lost[2:]).unlink()
        assert reader.files() == {"a.json": b"1"}
        assert reader.git("fsck", "--strict", "--no-dangling") == b""


def test_content_of_a_field(server: ListServer, reader: Reader):
    of(server, [{"id": "a", "text": "é\n"}, {"id": "b", "text": {"y": 1}}])
    reader.config = {"content_field": "text"}
    assert reader.files() == {"a.json": "é\n".encode(), "b.json": b'{\n  "y": 1\n}\n'}
    of(server, [{"id": "a"}])
    with pytest.raises(InvalidTree, match="object 1 of page 1 has no 'text'"):
        reader.fetch()


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        (["../x"], r"'\.\./x\.json' has the name '\.\.'"),
        ([".git/config"], "reserved name '.git'"),
        (["/etc/x"], "is absolute"),
        (["a", "a"], r"'a\.json' is listed twice"),
        (["a.json/b", "a"], r"'a\.json' is a file and a folder"),
        ([None], "object 1 of page 1 has no 'id'"),
    ],
)
def test_names_are_judged(server: ListServer, reader: Reader, ids: list[object], problem: str):
    of(server, [{"id": each} for each in ids])
    with pytest.raises(InvalidTree, match=problem):
        reader.fetch()


@pytest.mark.parametrize("limit", ["tree_entries", "asset_bytes", "pack_bytes", "depth"])
def test_limits(server: ListServer, reader: Reader, limit: str):
    of(server, [{"id": f"a/b/{number}", "text": "x" * 100} for number in range(3)])
    reader.limits = Limits(**{limit: 2})
    with pytest.raises(LimitExceeded) as exceeded:
        reader.fetch()
    assert exceeded.value.limit == limit


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(status=401), AuthenticationFailed),
        (Answer(status=403), PermissionDenied),
        (Answer(status=404), RemoteRefused),
        (Answer(status=429, headers={"Retry-After": "7"}), RateLimited),
        (Answer(status=503), RemoteUnavailable),
        (Answer({"no": "array"}), RemoteRefused),
        (Answer(b"[" * 100_000), RemoteRefused),
        (Answer(status=302, headers={"Location": "http://localhost/rules"}), RedirectRefused),
        (Answer(status=302, headers={"Location": "/rules"}), RedirectRefused),
    ],
)
def test_failures(server: ListServer, reader: Reader, answer: Answer, kind: type[RemoteError]):
    server.answers["/rules"] = answer
    with pytest.raises(RemoteError) as failed:
        reader.fetch()
    assert type(failed.value) is kind
    if isinstance(failed.value, RateLimited):
        assert failed.value.retry_after == 7


def test_a_content_of_another_host_is_not_read(server: ListServer, reader: Reader):
    of(server, [{"id": "a", "at": "http://localhost/secret"}])
    reader.config = {"content_url_field": "at"}
    with pytest.raises(RedirectRefused):
        reader.fetch()


def test_the_credential_goes_to_the_host_and_into_no_message(server: ListServer, reader: Reader):
    reader.credential = Credential("x-access-token", "s3cr3t-of-mine")
    of(server, [])
    reader.fetch()
    assert server.headers[-1]["Authorization"] == "Bearer s3cr3t-of-mine"
    reader.config = {"token_header": "X-API-Key"}
    reader.fetch()
    assert server.headers[-1]["X-API-Key"] == "s3cr3t-of-mine"
    of(server, b"", status=401)
    with pytest.raises(AuthenticationFailed) as refused:
        reader.fetch()
    assert refused.value.refused
    assert "s3cr3t" not in json.dumps(refused.value.data())


def test_its_only_ref_is_main(server: ListServer, reader: Reader):
    of(server, [{"id": 1}])
    revision = reader.fetch("main")
    assert reader.fetch(revision) == reader.fetch("HEAD") == revision
    assert len(server.requests) == 2
    with pytest.raises(RefNotFound) as missing:
        reader.fetch("heads/live")
    assert missing.value.default == "main"
    with pytest.raises(RefNotFound) as unknown:
        reader.fetch("1" * 40)
    assert not isinstance(unknown.value, EmptyRepository)


def test_a_private_address_is_refused_before_anything_is_sent(server: ListServer, reader: Reader):
    reader.networks = ()
    with pytest.raises(AddressRefused):
        reader.fetch()
    assert server.requests == []


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"nothing": 1}, "config.nothing"),
        ({"items": "data"}, "config.items"),
        ({"parameters": {"api_key": "x"}}, "config.parameters"),
        ({"paging": "cursor"}, "config"),
        ({"paging": "cursor", "next_field": "/n", "format": "ndjson"}, "config"),
        ({"content_field": "a", "content_url_field": "b"}, "config"),
    ],
)
def test_settings_are_judged(reader: Reader, config: dict[str, object], field: str):
    reader.config = config
    with pytest.raises(InvalidValue) as refused:
        reader.fetch()
    assert refused.value.field == field
