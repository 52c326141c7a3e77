"""What an edit expects to find, so that nobody overwrites what they have not seen."""

from __future__ import annotations

from dataclasses import dataclass

from towline.errors import MovedError
from towline.model import AssetPath, AssetState, Digest


@dataclass(eq=False, kw_only=True)
class AssetChanged(MovedError):
    """The asset is not what the edit expected; nothing was changed."""

    code = "asset_changed"
    path: str
    found: str | None
    """The digest that stands there; None: nothing does."""

    @property
    def message(self) -> str:
        """What stands there instead."""
        if self.found is None:
            return f"nothing stands at {self.path!r} (any more); read it again"
        return f"{self.path!r} is {self.found} now; read it again"


@dataclass(frozen=True, slots=True)
class Expected:
    """What must stand at the edited path: an asset with one of these digests."""

    digests: frozenset[Digest] | None = None
    """None: with any digest. None of them: then no asset fits."""

    def check(self, path: AssetPath, found: AssetState | None) -> None:
        """Refuse the edit if something else is there.

        Raises:
            AssetChanged: it is.
        """
        standing = None if found is None else found.digest
        if not self._fits(standing):
            raise AssetChanged(path=path, found=standing)

    def _fits(self, standing: Digest | None) -> bool:
        return standing is not None and (self.digests is None or standing in self.digests)


@dataclass(frozen=True, slots=True)
class ExpectedNothing(Expected):
    """That nothing stands at the edited path."""

    def _fits(self, standing: Digest | None) -> bool:
        return standing is None
