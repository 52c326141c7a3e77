"""What a source listed last: the version of each file, and the blob that it was read as."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_NAME = "listed.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedFiles:
    """A file in the cache. One that is damaged, or of other settings, lists nothing."""

    settings: str
    files: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def load(cls, cache: Path, settings: str) -> Self:
        """Return what was listed with these settings."""
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found = json.loads((cache / _NAME).read_bytes())
            if found["settings"] == settings:
                files = {
                    path: (str(version), str(blob))
                    for path, (version, blob) in found["files"].items()
                }
                return cls(settings=settings, files=files)
        return cls(settings=settings)

    def save(self, cache: Path, files: Mapping[str, tuple[str, str]]) -> None:
        """Store what is listed now, unless it is the same."""
        if files == self.files and (cache / _NAME).exists():
            return
        draft = cache / f".{_NAME}"
        draft.write_text(json.dumps({"settings": self.settings, "files": files}))
        draft.replace(cache / _NAME)
