"""The contract of the `AssetStore` port, as tests that run over any store.

Subclass `StoreContract` in a test module, and give it a fixture ``new_store`` that returns a
`NewStore`: a function that makes an empty project with the asked name policy and length of log,
and answers with a `StoreHarness` for it. Each promise of the port is then one test.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from towline.names import NamePolicy
from towline.ports import AssetStore
from towline.testing.store_apply import ApplyContract
from towline.testing.store_failures import FailureContract
from towline.testing.store_log import LogContract
from towline.testing.store_lookups import LookupContract


class StoreHarness(Protocol):
    """One project, handled as its users and other processes handle it.

    Paths name what stands there. A store whose users work on it through other means than files
    makes the same edits by those.
    """

    @property
    def store(self) -> AssetStore:
        """The store, open."""
        ...

    def reopen(self) -> None:
        """Close the store and open it anew, as another process would; then `store` is that."""
        ...

    def another(self) -> AssetStore:
        """The same project through a second handle; the same one if there can be no other."""
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
        """Have something stand there that is no asset and stands in the way of one."""
        ...

    def contents(self) -> Mapping[str, tuple[bytes, bool]]:
        """Every asset that stands, by path: its bytes, and whether it is executable."""
        ...

    def state_hash(self) -> str:
        """A text that changes with anything that the store holds for good."""
        ...


class NewStore(Protocol):
    """Makes a project. Names that a store cannot be told to hold equal may be left out."""

    def __call__(
        self,
        *,
        project: str = "project",
        names: NamePolicy = NamePolicy.EXACT,
        keep: int = 50,
    ) -> StoreHarness:
        """An empty project."""
        ...


class StoreContract(LookupContract, ApplyContract, FailureContract, LogContract):
    """Every promise of the port. A subclass gives the fixture ``new_store``."""
