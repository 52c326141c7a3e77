"""Which connections make room for others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from towline_server.web.protocol import BoundedProtocol, OpenConnections


@dataclass(eq=False)
class Connection:
    host: str
    is_waiting: bool = True
    is_evicted: bool = False

    @property
    def client(self) -> tuple[str, int]:
        return self.host, 1

    def evict(self) -> None:
        self.is_evicted = True


def added(found: OpenConnections, *connections: Connection) -> list[bool]:
    return [found.add(cast(BoundedProtocol, each)) for each in connections]


def bounded(in_all: int = 100, of_address: int = 2, **more: tuple[str, ...]) -> OpenConnections:
    return OpenConnections(in_all=in_all, of_address=of_address, **more)


def test_the_oldest_that_waits_makes_room_within_its_address():
    other, busy = Connection("10.0.0.9"), Connection("10.0.0.1", is_waiting=False)
    waiting = [Connection("10.0.0.1") for _ in range(3)]
    assert all(added(bounded(), other, busy, *waiting))
    assert [each.is_evicted for each in (other, busy, *waiting)] == [0, 0, 1, 1, 0]


def test_where_all_are_at_work_the_new_one_is_refused():
    busy = [Connection("10.0.0.1", is_waiting=False) for _ in range(3)]
    found = bounded()
    assert added(found, *busy) == [True, True, False]
    found.discard(cast(BoundedProtocol, busy[0]))
    assert added(found, busy[2]) == [True]


def test_all_addresses_have_one_bound():
    hosts = [Connection(f"10.0.0.{each}") for each in range(4)]
    assert all(added(bounded(in_all=3), *hosts))
    assert [each.is_evicted for each in hosts] == [1, 0, 0, 0]


def test_what_an_address_is():
    found = bounded(of_address=1, proxies=("10.0.0.0/8", "localhost"))
    proxied = [Connection("10.0.0.1"), Connection("::ffff:10.0.0.1")]
    network = [Connection("2001:db8::1"), Connection("2001:db8::2%eth0"), Connection("2001:db9::1")]
    assert all(added(found, *proxied, *network))
    assert [each.is_evicted for each in (*proxied, *network)] == [0, 0, 1, 0, 0]
