"""Which hosts a server connects to on its users' behalf.

A user names the repository, and the server is inside its operator's network: what is not public
is refused, unless the operator allows it. A host's name is resolved here, once, and git connects
to these addresses alone, so that a name cannot mean another address a moment later. Redirects
stay within scheme, host and port, and are judged again.

Covered: http and https through git 2.37 or later, ssh, and whatever opens sockets from Python
(dulwich). An HTTP proxy resolves names itself, so none is passed on to the child.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, Self, TypeAlias

from towline.errors import InvalidValue, RemoteUnavailable
from towline.frozen import frozen
from towline.remotes.url import RemoteUrl, Scheme

from .errors import AddressRefused

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Lookup: TypeAlias = Callable[[str, int], Sequence[str]]
"""The addresses of a host; raises OSError."""

# Addresses that contain another one, which is where the packets go.
_NAT64 = ip_network("64:ff9b::/96")
_COMPATIBLE = ip_network("::/96")
_UNICAST = ip_network("2000::/3")
"""What is public in IPv6; the rest, site-local ``fec0::/10`` included, `ipaddress` calls global."""
_UNUSED = (ip_network("3fff::/20"), ip_network("192.88.99.0/24"))
"""Documentation (RFC 9637) and the 6to4 relays of old (RFC 7526), which it calls global, too."""

# As it was before `AddressPolicy.guard_sockets`, which only reports that there is no such host.
_getaddrinfo = socket.getaddrinfo

_GUARDING: set[AddressPolicy] = set()


def look_up(host: str, port: int) -> Sequence[str]:
    """Return the addresses that the system's resolver knows for a host."""
    found = _getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@frozen
class AddressPolicy:
    """Public addresses, and the networks that the operator allows besides."""

    allowed: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, networks: Sequence[str]) -> Self:
        """Take networks from the settings, as ``10.0.0.0/8``.

        Raises:
            InvalidValue: one of them is none.
        """
        try:
            return cls(tuple(ip_network(each) for each in networks))
        except ValueError as error:
            raise InvalidValue(field="network", problem=str(error)) from None

    def permits(self, text: str) -> bool:
        """Whether a server may connect to an address."""
        address = ip_address(text.partition("%")[0])
        if any(address in network for network in self.allowed):
            return True
        inner = _inner(address)
        if inner is not None:
            return self.permits(str(inner))
        if isinstance(address, IPv6Address) and address not in _UNICAST:
            return False
        in_use = not any(address in network for network in _UNUSED)
        return address.is_global and in_use and not address.is_multicast and not address.is_reserved

    def resolve(self, url: RemoteUrl, lookup: Lookup = look_up) -> tuple[str, ...]:
        """Return the addresses at which a remote may be reached; () for what is no host.

        Raises:
            RemoteUnavailable: there is no such host.
            AddressRefused: none of its addresses is allowed.
        """
        if url.scheme is Scheme.FILE:
            return ()
        try:
            found = lookup(url.host, url.origin.port or 0)
        except (OSError, UnicodeError):
            raise RemoteUnavailable(url=url.address, detail="there is no such host") from None
        permitted = tuple(dict.fromkeys(each for each in found if self.permits(each)))
        if not permitted:
            # The address itself is not shown: it would map the operator's network.
            detail = "its host is at an address that this server does not connect to"
            raise AddressRefused(url=url.address, detail=detail)
        return permitted

    def guard_sockets(self) -> None:
        """Make this process resolve names to permitted addresses, and connect to these alone.

        For as long as it lives: not every library looks up what is an address already.
        """
        if self in _GUARDING:
            return
        _GUARDING.add(self)

        def guarded(*arguments: Any, **options: Any) -> list[Any]:
            found = _getaddrinfo(*arguments, **options)
            permitted = [entry for entry in found if self.permits(str(entry[4][0]))]
            if not permitted:
                raise OSError("the address is not allowed")
            return permitted

        def connecting(event: str, arguments: tuple[Any, ...]) -> None:
            if event == "socket.connect" and not self._permits_peer(arguments[1]):
                raise OSError("the address is not allowed")

        socket.getaddrinfo = guarded
        sys.addaudithook(connecting)

    def _permits_peer(self, address: Any) -> bool:
        """Whether a socket may be connected; to a path, which is no host, but to no name."""
        if not isinstance(address, tuple):
            return True
        try:
            return self.permits(str(address[0]))
        except ValueError:
            return False


def _inner(address: Address) -> Address | None:
    """Return the address that another one contains."""
    if isinstance(address, IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None
