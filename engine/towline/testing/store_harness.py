"""A project under the contract of stores: opened, edited and interrupted from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from typing import Any, Protocol, TypeAlias
from unittest.mock import patch

from towline.model import AssetPath
from towline.names import NamePolicy
from towline.ports import AssetStore
from towline.records import AssetRecord, StoreState
from towline.stores.base import BaseStore
from towline.stores.transaction import StoreTransaction
from towline.testing.plans import now, pull_files, record_at

_WRITES = frozenset({"put", "remove", "set", "put_blob", "remove_blob"})


def assert_equal(found: object, expected: object, *, when: str = "") -> None:
    """Fail where what a store holds is not what was expected, and name each place that differs.

    Raises:
        AssertionError: they differ; the message has the path of every difference.
    """
    if found == expected:
        return
    from deepdiff import DeepDiff

    differences = DeepDiff(expected, found, ignore_private_variables=False).pretty()
    raise AssertionError("\n".join(filter(None, [when, differences or f"{found} != {expected}"])))


class Interruption(BaseException):
    """Raised just before a write of a store, as if its process were killed there."""


class StoreHarness(Protocol):
    """One project, as its users and other processes work with it.

    A store whose users have other means than files makes the same edits by those.
    """

    @property
    def store(self) -> AssetStore:
        """The store, open."""
        ...

    def reopen(self) -> None:
        """Close the store and open it again, as another process would; `store` is the new one."""
        ...

    def another(self) -> AssetStore:
        """Return a second handle of the project; the same one if there can be no other."""
        ...

    def interrupted_at(self, number: int) -> AbstractContextManager[None]:
        """Raise `Interruption` in the block, just before the store's write of this number.

        Writes are counted from 1. A number beyond the last write interrupts nothing.
        """
        ...

    def put(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Write an asset, new or not, as the project's user."""
        ...

    def move(self, path: str, to: str) -> None:
        """Rename an asset as the project's user."""
        ...

    def delete(self, path: str) -> None:
        """Delete an asset as the project's user."""
        ...

    def put_file(self, path: str) -> None:
        """Make a file that is no asset, and is in the way of one; see `StoreTraits.has_files`."""
        ...

    def contents(self) -> Mapping[str, tuple[bytes, bool]]:
        """Return every asset by path: its bytes, and whether it is executable."""
        ...

    def state_hash(self) -> str:
        """Return a text that changes with anything that the store has."""
        ...


Held: TypeAlias = tuple[StoreState, list[AssetRecord], dict[str, tuple[bytes, bool]]]


def held(harness: StoreHarness) -> Held:
    """Return what a project has: its state, its records and its contents."""
    ours = now(harness.store)
    return ours.state(), list(ours.records()), dict(harness.contents())


class NewStore(Protocol):
    """Makes a project. Name policies that a store does not have may be left out."""

    def __call__(
        self,
        *,
        project: str = "project",
        names: NamePolicy = NamePolicy.EXACT,
        keep: int = 50,
    ) -> StoreHarness:
        """Return an empty project."""
        ...


def project_with(new_store: NewStore, **files: bytes) -> StoreHarness:
    """Return a project that has pulled these assets, named as `pull_files` takes them."""
    harness = new_store()
    pull_files(harness.store, **files)
    return harness


class StoreTraits:
    """What differs between stores that all fulfil the contract; a subclass sets it."""

    mints_ids = False
    """Whether assets that users make have ids of the product's own (`BaseStore.mint_id`)."""
    has_files = True
    """Whether a project can have files that are no assets."""


class BaseStoreHarness:
    """The harness of a `BaseStore`. ``reopen`` closes the store and opens it again."""

    def __init__(
        self, store: BaseStore, reopen: Callable[[BaseStore], BaseStore] = lambda store: store
    ) -> None:
        self.store = store
        self._reopen = reopen

    def reopen(self) -> None:
        self.store = self._reopen(self.store)

    def another(self) -> AssetStore:
        return self.store

    @contextmanager
    def interrupted_at(self, number: int) -> Iterator[None]:
        open_transaction, left = self.store.transaction, number

        def count() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Interruption

        @contextmanager
        def transaction(*, write: bool) -> Iterator[_Counted]:
            with open_transaction(write=write) as opened:
                yield _Counted(opened, count)

        with patch.object(self.store, "transaction", transaction):
            yield

    def put(self, path: str, content: bytes, *, executable: bool = False) -> None:
        self.store.put(AssetPath(path), content, executable=executable)

    def move(self, path: str, to: str) -> None:
        self.store.move(record_at(self.store, path).id, AssetPath(to))

    def delete(self, path: str) -> None:
        self.store.delete(record_at(self.store, path).id)

    def put_file(self, path: str) -> None:
        raise NotImplementedError(f"{path}: set has_files to False, or extend this")

    def contents(self) -> Mapping[str, tuple[bytes, bool]]:
        found = [record.ours for record in now(self.store).records() if record.ours is not None]
        return {each.path: (self.store.read(each.digest) or b"", each.executable) for each in found}

    def state_hash(self) -> str:
        ours = now(self.store)
        stored = (ours.state(), list(ours.records()), list(ours.log()), self.contents())
        return sha256(repr(stored).encode("utf-8", "backslashreplace")).hexdigest()


class _Counted:
    """A transaction that calls a function before each of its writes."""

    def __init__(self, transaction: StoreTransaction, before_write: Callable[[], None]) -> None:
        self._transaction = transaction
        self._before_write = before_write

    def __getattr__(self, name: str) -> Any:
        if name in _WRITES:
            self._before_write()
        return getattr(self._transaction, name)
