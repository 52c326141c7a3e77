"""A real SSH server, started on the loopback as an unprivileged child, and its keys."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.loopback import free_port


def make_key(path: Path) -> None:
    """Make a key without a passphrase; the public one is beside it."""
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(path)]
    subprocess.run(command, check=True)


@contextmanager
def running_sshd(folder: Path, *settings: str) -> Iterator[int]:
    """Serve with the keys ``host`` and ``authorized`` of a folder; yields the port."""
    found = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found is not None, "these tests need sshd (Debian: openssh-server)"
    port = free_port()
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder}/host",
        f"AuthorizedKeysFile {folder}/authorized",
        f"PidFile {folder}/sshd.pid",
        *("StrictModes no", "UsePAM no", "PasswordAuthentication no"),
        *("KbdInteractiveAuthentication no", "PermitRootLogin yes"),
        *settings,
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    command = [found, "-D", "-e", "-f", str(folder / "sshd_config")]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        assert server.stderr is not None
        assert any(b"listening on" in line for line in server.stderr), "sshd did not start"
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=10)
