"""Tab completion of asset paths. It never fails: with nothing to offer it offers nothing."""

from __future__ import annotations

import os

import click


def asset_paths(context: click.Context, incomplete: str) -> list[str]:
    """The paths of this project's assets that begin with what was typed."""
    from .project import open_project

    # The group's callback, which goes there, does not run while a line is completed.
    folder = context.find_root().params.get("folder")
    try:
        if folder is not None:
            os.chdir(folder)
        with open_project() as project:
            paths = [record.ours.path for record in project.store.records() if record.ours]
    except Exception:  # noqa: BLE001 - a message would land in the middle of the typed line
        return []
    return sorted(path for path in paths if path.startswith(incomplete))
