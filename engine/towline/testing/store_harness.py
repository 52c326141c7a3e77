"""What the store contract asks of a test module: projects, handled as their users do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from towline.names import NamePolicy
from towline.ports import AssetStore


class StoreHarness(Protocol):
    """One project, handled as its users and other processes handle it.

    Paths name assets of it. A store whose users work on it through other means than files
    makes the same edits by those.
    """

    @property
    def store(self) -> AssetStore:
        """The store, open."""
        ...

    def reopen(self) -> None:
        """Close the store and open it again, as another process would; `store` is the new one."""
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
        """Write a file that is no asset, and is in the way of one; where a store has such files."""
        ...

    def contents(self) -> Mapping[str, tuple[bytes, bool]]:
        """Every asset in the store, by path: its bytes, and whether it is executable."""
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
