"""A run followed by server-sent events."""

from __future__ import annotations

import json
import threading
from typing import Any
from uuid import UUID

from tests.server.api.client import V1, ApiClient, code_of
from towline_server.runs import followers


def parsed(text: str) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for block in text.strip().split("\n\n"):
        if not block.startswith(":"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_a_run_that_has_ended_is_sent_at_once(api: ApiClient):
    api.tenant.commit(a=b"1")
    run = api.pull()
    answer = api.ask("GET", f"{V1}/runs/{run['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert parsed(answer.text) == [("ended", run)]


def test_a_stream_ends_with_the_terminal_state(api: ApiClient, monkeypatch):
    api.tenant.commit(a=b"1")
    run_id = UUID(api.ask("POST", f"{api.url}/runs", json={}).json()["id"])
    looked, answers = threading.Semaphore(0), []
    look = followers._changed_at

    def counted(*arguments: Any) -> Any:
        looked.release()
        return look(*arguments)

    monkeypatch.setattr(followers, "_changed_at", counted)

    def listen() -> None:
        answers.append(api.ask("GET", f"{V1}/runs/{run_id}/events"))

    thread = threading.Thread(target=listen)
    thread.start()
    looked.acquire()
    with api.runner.paused(run_id, "comparing"):
        # One look may have begun before the run was there; the one after it has not, and a third
        # one begins once that was handed out.
        looked.acquire()
        looked.acquire()
        looked.acquire()
    thread.join()
    events = parsed(answers[0].text)
    states = [data["state"] for _, data in events]
    assert (states[0], states[-1], "comparing" in states) == ("queued", "succeeded", True)
    assert [name for name, _ in events] == ["progress"] * (len(events) - 1) + ["ended"]
    assert events[-1][1] == api.get(f"{V1}/runs/{run_id}")
    progress = [data["progress"] for _, data in events]
    assert progress == sorted(progress)


def test_a_stream_goes_over_to_the_next_attempt(api: ApiClient):
    api.tenant.commit(a=b"1")
    run = api.runner.runs.request(api.project.id)
    with api.runner.paused(run.id, "comparing"):
        api.runner.lose()
    lost = api.runner.runs.get(run.id)
    assert lost.attempts.next_id is not None
    api.runner.worker("two").execute(lost.attempts.next_id)
    events = parsed(api.ask("GET", f"{V1}/runs/{run.id}/events").text)
    assert [(name, data["id"]) for name, data in events] == [("ended", str(lost.attempts.next_id))]


def test_a_cancelled_run_ends_its_stream(api: ApiClient):
    run = api.runner.runs.request(api.project.id)
    api.runner.runs.cancel(run.id)
    [(name, data)] = parsed(api.ask("GET", f"{V1}/runs/{run.id}/events").text)
    assert (name, data["state"]) == ("ended", "cancelled")


def test_a_run_that_is_not_there_has_no_stream(api: ApiClient):
    answer = api.ask("GET", f"{V1}/runs/{api.project.id}/events")
    assert code_of(answer) == (404, "not_found")
