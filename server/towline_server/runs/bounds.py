"""How much one tenant, or one remote host, may have of what a process does side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, Self
from uuid import UUID

from towline.frozen import frozen


class Counted(Protocol):
    """What is done for a tenant, at a host; None: at no host."""

    @property
    def tenant_id(self) -> UUID:
        """The tenant."""
        ...

    @property
    def host(self) -> str | None:
        """The host, with its port."""
        ...


@frozen(kw_only=True)
class AtOnce:
    """How many are done at once: in all, for one tenant, and at one remote host."""

    total: int
    tenant: int
    host: int

    @classmethod
    def of(cls, total: int, *, tenant: int = 0, host: int = 0) -> Self:
        """Return the bounds of a process; 0: half of all for a tenant, three quarters for a host.

        So two tenants, or two hosts, that take all they may leave nothing; one leaves enough.
        """
        return cls(
            total=total,
            tenant=tenant or max(1, total // 2),
            host=host or max(1, 3 * total // 4),
        )

    def full(self, held: Iterable[Counted]) -> tuple[frozenset[UUID], frozenset[str]]:
        """Return the tenants and the hosts that may have no more beside what is held."""
        each = list(held)
        tenants = Counter(one.tenant_id for one in each)
        hosts = Counter(one.host for one in each if one.host is not None)
        return (
            frozenset(tenant for tenant, count in tenants.items() if count >= self.tenant),
            frozenset(host for host, count in hosts.items() if count >= self.host),
        )
