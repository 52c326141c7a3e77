"""What a process connects to once it is guarded, whatever opens the socket."""

from __future__ import annotations

import subprocess
import sys

GUARDED = """
import asyncio, socket
from towline_server.addresses import AddressPolicy

served = socket.create_server(("127.0.0.1", 0))
port = served.getsockname()[1]
AddressPolicy.parse({networks}).guard_sockets()

def directly():
    socket.socket().connect(("127.0.0.1", port))

def by_name():
    socket.socket().connect(("localhost", port))

def asynchronously():
    asyncio.run(asyncio.open_connection("127.0.0.1", port))

def looked_up():
    socket.create_connection(("localhost", port))

for way in (directly, by_name, asynchronously, looked_up):
    try:
        way()
    except OSError as error:
        print(way.__name__, error)
    else:
        print(way.__name__)
"""


def ways(networks: list[str]) -> list[str]:
    program = GUARDED.format(networks=networks)
    # For as long as a process lives: in one of its own.
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return ended.stdout.decode().splitlines()


def test_only_permitted_addresses_are_connected_to():
    names = ("directly", "by_name", "asynchronously", "looked_up")
    assert ways([]) == [f"{name} the address is not allowed" for name in names]
    # A name that the system would resolve itself is never connected to.
    refused = "by_name the address is not allowed"
    assert ways(["127.0.0.0/8", "::1/128"]) == ["directly", refused, *names[2:]]
