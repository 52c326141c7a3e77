"""What pulls changed, as a list and as server-sent events."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from tests.server.api.client import ApiClient, code_of
from towline_server.api import asset_events
from towline_server.projects.asset_events import EventFilter, want_events
from towline_server.runs.event_followers import EventFollowers


@pytest.fixture
def appended(api: ApiClient) -> ApiClient:
    """A project with five events, by two pulls."""
    with api.services.database.writing() as session:
        want_events(session, api.project.id, uuid4(), ["file", "rule"])
    api.tenant.commit(a=b"1", b=b"moved\n", rules__r=b"1")
    api.pull()
    api.tenant.commit(a=b"2", c=b"moved\n", rules__r=b"1")
    api.pull()
    return api


def shown(page: Any) -> list[tuple[int, str, str]]:
    return [(each["sequence"], each["change"], each["path"]) for each in page["items"]]


def test_events_are_listed_in_their_order_a_page_at_a_time(appended: ApiClient):
    first = appended.get(f"{appended.url}/events", params={"limit": 3})
    assert shown(first) == [(1, "created", "a"), (2, "created", "b"), (3, "created", "rules/r")]
    assert (first["cursor"], first["has_next"], first["oldest"]) == (3, True, 1)
    rest = appended.get(f"{appended.url}/events", params={"cursor": first["cursor"]})
    assert shown(rest) == [(4, "updated", "a"), (5, "updated", "c")]
    assert (rest["cursor"], rest["has_next"]) == (5, False)
    moved, [run, *_] = rest["items"][1], appended.get(f"{appended.url}/runs")["items"]
    assert (moved["renamed_from"], moved["before"]["path"]) == ("b", "b")
    assert moved["before"]["digest"] == moved["after"]["digest"]
    assert (moved["pull"], moved["run_id"]) == (2, run["id"])


@pytest.mark.parametrize(
    ("query", "sequences"),
    [
        ({"kind": "rule"}, [3]),
        ({"path": "a"}, [1, 4]),
        ({"path": "b"}, [2, 5]),
        ({"path": "c", "kind": "file"}, [5]),
        ({"since": "2000-01-01T00:00:00Z", "cursor": 4}, [5]),
        ({"since": "9999-12-31T23:59:59-23:59"}, []),
        ({"since": "0001-01-01T00:00:00+23:59", "limit": 1}, [1]),
    ],
)
def test_events_are_found(appended: ApiClient, query: Any, sequences: list[int]):
    page = appended.get(f"{appended.url}/events", params=query)
    assert [each["sequence"] for each in page["items"]] == sequences
    if not page["has_next"]:
        assert page["cursor"] == 5, "what does not fit was looked at, too"


@pytest.mark.parametrize("since", ["0", "1", "2026-01-05", "2026-01-05T09:00:00", "now"])
def test_a_time_without_a_day_or_a_zone_is_refused(appended: ApiClient, since: str):
    answer = appended.ask("GET", f"{appended.url}/events", params={"since": since})
    assert answer.status_code == 422
    assert "since" in answer.text


def test_the_contents_before_and_after_are_read(appended: ApiClient):
    for side, content in (("before", b"1"), ("after", b"2")):
        answer = appended.ask("GET", f"{appended.url}/events/4/{side}")
        assert (answer.status_code, answer.content) == (200, content)
        event = appended.get(f"{appended.url}/events", params={"cursor": 3})["items"][0]
        assert answer.headers["etag"] == f'"{event[side]["digest"]}"'
    for none in ("1/before", "6/after"):
        assert code_of(appended.ask("GET", f"{appended.url}/events/{none}"))[0] == 404


# --- streams ------------------------------------------------------------------------------------


def parsed(text: str) -> list[tuple[str, str, Any]]:
    found = []
    for block in text.strip().split("\n\n"):
        if not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            found.append((fields["event"], fields["id"], json.loads(fields["data"])))
    return found


def test_a_stream_sends_what_was_appended_and_what_is_until_the_server_stops(
    appended: ApiClient, monkeypatch: pytest.MonkeyPatch
):
    rendered, texts, render = threading.Semaphore(0), [], asset_events._event

    def counted(event: Any) -> str:
        rendered.release()
        return render(event)

    def listen() -> None:
        headers = {"Accept": "text/event-stream", "Last-Event-ID": "3"}
        answer = appended.ask("GET", f"{appended.url}/events", headers=headers)
        assert answer.headers["content-type"].startswith("text/event-stream")
        texts.append(answer.text)

    monkeypatch.setattr(asset_events, "_event", counted)
    thread = threading.Thread(target=listen)
    thread.start()
    for _ in range(2):
        rendered.acquire()
    appended.tenant.commit(a=b"3", c=b"moved\n", rules__r=b"1")
    appended.pull()
    rendered.acquire()
    appended.services.event_followers.close()
    thread.join()
    listed = appended.get(f"{appended.url}/events", params={"cursor": 3})["items"]
    assert parsed(texts[0]) == [("change", str(each["sequence"]), each) for each in listed]
    assert len(listed) == 3


async def some(events: AsyncIterator[str], number: int) -> list[int]:
    """The sequences of the next events of a stream, which then ends."""
    found: list[int] = []
    while len(found) < number:
        found += [int(identity) for _, identity, _ in parsed(await anext(events))]
    await events.aclose()  # type: ignore[attr-defined] # it is a generator
    return found


def test_a_stream_goes_on_behind_any_event_and_shows_what_fits(appended: ApiClient):
    followers, project_id = appended.services.event_followers, appended.project.id

    def follow(after: int, number: int, path: str | None = None) -> list[int]:
        stream = asset_events._events(followers, project_id, EventFilter(path=path), after)
        return asyncio.run(some(stream, number))

    for after in range(5):
        assert follow(after, 5 - after) == list(range(after + 1, 6))
    assert follow(0, 2, path="b") == [2, 5]


class LookedFollowers(EventFollowers):
    """Followers whose test looks for them."""

    def _start(self) -> None:
        pass


def test_one_look_reads_for_all_and_a_deleted_project_ends_its_streams(appended: ApiClient):
    database = appended.services.database
    followers = LookedFollowers(database, appended.runner.changes)

    async def follow() -> None:
        with (
            followers.following(appended.project.id) as one,
            followers.following(appended.project.id) as two,
        ):
            followers.look()
            pages = [await each.next(0, 60) for each in (one, two)]
            assert pages[0] is pages[1]
            assert pages[0] is not None
            assert (pages[0].after, pages[0].last) == (5, 5)
            await asyncio.to_thread(pull_again)
            followers.look()
            pages = [await each.next(5, 60) for each in (one, two)]
            assert pages[0] is pages[1]
            assert pages[0] is not None
            assert [event.sequence for event in pages[0].events] == [6]
            assert await one.next(6, 0.01) is None
            await asyncio.to_thread(appended.ask, "DELETE", appended.url)
            followers.look()
            assert await one.next(6, 60) is None
            assert one.is_over

    def pull_again() -> None:
        appended.tenant.commit(a=b"3", c=b"moved\n", rules__r=b"1")
        appended.pull()

    asyncio.run(follow())
