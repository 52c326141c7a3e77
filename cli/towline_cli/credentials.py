"""Where this command looks for credentials; they are used for one call and never kept or shown."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from towline.remotes.credentials import Credential, Credentials


def credentials(given: Credential | None) -> Credentials:
    """What stood in the URL, else the environment, else netrc, else git's credential helpers."""
    from towline.remotes.credentials import (
        first_of,
        fixed,
        from_git_credential,
        from_mapping,
        from_netrc,
    )

    sources = [
        *([fixed(given)] if given is not None else []),
        from_mapping(os.environ),
        from_netrc(Path(os.environ.get("NETRC") or Path.home() / ".netrc")),
    ]
    if git := shutil.which("git"):
        sources.append(from_git_credential(git, os.environ))
    return first_of(*sources)
