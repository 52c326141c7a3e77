"""The contract fails stores that break a promise: each is the memory store with one fault."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import pytest

from towline.errors import TowlineError
from towline.stores.memory import MemoryStore
from towline.stores.transaction import only
from towline.testing.store_contract import BaseStoreHarness, StoreContract
from towline.testing.store_harness import assert_equal


class WithoutTransaction(MemoryStore):
    """What was written before a failure stays."""

    @contextmanager
    def transaction(self, *, write):
        opened = super().transaction(write=write)
        try:
            yield opened.__enter__()
        finally:
            opened.__exit__(None, None, None)


class ChecksOnlyBefore(MemoryStore):
    """The transaction that writes does not check again."""

    def apply(self, plan, contents, watch):
        with self.transaction(write=False) as transaction:
            self.check(plan, transaction)
        with patch.object(self, "check"):
            return super().apply(plan, contents, watch)


class ForgetsUndoBytes(MemoryStore):
    """Bytes go with the last asset that has them."""

    def sweep(self, transaction, released):
        for digest in released:
            if not any(transaction.find("digest", *only(digest))):
                transaction.remove_blob(digest)


class ReadsEachMoment(MemoryStore):
    """Lookups see what is written while they are open."""

    @contextmanager
    def transaction(self, *, write):
        with super().transaction(write=write) as opened:
            if write:
                yield opened
        if not write:
            yield opened


class AppliesTwoAtATime(MemoryStore):
    """An apply does not exclude another one."""

    @contextmanager
    def applying(self):
        yield


class NeverClears(MemoryStore):
    """A plan leaves the resolutions that it used."""

    def write(self, transaction, plan, fetched, at):
        return super().write(transaction, replace(plan, cleared=()), fetched, at)


_EDITED_MEANWHILE = "test_an_edit_made_while_contents_are_fetched_is_not_lost"
BROKEN = [
    (WithoutTransaction, "test_an_interrupted_apply_is_whole_or_did_not_happen", ()),
    (
        ChecksOnlyBefore,
        "test_an_edit_made_while_contents_are_fetched_is_not_lost",
        ("a", "changed"),
    ),
    (ChecksOnlyBefore, _EDITED_MEANWHILE, ("b", "moved")),
    (ForgetsUndoBytes, "test_bytes_for_undo_stay_while_the_log_keeps_the_pull", ()),
    (ReadsEachMoment, "test_a_snapshot_is_of_one_moment", ()),
    (AppliesTwoAtATime, "test_one_applies_at_a_time", ()),
    (NeverClears, "test_a_plan_clears_what_it_used_and_it_is_remembered", ()),
]


@pytest.mark.parametrize(("broken", "promise", "arguments"), BROKEN)
def test_a_store_that_breaks_a_promise_fails(broken, promise, arguments):
    def new_store_of(store):
        return lambda **options: BaseStoreHarness(store("project", **options))

    test = getattr(StoreContract(), promise)
    test(new_store_of(MemoryStore), *arguments)
    with pytest.raises((AssertionError, TowlineError, pytest.fail.Exception)):
        test(new_store_of(broken), *arguments)


def test_what_differs_is_named_by_its_path():
    with pytest.raises(AssertionError, match=r"at write 2\n.*root\[0\]\['a'\].*1 to 2"):
        assert_equal(({"a": 2, "b": 3},), ({"a": 1, "b": 3},), when="at write 2")
