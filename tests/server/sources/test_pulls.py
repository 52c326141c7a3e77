"""Pulls from sources, as from any other remote."""

from __future__ import annotations

import pytest

from tests.server.sources.list_server import Answer, ListServer
from tests.server.sources.pulling import SYNCS, V1, Puller

TEXTS = {"extension": "", "content_field": "text"}


def serve(server: ListServer, **texts: str) -> None:
    items = [{"id": name, "text": text} for name, text in texts.items()]
    server.answers["/rules"] = Answer(items)


def bind(puller: Puller, server: ListServer, **changes) -> str:
    body = {"url": f"{server.url}/rules", "provider": "http_api", "config": TEXTS}
    return puller.bind(**{**body, **changes})


def test_a_source_is_pulled_as_a_repository_is(puller: Puller, server: ListServer):
    serve(server, a="1\n", b="1\n")
    bind(puller, server)
    assert puller.pull()["outcome"] == "changed"
    assert puller.contents() == {"a": b"1\n", "b": b"1\n"}
    assert puller.pull()["outcome"] == "unchanged"
    # Both sides change one, and the source drops another.
    puller.edit("a", b"ours\n")
    serve(server, a="theirs\n", c="new\n")
    refused = puller.pull()
    assert refused["reason_code"] == "unresolved_conflicts"
    [conflict] = puller.ask("GET", f"{puller.project}/conflicts")["conflicts"]
    asset = conflict["parties"][0]["asset_id"]
    url = f"{puller.project}/conflicts/{asset}/resolution"
    puller.ask("PUT", url, 200, {"side": "theirs"})
    done = puller.pull()
    assert done["outcome"] == "changed"
    assert "rewritten" not in str(done["report"]["notes"])
    assert puller.contents() == {"a": b"theirs\n", "c": b"new\n"}
    puller.ask("POST", f"{puller.project}/undo")
    assert puller.contents() == {"a": b"ours\n", "b": b"1\n"}


def test_a_source_that_lists_nothing_is_refused(puller: Puller, server: ListServer):
    serve(server, a="1\n")
    bind(puller, server)
    puller.pull()
    serve(server)
    assert puller.pull()["error"]["code"] == "empty_remote"
    assert puller.contents() == {"a": b"1\n"}


def test_a_sync_pulls_from_a_source(puller: Puller, server: ListServer):
    serve(server, a="1\n")
    connection = bind(puller, server)
    ended = puller.pull_by_sync(connection)
    assert ended["providerKey"] == "http_api"
    assert (ended["status"], ended["resultClass"]) == ("succeeded", "success")
    assert puller.contents() == {"a": b"1\n"}
    body = {"connectionId": connection, "name": "rules", "executionBackend": "external"}
    [detail] = puller.ask("POST", SYNCS, 422, body)["detail"]
    assert detail["loc"] == ["body", "executionBackend"]


def test_an_external_executor_is_not_given_a_source(puller: Puller, server: ListServer):
    bind(puller, server)
    refused = puller.ask("POST", f"{puller.project}/runs", 400, {"backend": "external"})
    assert refused["field"] == "backend"


def test_secrets_are_in_no_answer_and_no_row(puller: Puller, server: ListServer):
    secret = "s3cr3t-of-mine"
    made = bind(puller, server, credential={"password": secret})
    server.answers["/rules"] = Answer(status=401)
    ended = puller.pull()
    assert server.headers[-1]["Authorization"] == f"Bearer {secret}"
    assert ended["error"]["code"] == "authentication_failed"
    shown = puller.ask("GET", f"{V1}/connections/{made}")
    assert shown["has_credential"]
    assert secret not in f"{ended}{shown}"
    database = puller.services.settings.database.removeprefix("sqlite:///")
    for name in (database, f"{database}-wal"):
        with open(name, "rb") as file:
            assert secret.encode() not in file.read()
    # At another port it is another's.
    moved = {"url": "http://127.0.0.1:1/rules"}
    assert not puller.ask("PATCH", f"{V1}/connections/{made}", 200, moved)["has_credential"]


def test_settings_of_a_source_are_changed_whole(puller: Puller, server: ListServer):
    serve(server, a="1\n")
    made = bind(puller, server)
    url = f"{V1}/connections/{made}"
    assert puller.ask("PATCH", url, 200, {"name": "x"})["config"]["content_field"] == "text"
    puller.pull()
    puller.ask("PATCH", url, 200, {"config": {}})
    puller.pull()
    assert set(puller.contents()) == {"a.json"}
    refused = puller.ask("PATCH", url, 400, {"config": {"bucket": "x"}})
    assert refused["field"] == "config.bucket"


@pytest.mark.parametrize(
    ("status", "field", "body"),
    [
        (400, "url", {"url": "ssh://host/x", "provider": "http_api"}),
        (400, "url", {"url": "https://host/x", "provider": "http_api"}),
        (400, "url", {"url": "sftp://host/x", "provider": "git"}),
        (422, "config", {"url": "http://host/x", "provider": "git", "config": {}}),
        (422, "items", {"url": "http://host/x", "provider": "http_api", "config": {"items": "x"}}),
    ],
)
def test_connections_that_do_not_fit_are_refused(puller: Puller, status: int, field: str, body):
    assert field in str(puller.ask("POST", f"{V1}/connections", status, body))
