"""Conflicts with a revision that was fetched: compared for a person, and settled one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from towline.conflicts import Conflict
from towline.errors import ContentMissing
from towline.explain import Explanation, explain
from towline.frozen import frozen
from towline.model import AssetId, Digest, Revision, ThreeWay
from towline.options import Side
from towline.plan import Plan
from towline.ports import Remote
from towline.resolutions import SavedResolution
from towline.resolve import OpenConflict, PlannedConflicts, open_conflicts
from towline_server.errors import ConflictMoved, existing
from towline_server.projects.domain import Project
from towline_server.projects.store import SqlStore

MOST_CONTENT_BYTES = 4 * 1024 * 1024
"""Of all contents of one conflict together; what does not fit is left out."""


@frozen(kw_only=True)
class Conflicts:
    """The conflicts between a project and a revision, saved resolutions aside."""

    planned: PlannedConflicts | None = None
    """None: nothing was ever fetched."""

    @property
    def plan(self) -> Plan | None:
        """That of a pull without saved resolutions."""
        return None if self.planned is None else self.planned.plan

    @property
    def base(self) -> Revision | None:
        """The revision that was last pulled."""
        return None if self.plan is None else self.plan.before.base

    @property
    def revision(self) -> Revision | None:
        """The revision that the project is compared with."""
        return None if self.plan is None else self.plan.revision

    @property
    def conflicts(self) -> tuple[Conflict, ...]:
        """The conflicts, by path."""
        return () if self.plan is None else self.plan.conflicts

    @property
    def saved(self) -> tuple[SavedResolution, ...]:
        """The resolutions that are saved for them, and have not lapsed."""
        return () if self.planned is None else tuple(self.planned.saved.values())

    @property
    def resolved(self) -> tuple[AssetId, ...]:
        """The assets whose conflict the next pull settles by saved resolutions."""
        return () if self.planned is None else self.planned.settled


@frozen(kw_only=True)
class Choice:
    """How a person settles the conflict of one asset: by one of the first three.

    ``digests`` are those of the contents that they saw; None: they are not compared.
    """

    side: Side | None = None
    content: bytes | None = None
    fields: Mapping[str, Side] | None = None
    digests: ThreeWay[Digest | None] | None = None


@frozen(kw_only=True)
class ExplainedParty:
    """An asset of a conflict, compared; ``contents`` has the bytes of its sides, by digest.

    Bytes are missing that cannot be read any more, or that do not fit into `MOST_CONTENT_BYTES`.
    """

    open: OpenConflict
    explanation: Explanation
    contents: Mapping[Digest, bytes]


@dataclass(slots=True)
class ContentReader:
    """Reads contents of a project, and saves the first `MOST_CONTENT_BYTES` of them."""

    store: SqlStore
    remote: Remote
    saved: dict[Digest, bytes] = field(default_factory=dict)

    def read(self, digest: Digest) -> bytes | None:
        """Return the bytes of this digest, or None where they are missing."""
        if digest in self.saved:
            return self.saved[digest]
        content = self.store.read(digest)
        if content is None:
            try:
                content = next((found for _, found in self.remote.contents([digest])), None)
            except ContentMissing:
                return None
        size = sum(map(len, self.saved.values()))
        if content is not None and size + len(content) <= MOST_CONTENT_BYTES:
            self.saved[digest] = content
        return content


def explained(
    plan: Plan, asset_id: str, reader: ContentReader, project: Project
) -> tuple[ExplainedParty, ...]:
    """Compare each party of the conflict that an asset is in. Raises NotFound: it is in none."""
    return tuple(
        ExplainedParty(
            open=party,
            explanation=explain(party.party.states, reader.read, party.rules),
            contents=reader.saved,
        )
        for party in _open(plan, asset_id, reader, project)
    )


def resolution(
    plan: Plan, asset_id: str, choice: Choice, reader: ContentReader, project: Project
) -> SavedResolution:
    """Return the resolution of one asset's conflict, to be saved.

    Raises:
        NotFound: it is in no conflict.
        ConflictMoved: a content is another one than the caller saw.
        InvalidResolution, InvalidValue: as `towline.resolve.OpenConflict.resolution`.
    """
    parties = _open(plan, asset_id, reader, project)
    found = next(each for each in parties if each.party.asset_id == asset_id)
    digests = found.party.states.map(lambda state: None if state is None else state.digest)
    if choice.digests is not None and choice.digests != digests:
        raise ConflictMoved(path=found.path)
    return found.resolution(side=choice.side, content=choice.content, fields=choice.fields)


def _open(
    plan: Plan, asset_id: str, reader: ContentReader, project: Project
) -> tuple[OpenConflict, ...]:
    conflict = existing(conflict_of(plan.conflicts, asset_id), "conflict")
    return open_conflicts(
        replace(plan, conflicts=(conflict,)),
        reader.read,
        kinds=project.kinds,
        content_merge=project.settings.content_merge,
    )


def conflict_of(conflicts: tuple[Conflict, ...], asset_id: str) -> Conflict | None:
    """Return the conflict that an asset is in."""
    for conflict in conflicts:
        if any(party.asset_id == asset_id for party in conflict.parties):
            return conflict
    return None
