"""What the OpenAPI document says of values beside their types.

The formats are towline's own: for grammars that no regular expression can tell, or none that could
be read. Who owns each stands beside it.
"""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import WithJsonSchema

from towline_server.runs.domain import BackendName

ASSET_ID = "asset-id"
"""`towline.model.AssetId`"""
ASSET_PATH = "asset-path"
"""`towline.names.path_problem`"""
CRON = "cron"
"""`towline_server.runs.schedules.Rhythm`, which leaves it to croniter."""
FOLDER = "folder"
"""The same, or nothing, with slashes around it or without."""
GIT_BRANCH = "git-branch"
"""The short name of a branch: `towline_server.projects.service.Projects.by_branch`."""
GIT_REF = "git-ref"
"""`towline.remotes.refs.WantedRef`"""
GIT_URL = "git-url"
"""`towline.remotes.url.RemoteUrl`"""
GLOB = "glob"
"""`towline.globs`"""
PLAN = "towline-plan"
"""`towline.planfile`"""
PROJECT_PATH = "project-path"
"""`towline_server.projects.domain.ProjectPath`"""
TAG_OR_ANY = "digest-tag-or-any"
"""A digest as HTTP has it, 40 lower-case hex digits between double quotes; or ``*``."""
TIME_ZONE = "time-zone"
"""A name of the IANA's, or nothing: `towline_server.runs.schedules.Rhythm`"""


def of_format(name: str, **bounds: int) -> WithJsonSchema:
    """Says of a string that it is of this format, in place of what its type would say.

    A format whose grammar bounds the length is told without bounds.
    """
    return WithJsonSchema({"type": "string", "format": name, **bounds})


def offering(*words: str) -> WithJsonSchema:
    """Says which words of an enumeration are taken; the others are refused by name, for now."""
    return WithJsonSchema({"type": "string", "enum": [str(word) for word in words]})


OfferedBackend: TypeAlias = Annotated[
    BackendName, offering(BackendName.NATIVE, BackendName.EXTERNAL)
]
"""What can execute runs (`towline_server.runs.runtime`)."""
