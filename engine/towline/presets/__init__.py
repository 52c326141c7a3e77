"""Kinds of well-known products, as data: one kinds file each (docs/kinds.md).

Each says which files of a product's repository are assets, where their ids are, by which key list
elements are known, and which fields change with every save.
"""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from importlib import resources

from towline.errors import InvalidValue
from towline.kinds import Kinds

PRESET_PREFIX = "preset:"
"""Marks the name of a preset where kinds are expected: ``preset:n8n``."""


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, in order."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(each.name[:-5] for each in files if each.name.endswith(".toml")))


@lru_cache
def load_preset(name: str) -> Kinds:
    """Return the kinds of a preset.

    Raises:
        InvalidValue: there is no preset of this name.
    """
    import tomllib

    names = preset_names()
    if name not in names:
        near = get_close_matches(name, names, n=1)
        fix = f"did you mean {near[0]}?" if near else f"the presets are {', '.join(names)}"
        raise InvalidValue(field="kinds", problem=f"unknown preset {name!r}: {fix}")
    text = resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return Kinds.from_document(tomllib.loads(text))
