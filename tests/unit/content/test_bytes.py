"""The bytes of ours stay as they are, but for the fields that theirs changed: in each format."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
import tomlkit
import yaml

from towline.content import merge_content
from towline.model import ThreeWay


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, default_flow_style=None)


WRITERS: dict[str, Callable[[Any], str]] = {
    "yaml": _yaml,
    "toml": tomlkit.dumps,
    "json": lambda value: json.dumps(value, indent=2),
}


class _Values:
    """Random values whose texts are all different."""

    def __init__(self, random: Random) -> None:
        self.random, self.names = random, list[str]()

    def value(self, levels: int) -> Any:
        match self.random.randint(0, 4) if levels else 4:
            case 0 | 1:
                keys = self.random.sample("abcdefg", self.random.randint(1, 4))
                return {key: self.value(levels - 1) for key in keys}
            case 2:
                ids = self.random.sample("pqrstu", self.random.randint(1, 3))
                return [{"id": name, "x": self.value(levels - 1)} for name in ids]
            case 3:
                return [self.value(0) for _ in range(self.random.randint(1, 4))]
            case _:
                self.names.append(f"v{len(self.names)}v")
                return self.names[-1]


def _changed(text: str, names: list[str], to: str) -> str:
    for name in names:
        text = text.replace(name, name.replace("v", to))
    return text


def _commented(random: Random, text: str) -> str:
    """The text with comments and empty lines."""
    lines = []
    for number, line in enumerate(text.split("\n")):
        indent = re.match(" *", line)
        assert indent is not None, "it matches nothing, too"
        if line.strip() and random.random() < 0.1:
            lines.append(f"{indent[0]}# above {number}")
        is_whole = not line.endswith(("[", "{", ","))
        lines.append(f"{line}  # {number}" if is_whole and random.random() < 0.1 else line)
        lines += [""] * (random.random() < 0.05)
    return "\n".join(lines)


@pytest.mark.parametrize("ending", WRITERS)
def test_bytes_outside_the_fields_that_theirs_changed_are_ours(ending: str):
    for seed in range(100):
        random = Random(seed)
        values = _Values(random)
        base = WRITERS[ending]({key: values.value(3) for key in "klm"})
        names = random.sample(values.names, len(values.names))
        theirs, ours = _changed(base, names[:3], "t"), _changed(base, names[3:6], "o")
        if ending == "json":
            ours = random.choice([ours.replace("  ", "\t"), json.dumps(json.loads(ours))])
        else:
            ours = _commented(random, ours)
        ours = random.choice(["", "\ufeff"]) + ours.replace("\n", random.choice(["\n", "\r\n"]))
        ours = random.choice([ours, ours.rstrip()])
        sides = ThreeWay(base.encode(), ours.encode(), theirs.encode())
        merged = merge_content(f"a.{ending}", sides)
        assert merged.content == _changed(ours, names[:3], "t").encode(), (seed, merged)
