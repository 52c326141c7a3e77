"""What a project has, as rows: assets, bytes, used ids, the pull log, events, stored plans."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    column,
)
from sqlalchemy.orm import Mapped, mapped_column

from towline.model import AssetId, AssetPath, Digest, Revision
from towline_server.db.base import Base, ExactText


def _project(*, key: bool = True) -> Any:
    return mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=key)


def _digest() -> Any:
    return mapped_column(ExactText(Digest))


def _path() -> Any:
    return mapped_column(ExactText(AssetPath))


class BlobRow(Base):
    """Bytes by their digest, for one project alone.

    Not shared between projects: who may read a project asks for bytes by digest, and must not
    learn through it what another one holds. A copy in each costs room, and buys that no one's
    deletion, quota or lock meets anybody else's.
    """

    __tablename__ = "blobs"

    project_id: Mapped[UUID] = _project()
    digest: Mapped[Digest] = mapped_column(ExactText(Digest), primary_key=True)
    size: Mapped[int]
    content: Mapped[bytes] = mapped_column(LargeBinary)


class AssetRow(Base):
    """One asset's record (`towline.records.AssetRecord`): its three states, side by side.

    ``path_key``, ``aligned_path`` and ``lagging`` follow from the rest; they are there to be
    found by. The unadorned state is ours; a state is absent where its path is.
    """

    __tablename__ = "assets"
    __table_args__ = (
        # An asset is never here without its bytes.
        ForeignKeyConstraint(["project_id", "digest"], ["blobs.project_id", "blobs.digest"]),
        CheckConstraint("(path IS NULL) = (digest IS NULL)", name="ours_is_whole"),
        Index(None, "project_id", "path", unique=True),
        Index(None, "project_id", "path_key"),
        Index(None, "project_id", "aligned_path"),
        Index(None, "project_id", "embedded_id"),
        Index(None, "project_id", "digest"),
        Index(
            "ix_assets_lagging",
            "project_id",
            "id",
            sqlite_where=column("lagging").is_(True),
            postgresql_where=column("lagging").is_(True),
        ),
    )

    project_id: Mapped[UUID] = _project()
    id: Mapped[AssetId] = mapped_column(ExactText(AssetId), primary_key=True)
    kind: Mapped[str]

    path: Mapped[AssetPath | None] = _path()
    path_key: Mapped[str | None] = mapped_column(ExactText())
    """``path`` as the project's name policy compares it."""
    digest: Mapped[Digest | None] = _digest()
    executable: Mapped[bool] = mapped_column(default=False)

    base_path: Mapped[AssetPath | None] = _path()
    base_digest: Mapped[Digest | None] = _digest()
    base_executable: Mapped[bool] = mapped_column(default=False)

    seen_path: Mapped[AssetPath | None] = _path()
    seen_digest: Mapped[Digest | None] = _digest()
    seen_executable: Mapped[bool] = mapped_column(default=False)
    seen_reason: Mapped[str | None]
    """Why what is seen is no asset; then it has no digest."""

    aligned_path: Mapped[AssetPath | None] = _path()
    lagging: Mapped[bool] = mapped_column(default=False)
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    embedded_id: Mapped[str | None] = mapped_column(ExactText())


class UsedIdRow(Base):
    """An id that this project has, or had, given to an asset; no other gets it again.

    ``path`` is where the asset was last, once its record is dropped: it has its id again there.
    """

    __tablename__ = "used_ids"
    __table_args__ = (Index(None, "project_id", "path", unique=True),)

    project_id: Mapped[UUID] = _project()
    asset_id: Mapped[AssetId] = mapped_column(ExactText(AssetId), primary_key=True)
    path: Mapped[AssetPath | None] = _path()


class ResolutionRow(Base):
    """A text of `towline.stores.resolutions`: a saved resolution, or which of them there are."""

    __tablename__ = "resolution_texts"

    project_id: Mapped[UUID] = _project()
    name: Mapped[str] = mapped_column(ExactText(), primary_key=True)
    text: Mapped[str] = mapped_column(ExactText())


class PullRow(Base):
    """One applied plan and its report. The newest keep their plan, and can be undone."""

    __tablename__ = "pulls"
    __table_args__ = (
        Index(
            "ix_pulls_passed",
            "at",
            sqlite_where=column("plan").is_(None),
            postgresql_where=column("plan").is_(None),
        ),
    )

    project_id: Mapped[UUID] = _project()
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    kind: Mapped[str]
    base: Mapped[Revision | None] = mapped_column(ExactText(Revision))
    revision: Mapped[Revision | None] = mapped_column(ExactText(Revision))
    at: Mapped[datetime | None]
    undoes: Mapped[int | None] = mapped_column(BigInteger)
    undone: Mapped[bool] = mapped_column(default=False)
    plan: Mapped[str | None] = mapped_column(ExactText())
    """As `towline.planfile.dump_plan` writes it; NULL once the log's bound has passed it."""
    report: Mapped[dict[str, Any]]
    """As `towline.report.report_json` gives it."""


class RetainedBlobRow(Base):
    """Bytes that undoing a pull needs."""

    __tablename__ = "retained_blobs"
    __table_args__ = (
        ForeignKeyConstraint(
            ["project_id", "pull"], ["pulls.project_id", "pulls.number"], ondelete="CASCADE"
        ),
        ForeignKeyConstraint(["project_id", "digest"], ["blobs.project_id", "blobs.digest"]),
        Index(None, "project_id", "pull"),
    )

    # Of the project directly, too: PostgreSQL deletes a project's rows level by level, and these
    # must go no later than the bytes that they name.
    project_id: Mapped[UUID] = _project()
    digest: Mapped[Digest] = mapped_column(ExactText(Digest), primary_key=True)
    pull: Mapped[int] = mapped_column(BigInteger, primary_key=True)


class AssetEventRow(Base):
    """One change that one pull made to one asset of a kind in `ProjectRow.event_kinds`.

    ``path`` is where the asset is after it, or was before it was deleted; ``renamed_from`` is where
    it was, if elsewhere. A state is absent where its digest is.
    """

    __tablename__ = "asset_events"
    __table_args__ = (
        # What an event shows can be read for as long as the event is stored.
        ForeignKeyConstraint(["project_id", "before_digest"], ["blobs.project_id", "blobs.digest"]),
        ForeignKeyConstraint(["project_id", "after_digest"], ["blobs.project_id", "blobs.digest"]),
        Index(None, "project_id", "before_digest"),
        Index(None, "project_id", "after_digest"),
        Index(None, "project_id", "path"),
        Index(
            "ix_asset_events_renamed",
            *("project_id", "renamed_from"),
            sqlite_where=column("renamed_from").is_not(None),
            postgresql_where=column("renamed_from").is_not(None),
        ),
        Index(None, "at"),
    )

    project_id: Mapped[UUID] = _project()
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """Grows by one with each event of the project (`ProjectRow.events`)."""
    pull: Mapped[int] = mapped_column(BigInteger)
    undoes: Mapped[int | None] = mapped_column(BigInteger)
    run_id: Mapped[UUID | None]
    at: Mapped[datetime]
    asset_id: Mapped[AssetId] = mapped_column(ExactText(AssetId))
    kind: Mapped[str]
    change: Mapped[str]
    path: Mapped[AssetPath] = mapped_column(ExactText(AssetPath))
    renamed_from: Mapped[AssetPath | None] = _path()
    merged: Mapped[bool]
    before_digest: Mapped[Digest | None] = _digest()
    before_executable: Mapped[bool]
    after_digest: Mapped[Digest | None] = _digest()
    after_executable: Mapped[bool]


class StoredPlanRow(Base):
    """A plan that was made to be looked at, and applied later or never."""

    __tablename__ = "plans"
    __table_args__ = (Index(None, "project_id", "created_at"), Index(None, "created_at"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    project_id: Mapped[UUID] = _project(key=False)
    created_at: Mapped[datetime]
    settings: Mapped[dict[str, Any]]
    """The project's settings that it was made by; not those that its request gave."""
    document: Mapped[str] = mapped_column(ExactText())
    """As `towline.planfile.dump_plan` writes it."""
