"""Webhooks of each host: signed, not signed, come again."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import Response

from tests.server.api.client import V1, ApiClient, code_of
from tests.server.api.push_hosts import (
    COMMIT,
    HOSTS,
    MAIN,
    SECRET,
    Host,
    _hmac,
    called,
)
from towline_server.auth.roles import Role
from towline_server.projects.domain import Project, Provider
from towline_server.projects.push_hooks import PushedRef

SIGNING = [name for name in HOSTS if name != "gitlab"]
every_host = pytest.mark.parametrize("host", list(HOSTS.values()), ids=list(HOSTS))


class HookedProject:
    """A project on a connection that takes a host's webhooks."""

    def __init__(self, api: ApiClient, host: Host, ref: str = "heads/main") -> None:
        self.api = api
        with api.services.database.writing() as session:
            connections = api.services.connections(session)
            url = "https://git.example/hooked.git"
            made = connections.create(
                tenant_id=api.tenant.tenant_id, url=url, provider=host.provider
            )
            connections.set_webhook_secret(made.id, SECRET)
        self.connection_id = made.id
        self.project = self.bind(ref)

    def bind(self, ref: str) -> Project:
        return self.api.tenant.project(ref=ref, connection_id=self.connection_id)

    def send(self, body: bytes, headers: dict[str, str], to: UUID | None = None) -> Response:
        url = f"/hooks/{to or self.connection_id}"
        return self.api.client.post(url, content=body, headers=headers)

    def runs(self, project: Project | None = None) -> list[dict[str, Any]]:
        url = f"{V1}/projects/{(project or self.project).id}/runs"
        found: list[dict[str, Any]] = self.api.get(url, key=self.api.tenant_keys[Role.READER])[
            "items"
        ]
        return found


@every_host
def test_a_signed_push_starts_a_run(api: ApiClient, host: Host):
    hooked, body = HookedProject(api, host), called(host)
    other = hooked.bind("heads/other")
    answer = hooked.send(body, host.headers(body))
    assert answer.status_code == 202, answer.text
    [run] = hooked.runs()
    assert answer.json() == {"runs": [run["id"]]}
    assert (run["triggered_by"], run["state"]) == ("webhook", "queued")
    assert run["trigger_ref"] == "d1"
    assert hooked.runs(other) == []


@every_host
def test_a_call_that_comes_again_starts_nothing(api: ApiClient, host: Host):
    hooked, body = HookedProject(api, host), called(host)
    first = hooked.send(body, host.headers(body))
    assert code_of(hooked.send(body, host.headers(body))) == (409, "webhook_replayed")
    assert [run["id"] for run in hooked.runs()] == first.json()["runs"]
    following = called(host) + b" "
    again = hooked.send(following, host.headers(following, delivery="d2"))
    assert again.status_code == 202
    assert len(hooked.runs()) == 2


@pytest.mark.parametrize("name", SIGNING)
def test_what_is_not_signed_makes_no_call_another(api: ApiClient, name: str):
    host = HOSTS[name]
    hooked, body = HookedProject(api, host), called(host)
    hooked.send(body, host.headers(body))
    renamed = hooked.send(body, host.headers(body, delivery="d2"))
    assert code_of(renamed) == (409, "webhook_replayed")


@every_host
def test_there_and_back_and_there_again_are_three_pushes(api: ApiClient, host: Host):
    hooked, there, back = HookedProject(api, host), called(host), called(host) + b" "
    calls = [(there, "d1"), (back, "d2"), (there, "d3")]
    for body, delivery in calls:
        answer = hooked.send(body, host.headers(body, delivery=delivery))
        assert (answer.status_code, len(answer.json()["runs"])) == (202, 1)
    for body, delivery in calls[::2]:
        answer = hooked.send(body, host.headers(body, delivery=delivery))
        assert code_of(answer) == (409, "webhook_replayed")
    assert len(hooked.runs()) == 3


@every_host
def test_a_call_that_comes_again_starts_what_failed(api: ApiClient, host: Host):
    hooked, body = HookedProject(api, host), called(host)
    runs = api.services.runs
    [first] = hooked.send(body, host.headers(body)).json()["runs"]
    for _ in range(2):
        runs.cancel(UUID(first))
        [second] = hooked.send(body, host.headers(body)).json()["runs"]
        assert second != first
        assert code_of(hooked.send(body, host.headers(body))) == (409, "webhook_replayed")
        first = second
    # Where the host's first call failed, and the attempt after it waits, nothing is missing.
    runs.cancel(UUID(first))
    runs.retry(UUID(first))
    assert code_of(hooked.send(body, host.headers(body))) == (409, "webhook_replayed")


@every_host
def test_a_wrong_signature_is_refused(api: ApiClient, host: Host):
    hooked, body = HookedProject(api, host), called(host)
    good = host.headers(body)
    refused = [
        hooked.send(body, host.headers(body, secret="another secret")),
        hooked.send(body, {**good, host.signature: ""}),
        hooked.send(body, {**good, host.signature: good[host.signature][:-1]}),
        hooked.send(body, {**good, host.signature: good[host.signature] + "0"}),
        hooked.send(body, {name: text for name, text in good.items() if name != host.signature}),
        hooked.send(body, {**good, host.signature: "sha1=" + good[host.signature]}),
        hooked.send(body, {**good, host.signature: "sha1=" + _hmac(body, SECRET)}),
        hooked.send(b"not json", {**good, host.signature: "x"}),
    ]
    if host.provider is not Provider.GITLAB:
        refused.append(hooked.send(body + b" ", good))
    assert {code_of(each) for each in refused} == {(401, "unauthenticated")}
    assert hooked.runs() == []


@every_host
def test_two_signatures_are_none(api: ApiClient, host: Host):
    hooked, body = HookedProject(api, host), called(host)
    good = host.headers(body)
    twice = [*good.items(), (host.signature, good[host.signature])]
    url = f"/hooks/{hooked.connection_id}"
    answer = api.client.post(url, content=body, headers=twice)
    assert code_of(answer) == (401, "unauthenticated")


@every_host
def test_another_hosts_signature_does_not_count(api: ApiClient, host: Host):
    others = [each for each in HOSTS.values() if each.signature != host.signature]
    hooked, body = HookedProject(api, host), called(host)
    for other in others:
        headers = {**other.headers(body), host.event[0]: host.event[1]}
        assert code_of(hooked.send(body, headers)) == (401, "unauthenticated")
    assert hooked.runs() == []


@every_host
def test_a_name_given_twice_is_no_name(api: ApiClient, host: Host):
    hooked, body = HookedProject(api, host), called(host)
    good = [*host.headers(body).items()]
    url = f"/hooks/{hooked.connection_id}"
    twice = api.client.post(url, content=body, headers=[*good, host.event])
    assert (twice.status_code, twice.json()) == (202, {"runs": []})
    assert hooked.runs() == []
    api.client.post(url, content=body, headers=[*good, (host.delivery, "d2")])
    assert [run["trigger_ref"] for run in hooked.runs()] == [None]


def test_a_name_is_stored_as_far_as_it_can_be_shown(api: ApiClient):
    host = HOSTS["github"]
    hooked, body = HookedProject(api, host), called(host)
    named = {name.encode(): text.encode() for name, text in host.headers(body).items()}
    url = f"/hooks/{hooked.connection_id}"
    unfit = {**named, host.delivery.encode(): b"a\x01\x7fb" + b"d" * 300}
    assert api.client.post(url, content=body, headers=unfit).status_code == 202
    assert [run["trigger_ref"] for run in hooked.runs()] == ["ab" + "d" * 253]


def test_no_answer_shows_which_connections_there_are(api: ApiClient):
    host = HOSTS["github"]
    hooked, body = HookedProject(api, host), called(host)
    wrong = host.headers(body, secret="another secret")
    unset = api.tenant.connection_id
    answers = [hooked.send(body, wrong, to) for to in (None, unset, uuid4())]
    # Nor does an empty secret open anything.
    guesses = ("", "-")
    empty = [
        hooked.send(body, host.headers(body, secret=guess), to)
        for guess in guesses
        for to in (unset, uuid4())
    ]
    assert len({_but_its_id(each) for each in [*answers, *empty]}) == 1
    assert code_of(answers[0]) == (401, "unauthenticated")


def _but_its_id(answer: Response) -> str:
    return json.dumps({**answer.json(), "request_id": ""}) + str(sorted(answer.headers))


def test_a_host_that_signs_nothing_takes_no_part(api: ApiClient):
    host = HOSTS["github"]
    hooked = HookedProject(api, Host(Provider.AZURE_DEVOPS, *list(vars(host).values())[1:]))
    body = called(host)
    assert code_of(hooked.send(body, host.headers(body))) == (401, "unauthenticated")


@every_host
def test_a_deleted_ref_and_one_that_no_project_follows_start_nothing(api: ApiClient, host: Host):
    hooked = HookedProject(api, host)
    for body in (called(host, after="0" * 40), called(host, ref="refs/heads/other")):
        answer = hooked.send(body, host.headers(body))
        assert (answer.status_code, answer.json()) == (202, {"runs": []})
    assert hooked.runs() == []


@every_host
def test_other_events_start_nothing(api: ApiClient, host: Host):
    hooked, body = HookedProject(api, host), b"{}"
    answer = hooked.send(body, {**host.headers(body), host.event[0]: "ping"})
    assert (answer.status_code, answer.json()) == (202, {"runs": []})


@every_host
def test_what_is_signed_and_no_push_is_refused(api: ApiClient, host: Host):
    hooked = HookedProject(api, host)
    for body in (b"", b"{", b"[]", b"{}", b'{"ref": 1, "after": "1"}', b"\xff", b"[" * 100_000):
        assert code_of(hooked.send(body, host.headers(body))) == (400, "invalid_value")


@every_host
def test_a_push_may_be_as_large_as_hosts_send_it(api: ApiClient, host: Host):
    hooked, allowed = HookedProject(api, host), api.services.settings.hook_body_bytes
    body = _padded(called(host), allowed)
    assert hooked.send(body, host.headers(body)).status_code == 202
    assert len(hooked.runs()) == 1
    assert code_of(hooked.send(body + b" ", host.headers(body))) == (413, "body_too_large")
    chunks = iter([body, b" "])
    url = f"/hooks/{hooked.connection_id}"
    answer = api.client.post(url, content=chunks, headers=host.headers(body))
    assert code_of(answer) == (413, "body_too_large")


def _padded(body: bytes, size: int) -> bytes:
    """The same push, with commits of so many bytes in all."""
    commit = b'{"id": "' + b"1" * 40 + b'", "added": ["' + b"a" * 1000 + b'"]}'
    begin, end = b'{"commits": [' + commit, b"], " + body[1:]
    number = (size - len(begin) - len(end)) // (len(commit) + 1)
    found = begin + (b"," + commit) * number + end
    return found + b" " * (size - len(found))


@pytest.mark.parametrize(
    "body",
    [
        b'{"commits":[' + b"[]," * 1_000_000 + b'1],"after":"1","ref":"refs/heads/main"}',
        b'{"changes":[' + b"{}," * 100_000 + b"{}]}",
        b'{"ref":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"after":"1","ref":"refs/heads/main"} x',
    ],
)
def test_a_body_that_is_made_to_cost_is_refused(api: ApiClient, body: bytes):
    host = HOSTS["github"]
    hooked = HookedProject(api, host)
    assert code_of(hooked.send(body, host.headers(body))) == (400, "invalid_value")


def test_what_began_half_is_finished(api: ApiClient):
    host = HOSTS["github"]
    hooked, body = HookedProject(api, host), called(host)
    hooked.send(body, host.headers(body))
    late = hooked.bind("heads/main")
    again = hooked.send(body, host.headers(body))
    assert (again.status_code, len(hooked.runs()), len(hooked.runs(late))) == (202, 1, 1)


@pytest.mark.parametrize(
    ("ref", "pushed", "default", "follows"),
    [
        ("heads/main", MAIN, None, True),
        ("main", MAIN, None, True),
        (MAIN, MAIN, None, True),
        ("main", "refs/tags/main", None, True),
        ("tags/main", MAIN, None, False),
        ("heads/Main", MAIN, None, False),
        ("heads/feature/main", MAIN, None, False),
        ("HEAD", MAIN, "main", True),
        ("HEAD", MAIN, "trunk", False),
        ("HEAD", MAIN, None, True),
        ("HEAD", "refs/tags/v1", None, False),
        (COMMIT, MAIN, None, False),
    ],
)
def test_which_bindings_follow_a_ref(ref: str, pushed: str, default: str | None, follows: bool):
    assert PushedRef(name=pushed, default_branch=default).is_meant_by(ref) is follows
