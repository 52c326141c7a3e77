from __future__ import annotations

import pytest

from towline.errors import ContentMissing, RateLimited, RefNotFound
from towline.kinds import Kinds
from towline.limits import Limits
from towline.ports import Watch
from towline.remotes.memory import MemoryRemote, MemoryRepository

LIMITS, WATCH = Limits(), Watch()


def test_it_is_deterministic() -> None:
    assert MemoryRemote().commit({"a": b"1"}) == MemoryRemote().commit({"a": b"1"})


def test_failures_on_request() -> None:
    remote = MemoryRemote()
    revision = remote.commit({"a": b"1"})
    remote.failure = RateLimited(url=remote.url)
    for request in (remote.resolve, lambda *args: remote.fetch(None, *args)):
        with pytest.raises(RateLimited):
            request(LIMITS, WATCH)
    remote.failure = None
    assert remote.fetch(None, LIMITS, WATCH) == revision


def test_another_machine_has_nothing() -> None:
    repository = MemoryRepository()
    here, there = MemoryRemote(repository), MemoryRemote(repository)
    revision = here.commit({"a": b"1"})
    here.fetch(None, LIMITS, WATCH)
    assert here.has(revision)
    assert not there.has(revision)
    here.forget()
    with pytest.raises(ContentMissing):
        here.listing(revision, Kinds(), LIMITS, WATCH)


def test_a_branch_that_is_removed() -> None:
    remote = MemoryRemote()
    revision = remote.commit({"a": b"1"})
    remote.set_ref("other", revision)
    remote.set_ref("main", None)
    with pytest.raises(RefNotFound):
        remote.resolve(LIMITS, WATCH)


def test_a_file_is_no_folder() -> None:
    with pytest.raises(ValueError, match="both"):
        MemoryRemote().commit({"a": b"1", "a/b": b"2"})
