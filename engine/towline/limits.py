"""Every bound on untrusted input, with its default (docs/semantics.md, "Bounds")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any, Self

from towline.errors import AssetLimitExceeded, BrokenLimit, InvalidValue, LimitExceeded
from towline.frozen import frozen

MIB = 1024 * 1024


@frozen(kw_only=True)
class Limits:
    """Bounds on a project, on the repository's content, and on the exchange with the remote.

    Counts are plain numbers, sizes bytes, times seconds. Names and paths are bounded by their
    UTF-8 length; a longer one is ignored with the reason, the rest are typed errors.

    Raises:
        InvalidValue: a limit is not a whole number above zero (from zero for ``deletes``).
    """

    assets: int = 1_000
    tree_entries: int = 20_000
    """Files that a comparison visits, assets or not; and as many folders."""
    depth: int = 50
    name_bytes: int = 255
    path_bytes: int = 1_024
    asset_bytes: int = 5 * MIB
    project_bytes: int = 50 * MIB
    pack_bytes: int = 100 * MIB
    refs: int = 200_000
    """The most refs, or other lines, that a remote may send before a pack."""
    refs_bytes: int = 16 * MIB
    memory_bytes: int = 512 * MIB
    """What fetching may take, child processes together; an object of a pack a quarter of it."""
    connect_seconds: int = 5
    idle_seconds: int = 10
    total_seconds: int = 300
    """For all of a fetch, however much arrives meanwhile; a server sets 60."""
    deletes: int | None = None
    """The most assets that one pull may delete; None: no bound."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value, least = getattr(self, each.name), 0 if each.name == "deletes" else 1
            if value is None and each.default is None:
                continue
            if type(value) is not int or value < least:
                raise InvalidValue(
                    field=f"limit {each.name}",
                    problem=f"{value!r} is not a whole number of {least} or more",
                )

    @property
    def object_bytes(self) -> int:
        """The most that an object of a pack may unpack to, in bytes, whether asset or not."""
        return max(self.memory_bytes // 4, self.asset_bytes)

    def without_project_bounds(self) -> Self:
        """Return these limits, but none of what a pull may make of the project.

        For looking at a project: what would stop a pull is no reason to show less.
        """
        unbounded = 2**62
        return replace(self, assets=unbounded, project_bytes=unbounded, deletes=None)

    def exceeded(self, limit: str, found: int, subject: str = "") -> LimitExceeded:
        """Return the error for a value above one of the limits."""
        allowed = getattr(self, limit)
        return LimitExceeded(limit=limit, allowed=allowed, found=found, subject=subject)

    def with_settings(self, settings: Iterable[str]) -> Self:
        """Return these limits with ``NAME=VALUE`` settings applied, ``-`` or ``_`` in names.

        Raises:
            InvalidValue: no such limit, or the value is not a whole number above zero (from zero
                for ``deletes``).
        """
        known = {field.name for field in fields(self)}
        changed: dict[str, Any] = {}
        for setting in settings:
            name, _, value = setting.partition("=")
            name = name.strip().replace("-", "_")
            if name not in known:
                raise InvalidValue(
                    field="limit", problem=f"{setting!r}: the limits are {', '.join(sorted(known))}"
                )
            digits = value.strip()
            changed[name] = int(digits) if digits.isascii() and digits.isdigit() else value
        return replace(self, **changed)


def limits_exceeded(broken: Sequence[BrokenLimit]) -> LimitExceeded:
    """Return the one error of all these broken limits; the bound on assets goes first."""
    first, *others = sorted(broken, key=lambda each: each.limit != "assets")
    kind = AssetLimitExceeded if first.limit == "assets" else LimitExceeded
    return kind(**asdict(first), others=tuple(others))
