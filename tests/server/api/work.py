"""Work as an executor reads it from JSON."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from towline.codec import decode
from towline.kinds import Kinds
from towline.limits import Limits
from towline.model import AssetId, AssetPath, Revision
from towline.names import NamePolicy
from towline.records import AssetRecord, StoreState
from towline.remotes.windows import Window
from towline.resolutions import SavedResolution
from towline_server.projects.domain import ProjectPath, PullSettings
from towline_server.runs.external import Work


def work_of(given: dict[str, Any]) -> Work:
    """What an executor makes of the JSON: the library decodes what it encoded."""
    return Work(
        project=given["project"],
        path=ProjectPath.parse(given["path"]),
        kinds=decode(Kinds, given["kinds"]),
        names=NamePolicy(given["names"]),
        state=decode(StoreState, given["state"]),
        records=tuple(decode(AssetRecord, each) for each in given["records"]),
        used={
            AssetId(asset_id): None if path is None else AssetPath(path)
            for asset_id, path in given["used"].items()
        },
        url=given["url"],
        ref=given["ref"],
        scope=given["scope"],
        settings=decode(
            PullSettings, {each.name: given[each.name] for each in fields(PullSettings)}
        ),
        resolutions=tuple(decode(SavedResolution, each) for each in given["resolutions"]),
        limits=decode(Limits, given["limits"]),
        window=None if given["window"] is None else decode(Window, given["window"]),
        tip=None if given["tip"] is None else Revision(given["tip"]),
    )
