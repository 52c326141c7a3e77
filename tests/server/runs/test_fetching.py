"""Fetches that are shared, and the process that makes them."""

from __future__ import annotations

import gc
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.server.descendants import await_end
from tests.server.runs.fetcher import START, TENANT, A, B, Clock, Fetcher, wanted
from towline.errors import (
    AuthenticationFailed,
    Cancelled,
    LimitExceeded,
    RefNotFound,
    RemoteRefused,
    RemoteUnavailable,
)
from towline.limits import MIB, Limits
from towline.ports import Watch
from towline.remotes.backends import Backend
from towline.remotes.credentials import Credential
from towline.remotes.git import GitRemote
from towline.remotes.git_process import DEFAULT_PATH
from towline.remotes.url import RemoteUrl
from towline.testing.git_repository import GitRepository
from towline.testing.git_server import Answers, GitServer, StaysSilent
from towline_server.addresses import AddressPolicy
from towline_server.errors import AddressRefused, FetchFailed
from towline_server.logs import JsonLines
from towline_server.projects.domain import Provider
from towline_server.runs.fetch_children import IDLE_SECONDS, FetchChild, FetchChildren
from towline_server.runs.fetch_process import FetchProcess
from towline_server.runs.fetching import BoundRepository, FetchTarget, SharedFetches

LOOPBACK = ["127.0.0.0/8"]


def test_a_request_made_before_a_fetch_began_shares_it(tmp_path: Path):
    fetcher, clock = Fetcher(), Clock()
    fetches = SharedFetches(fetcher, now=clock)
    fetcher.may_end.set()
    for _ in range(3):
        assert fetches.fetch(wanted(tmp_path), Watch(), since=START) == A
    assert (fetcher.calls, fetches.count) == (1, 1)


def test_a_later_request_has_a_fetch_of_its_own(tmp_path: Path):
    fetcher, clock = Fetcher(), Clock()
    fetcher.answers[2] = B
    fetches = SharedFetches(fetcher, now=clock)
    fetcher.may_end.set()
    fetches.fetch(wanted(tmp_path), Watch(), since=START)
    clock.now += timedelta(seconds=2)
    later = START + timedelta(seconds=1)
    assert fetches.fetch(wanted(tmp_path), Watch(), since=later) == B
    assert fetches.fetch(wanted(tmp_path, "other"), Watch(), since=START) == A


def test_requests_made_while_another_fetch_is_under_way_share_the_next(tmp_path: Path):
    fetcher, clock = Fetcher(), Clock()
    fetcher.answers[2] = B
    fetches = SharedFetches(fetcher, now=clock)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(fetches.fetch, wanted(tmp_path), Watch(), since=START)
        fetcher.begun.acquire()
        later = []
        for _ in range(3):
            clock.now += timedelta(seconds=1)
            later.append(pool.submit(fetches.fetch, wanted(tmp_path), Watch(), since=clock.now))
            while next(reversed(fetches._shared.values())).waiting < len(later):
                pass
        assert fetcher.calls == 1
        fetcher.may_end.set()
    assert (first.result(), [each.result() for each in later]) == (A, [B] * 3)
    assert fetcher.calls == 2


def test_a_failure_is_shared_by_those_who_asked_before(tmp_path: Path):
    fetcher, clock = Fetcher(), Clock()
    fetcher.answers[1] = RemoteUnavailable(url="u")
    fetches = SharedFetches(fetcher, now=clock)
    fetcher.may_end.set()
    for _ in range(2):
        with pytest.raises(RemoteUnavailable):
            fetches.fetch(wanted(tmp_path), Watch(), since=START)
    assert fetcher.calls == 1


def test_a_fetch_stops_when_the_last_one_leaves(tmp_path: Path):
    fetcher = Fetcher()
    fetches = SharedFetches(fetcher, now=Clock())
    tokens = [threading.Event(), threading.Event()]
    ended: list[type[BaseException]] = []

    def wait(token: threading.Event) -> None:
        try:
            fetches.fetch(wanted(tmp_path), Watch(cancel=token), since=START)
        except Cancelled:
            ended.append(Cancelled)

    threads = [threading.Thread(target=wait, args=(token,)) for token in tokens]
    for thread in threads:
        thread.start()
    fetcher.begun.acquire()
    shared = next(iter(fetches._shared.values()))
    while shared.waiting < 2:
        pass
    tokens[0].set()
    threads[0].join()
    assert not fetcher.tokens[0].is_set()
    tokens[1].set()
    threads[1].join()
    assert fetcher.tokens[0].is_set()
    assert ended == [Cancelled, Cancelled]
    # Who asks next is not given the answer of a fetch that was stopped.
    fetcher.may_end.set()
    assert fetches.fetch(wanted(tmp_path), Watch(), since=START) == A


# --- the process ------------------------------------------------------------------------------


@pytest.fixture
def remote(git_server: GitServer) -> GitRepository:
    return GitRepository(git_server.root / "r.git")


def of(server: GitServer, tmp_path: Path, **changes) -> FetchTarget:
    credential = changes.pop("credential", None)
    limits = changes.pop("limits", Limits(total_seconds=60))
    repository = BoundRepository(
        tenant_id=TENANT,
        url=RemoteUrl.parse(f"{server.url}/r.git"),
        ref=changes.pop("ref", "main"),
        scope="",
        cache=tmp_path / "c.git",
        credential=credential,
    )
    return FetchTarget(repository=repository, limits=limits, **changes)


def test_the_process_fetches(git_server: GitServer, remote: GitRepository, tmp_path: Path):
    revision = remote.commit({"a": b"1"})
    what = of(git_server, tmp_path)
    assert FetchProcess(networks=LOOPBACK)(what, Watch()) == revision
    with what.repository.cached() as cached:
        assert cached.has(revision)


def test_a_private_address_is_refused_before_anything_is_sent(
    git_server: GitServer, remote: GitRepository, tmp_path: Path
):
    with pytest.raises(AddressRefused):
        FetchProcess()(of(git_server, tmp_path), Watch())
    assert git_server.tally.requests == []


def test_errors_come_back_as_they_are(git_server: GitServer, remote: GitRepository, tmp_path: Path):
    remote.commit({"a": os.urandom(3 * MIB)})
    process = FetchProcess(networks=LOOPBACK)
    with pytest.raises(RefNotFound) as missing:
        process(of(git_server, tmp_path, ref="none"), Watch())
    assert missing.value.ref == "none"
    with pytest.raises(LimitExceeded) as large:
        process(of(git_server, tmp_path, limits=Limits(pack_bytes=MIB)), Watch())
    assert large.value.limit == "pack_bytes"


def test_a_credential_goes_by_the_input(
    git_server: GitServer, remote: GitRepository, tmp_path: Path
):
    revision = remote.commit({"a": b"1"})
    git_server.credential = Credential("user", "password")
    process = FetchProcess(networks=LOOPBACK)
    with pytest.raises(AuthenticationFailed):
        process(of(git_server, tmp_path), Watch())
    assert process(of(git_server, tmp_path, credential=git_server.credential), Watch()) == revision


def test_a_redirect_to_another_host_is_not_followed(
    git_server: GitServer, remote: GitRepository, tmp_path: Path
):
    target = git_server.url.replace("127.0.0.1", "localhost")
    git_server.trouble = Answers(
        status=302, headers={"Location": f"{target}/r.git/info/refs?service=git-upload-pack"}
    )
    with pytest.raises(RemoteRefused):
        FetchProcess(networks=LOOPBACK)(of(git_server, tmp_path), Watch())
    assert len(git_server.tally.requests) == 1


def test_too_little_memory_ends_the_process_alone(
    git_server: GitServer, remote: GitRepository, tmp_path: Path
):
    remote.commit({"a": b"1"})
    with pytest.raises(RemoteRefused):
        FetchProcess(networks=LOOPBACK, memory_bytes=24 * MIB)(of(git_server, tmp_path), Watch())


def test_what_is_not_foreseen_is_named_and_its_traceback_logged_without_what_it_says(
    git_server: GitServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    target = of(git_server, tmp_path, credential=Credential("user", "hush-password"))
    # As no form would let it be stored; pydantic's message quotes it.
    config = {"format": "hush-config"}
    repository = replace(target.repository, provider=Provider.HTTP_API, config=config)
    process = FetchProcess(networks=LOOPBACK)
    with pytest.raises(FetchFailed) as failed:
        process(replace(target, repository=repository), Watch())
    assert failed.value.problem == "ValidationError"
    assert failed.value.url == target.repository.url.address
    [record] = caplog.records
    logged = JsonLines().format(record)
    assert "in _fetch_source" in logged
    assert "hush" not in logged + str(failed.value.data())
    # It is not used again, and the next fetch has another.
    assert idle(process) == []


def idle(process: FetchProcess) -> list[int]:
    """The children that wait for something to fetch."""
    return [child._process.pid for child in process._children._idle]


def test_a_process_fetches_again(git_server: GitServer, remote: GitRepository, tmp_path: Path):
    process = FetchProcess(networks=LOOPBACK)
    with pytest.raises(RefNotFound) as missing:
        process(of(git_server, tmp_path), Watch())
    first = idle(process)
    for content in (b"1", b"2"):
        revision = remote.commit({"a": content})
        assert process(of(git_server, tmp_path), Watch()) == revision
    assert (len(first), idle(process)) == (1, first)
    # One with other bounds.
    process(of(git_server, tmp_path, limits=Limits(total_seconds=61)), Watch())
    assert len(idle(process)) == 2
    left = {os.pidfd_open(pid): "fetch_process" for pid in idle(process)}
    del process, missing
    gc.collect()
    await_end(left)


def test_a_process_that_was_killed_meanwhile_is_replaced(
    git_server: GitServer, remote: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    revision = remote.commit({"a": b"1"})
    process = FetchProcess(networks=LOOPBACK)
    process(of(git_server, tmp_path), Watch())
    [pid] = idle(process)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    # It is found out when it is given something to fetch, at the latest.
    monkeypatch.setattr(FetchChild, "has_ended", False)
    assert process(of(git_server, tmp_path), Watch()) == revision
    assert idle(process) != [pid]


def test_a_process_that_was_cancelled_fetches_no_more(
    git_server: GitServer, remote: GitRepository, tmp_path: Path
):
    process = FetchProcess(networks=LOOPBACK)
    revision = remote.commit({"a": b"1"})
    process(of(git_server, tmp_path), Watch())
    git_server.trouble = StaysSilent()
    git_server.tally.clear()

    class UntilAsked:
        def is_set(self) -> bool:
            return bool(git_server.tally.requests)

    with pytest.raises(Cancelled):
        process(of(git_server, tmp_path), Watch(cancel=UntilAsked()))
    assert idle(process) == []
    git_server.trouble = None
    assert process(of(git_server, tmp_path), Watch()) == revision


def test_a_process_ends_after_so_many_fetches_or_so_long(
    git_server: GitServer, remote: GitRepository, tmp_path: Path
):
    now = [0.0]
    children, bounds = FetchChildren(clock=lambda: now[0]), {"RLIMIT_CORE": 0}

    def used(fetches: int) -> FetchChild:
        with children.child({"PATH": DEFAULT_PATH}, bounds, fetches=fetches) as child:
            child.fetches, child.has_answered = child.fetches + 1, True
        return child

    assert used(1).has_ended
    child = used(3)
    now[0] += IDLE_SECONDS
    assert (used(3) is child, child.has_ended) == (True, False)
    now[0] += IDLE_SECONDS + 1
    assert (used(3) is child, child.has_ended) == (False, True)


def test_git_connects_to_the_resolved_address(
    git_server: GitServer, remote: GitRepository, tmp_path: Path
):
    revision = remote.commit({"a": b"1"})
    port = git_server.url.rsplit(":", 1)[1]
    with GitRemote(
        f"http://repository.invalid:{port}/r.git",
        cache=tmp_path / "c.git",
        backend=Backend.GIT,
        resolver=lambda _url: ("127.0.0.1",),
    ) as there:
        assert there.fetch(None, Limits(), Watch()) == revision


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "permitted"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("::127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::1", False),
        ("fec0::1", False),
        ("::ffff:0:10.0.0.1", False),
        ("64:ff9b:1::7f00:1", False),
        ("5f00::1", False),
        ("3fff::1", False),
        ("192.88.99.1", False),
        ("2606:4700::1", True),
    ],
)
def test_private_addresses(address: str, permitted: bool):
    assert AddressPolicy().permits(address) is permitted


def test_only_permitted_addresses_are_connected_to():
    policy = AddressPolicy.parse(["10.0.0.0/8"])
    url = RemoteUrl.parse("https://example.org/r.git")
    found = policy.resolve(url, lambda *_: ["192.168.0.1", "10.0.0.1", "93.184.215.14"])
    assert found == ("10.0.0.1", "93.184.215.14")
