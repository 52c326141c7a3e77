"""The contract suite of the `Remote` port, including its counters.

Subclass `RemoteContract` in a test module, and give it a fixture named ``harness``::

    class TestMyRemote(RemoteContract):
        @pytest.fixture
        def harness(self, tmp_path):
            return RemoteHarness(repository=..., opener=...)
"""

from __future__ import annotations

from threading import Event

import pytest

from towline.errors import Cancelled, ContentMissing, EmptyRepository, RefNotFound
from towline.model import Digest, Revision
from towline.ports import Phase, Watch
from towline.testing.remote_harness import (
    ALL,
    LIMITS,
    POINTER,
    WATCH,
    Recorder,
    RemoteHarness,
    Repository,
    compare,
    fetch,
    noise,
    resolve,
    summary,
)
from towline.testing.remote_trees import TreeContract

__all__ = ["RemoteContract", "RemoteHarness", "Repository"]


class RemoteContract(TreeContract):
    """The contract of every remote: refs, fetching, costs, progress, the cache, and trees."""

    # --- refs and fetching ----------------------------------------------------------------------

    def test_resolve_returns_the_tip_without_fetching(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"})
        tip = harness.repository.commit({"a": b"2"})
        remote = harness.open()
        assert remote.resolve(LIMITS, WATCH) == tip
        assert not remote.has(tip)

    def test_fetch_of_the_tip(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1"})
        tip = harness.repository.commit({"a": b"2"})
        remote = harness.open()
        assert not remote.has(tip)
        assert fetch(remote) == tip
        assert remote.has(tip)
        assert remote.has(base), "with its history"

    def test_fetch_of_a_revision(self, harness: RemoteHarness) -> None:
        base = harness.repository.commit({"a": b"1"})
        harness.repository.commit({"a": b"2"})
        remote = harness.open()
        assert fetch(remote, base) == base
        assert list(remote.listing(base, ALL, LIMITS, WATCH)) == ["a"]

    def test_fetch_follows_the_branch(self, harness: RemoteHarness) -> None:
        first = harness.repository.commit({"a": b"1"})
        remote = harness.open()
        assert fetch(remote) == first
        second = harness.repository.commit({"a": b"2"})
        assert fetch(remote) == second
        assert remote.has(first)

    def test_a_branch_whose_name_is_a_prefix(self, harness: RemoteHarness) -> None:
        one = harness.repository.commit({"a": b"1"}, ref="main")
        two = harness.repository.commit({"a": b"2"}, ref="main2")
        assert fetch(harness.open("main")) == one
        assert fetch(harness.open("main2")) == two

    def test_a_missing_branch(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"}, ref="other")
        remote = harness.open("main")
        for request in (resolve, fetch):
            with pytest.raises(RefNotFound) as caught:
                request(remote)
            assert not isinstance(caught.value, EmptyRepository)
            assert caught.value.ref == "main"

    def test_an_empty_repository(self, harness: RemoteHarness) -> None:
        remote = harness.open()
        with pytest.raises(EmptyRepository):
            remote.resolve(LIMITS, WATCH)
        with pytest.raises(EmptyRepository):
            fetch(remote)

    def test_a_removed_branch(self, harness: RemoteHarness) -> None:
        tip = harness.repository.commit({"a": b"1"})
        harness.repository.commit({"a": b"1"}, ref="other")
        remote, _ = harness.fetched()
        harness.repository.set_ref("main", None)
        with pytest.raises(RefNotFound):
            fetch(remote)
        assert remote.has(tip), "an error removes nothing"

    def test_an_unknown_revision(self, harness: RemoteHarness) -> None:
        harness.repository.commit({"a": b"1"})
        remote = harness.open()
        unknown = Revision("1" * 40)
        assert not remote.has(unknown)
        with pytest.raises(RefNotFound) as caught:
            fetch(remote, unknown)
        assert caught.value.ref == unknown

    def test_what_was_never_fetched_cannot_be_compared(self, harness: RemoteHarness) -> None:
        remote, (base,) = harness.fetched({"a": b"1"})
        with pytest.raises(ContentMissing):
            compare(remote, Revision("1" * 40), base)

    # --- costs ----------------------------------------------------------------------------------

    def test_fetching_a_commit_of_the_cache_sends_nothing(self, harness: RemoteHarness) -> None:
        remote, (tip,) = harness.fetched({"a": b"1"})
        requests, down = remote.traffic.requests, remote.traffic.bytes_down
        served = harness.requests() if harness.requests is not None else 0
        assert fetch(remote, tip) == tip
        assert (remote.traffic.requests, remote.traffic.bytes_down) == (requests, down)
        assert harness.requests is None or harness.requests() == served

    def test_requests(self, harness: RemoteHarness) -> None:
        if harness.requests is None:
            return
        harness.repository.commit(noise(20, 100))
        remote = harness.open()
        counts = []
        for request in (fetch, fetch, resolve):
            before = harness.requests()
            request(remote)
            counts.append(harness.requests() - before)
        first, again, resolving = counts
        assert first <= harness.fetch_requests
        assert again <= 2
        assert resolving <= 2
        harness.repository.commit(noise(20, 100, seed=1))
        before = harness.requests()
        fetch(remote)
        assert harness.requests() - before <= harness.fetch_requests

    def test_a_second_fetch_is_incremental(self, harness: RemoteHarness) -> None:
        files = noise(50, 1000)
        remote, _ = harness.fetched(files)
        first = remote.traffic.bytes_down
        assert first > 40_000
        harness.repository.commit({**files, "0/0": b"new"})
        fetch(remote)
        assert 0 < remote.traffic.bytes_down - first < first / 10

    def test_a_fetch_of_a_rewritten_branch_is_incremental(self, harness: RemoteHarness) -> None:
        files = noise(50, 1000)
        root = harness.repository.commit(files)
        remote, _ = harness.fetched({**files, "0/0": b"1"})
        first = remote.traffic.bytes_down
        harness.repository.commit({**files, "0/0": b"2"}, parents=[root])
        fetch(remote)
        assert remote.traffic.bytes_down - first < first / 10

    @pytest.mark.parametrize("size", [100, 1_000])
    def test_trees_read_follow_the_change(self, harness: RemoteHarness, size: int) -> None:
        files = {f"{n % 100}/{n // 100 % 10}/{n}": b"%d" % n for n in range(size)}
        base = harness.repository.commit(files)
        files |= {"7/0/7": b"new", "7/0/107": b"new", "9/1/109": b"x" * 2000}
        remote, (revision,) = harness.fetched(files)
        found = compare(remote, base, revision)
        assert len(found.items) == 3
        touched = {"", "7", "7/0", "9", "9/1"}
        assert remote.traffic.trees_read <= 2 * len(touched)
        wanted = [Digest.of(files[item.path]) for item in found.items]
        assert len(dict(remote.contents(wanted))) == 2, "two of them are of one content"
        assert remote.traffic.blobs_read == 2

    def test_nothing_is_read_for_equal_trees(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched({"a/b": b"1"}, {"a/b": b"1"})
        assert compare(remote, base, revision).items == ()
        assert (remote.traffic.trees_read, remote.traffic.blobs_read) == (0, 0)

    def test_pointer_checks_are_read_once(self, harness: RemoteHarness) -> None:
        contents = {f"{n}.json": b"%d" % n * 100 for n in range(5)}
        remote, (base, revision) = harness.fetched({"keep": b"1"}, {"keep": b"1", **contents})
        compare(remote, base, revision)
        digests = [Digest.of(content) for content in contents.values()]
        assert dict(remote.contents(digests)) == {Digest.of(c): c for c in contents.values()}
        assert remote.traffic.blobs_read == 5

    def test_the_old_content_is_never_read(self, harness: RemoteHarness) -> None:
        remote, (base, revision) = harness.fetched({"a": b"1" * 100, "b": POINTER}, {"c": b"2"})
        assert len(compare(remote, base, revision).items) == 3
        assert remote.traffic.blobs_read == 0

    # --- progress and cancelling ----------------------------------------------------------------

    def test_progress_is_reported(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a/b": b"1"})
        remote, recorder = harness.open(), Recorder()
        remote.fetch(None, LIMITS, Watch(progress=recorder))
        remote.listing(revision, ALL, LIMITS, Watch(progress=recorder))
        phases = [phase for phase, _, _ in recorder.events]
        assert set(phases) == {Phase.FETCHING, Phase.COMPARING}
        assert phases == sorted(phases, key=list(Phase).index)

    def test_cancelling(self, harness: RemoteHarness) -> None:
        revision = harness.repository.commit({"a/b": b"1"})
        remote, stop = harness.open(), Event()
        stop.set()
        watch = Watch(cancel=stop)
        with pytest.raises(Cancelled):
            remote.resolve(LIMITS, watch)
        with pytest.raises(Cancelled):
            remote.fetch(None, LIMITS, watch)
        assert not remote.has(revision)
        fetch(remote)
        with pytest.raises(Cancelled):
            remote.listing(revision, ALL, LIMITS, watch)

    # --- the cache ------------------------------------------------------------------------------

    def test_missing_objects_are_fetched_again(self, harness: RemoteHarness) -> None:
        if harness.lose is None:
            return
        remote, (base, revision) = harness.fetched({"a": b"1"}, {"a": b"22"})
        harness.lose(remote)
        assert summary(compare(remote, base, revision)) == {"a": ("1", "2")}
        harness.lose(remote)
        assert dict(remote.contents([Digest.of(b"22")])) == {Digest.of(b"22"): b"22"}
        harness.lose(remote)
        assert list(remote.listing(revision, ALL, LIMITS, WATCH)) == ["a"]
        harness.lose(remote)
        assert remote.rewritten(base, revision) is False
        harness.lose(remote)
        assert fetch(remote) == revision
        assert summary(compare(remote, base, revision)) == {"a": ("1", "2")}
