"""Runs the real command in a process of its own, and looks at what it did."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

USER = "integration-user"
SECRET = "s3cret/t0ken+x"


@dataclass(frozen=True)
class Completed:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON document; there is nothing else on stdout."""
        return json.loads(self.out)


@dataclass
class Command:
    """Runs ``towline``: in ``folder``, with nothing of the machine's configuration."""

    folder: Path
    home: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __call__(
        self,
        *arguments: str,
        code: int = 0,
        stdin: str | None = None,
        **variables: str,
    ) -> Completed:
        """Run it, and hold it to its exit code and to keeping secrets."""
        ended = subprocess.run(
            [sys.executable, "-m", "towline_cli", *arguments],
            cwd=self.folder,
            env=self.environment(**variables),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        ran = Completed(ended.returncode, ended.stdout, ended.stderr)
        assert ran.code == code, ran
        assert "Traceback" not in ran.err
        for spelling in spellings(SECRET):
            assert spelling not in ran.out + ran.err
        return ran

    def json(self, *arguments: str, code: int = 0, **variables: str) -> Any:
        """Run it with ``--json``; nothing but the document is printed."""
        words = list(arguments)
        place = words.index("--") if "--" in words else len(words)
        ran = self(*words[:place], "--json", *words[place:], code=code, **variables)
        assert ran.err == ""
        return ran.json

    def environment(self, **variables: str) -> dict[str, str]:
        """What the command knows of the machine."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            **self.variables,
            **variables,
        }

    def at(self, folder: Path) -> Command:
        """The same command in another folder."""
        return Command(folder, self.home, self.variables)


def spellings(secret: str) -> list[str]:
    """The forms in which a secret could slip out."""
    basic = base64.b64encode(f"{USER}:{secret}".encode()).decode()
    return [secret, quote(secret, safe=""), quote(secret), basic]


ORDERS = "pipelines/orders.json"
BASE: dict[str, bytes] = {
    "pipelines/orders.json": b'{"name": "orders", "retries": 1, "steps": ["read"]}\n',
    "pipelines/returns.json": b'{"name": "returns", "retries": 1}\n',
    "rules/late.json": b'{"when": "late"}\n',
    "rules/lost.json": b'{"when": "lost"}\n',
    "readme.txt": b"A team's project.\n",
}
THEIRS: dict[str, bytes] = {
    "pipelines/orders.json": b'{"name": "orders", "retries": 5, "steps": ["read"]}\n',
    "pipelines/returns.json": b'{"name": "returns", "retries": 2}\n',
    "rules/lost.json": b'{"when": "lost"}\n',
    "rules/new.json": b'{"when": "new"}\n',
    "readme.txt": b"A team's project.\n",
}
"""orders and returns edited, late deleted, new added."""
README = "readme.txt"
OURS = b'{"name": "mine", "retries": 9, "steps": ["read"]}\n'
NUMBERS = b"".join(b"%d\n" % number for number in range(12))
MINE = NUMBERS.replace(b"3\n", b"three\n", 1).replace(b"8\n", b"eight\n")
YOURS = NUMBERS.replace(b"3\n", b"III\n", 1).replace(b"8\n", b"VIII\n").replace(b"11\n", b"XI\n")


def edit(project: Command, path: str, content: bytes) -> None:
    """Write a file of the project as its user would."""
    file = project.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def files(project: Command) -> dict[str, bytes]:
    """Every file of the project but towline's own."""
    return {
        file.relative_to(project.folder).as_posix(): file.read_bytes()
        for file in sorted(project.folder.rglob("*"))
        if file.is_file() and ".towline" not in file.parts
    }


def states(project: Command) -> dict[str, str]:
    """The path of each asset."""
    return {asset["path"]: asset["state"] for asset in project.json("status")["assets"]}


def paths(items: list[dict[str, Any]]) -> list[str]:
    """The paths of a list of a report."""
    return [item["path"] for item in items]


def wait_until_asleep(process: int) -> None:
    """Return once a process waits in a system call.

    Python handles a signal that comes just before the call only when the call has returned.
    """
    stat = Path(f"/proc/{process}/stat")
    while stat.read_text().rpartition(") ")[2][0] != "S":
        os.sched_yield()
