"""Bytes as rows: held as long as something stands with them, or undoing a pull needs them.

Nothing is counted. What is no longer needed is what no row names, asked of the few digests that a
write let go; so no count can drift, and the database itself refuses to lose bytes that a row names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import delete, exists, select
from sqlalchemy.orm import Session

from towline.model import Digest
from towline_server.db.statements import batches, insert_missing

from .asset_tables import Asset, Blob, KeptBlob


class Contents:
    """One project's bytes, in a session."""

    def __init__(self, session: Session, project_id: UUID) -> None:
        self._session = session
        self._project_id = project_id

    def read(self, digest: Digest) -> bytes | None:
        """The bytes of a digest, if they are held."""
        wanted = (Blob.project_id == self._project_id, Blob.digest == digest)
        return self._session.scalar(select(Blob.content).where(*wanted))

    def hold(self, brought: Mapping[Digest, bytes]) -> None:
        """Take bytes in; the caller then writes the rows that name them."""
        rows = [
            {
                "project_id": self._project_id,
                "digest": digest,
                "size": len(content),
                "content": content,
            }
            for digest, content in brought.items()
        ]
        insert_missing(self._session, Blob, rows)

    def keep(self, pull: int, digests: Iterable[Digest]) -> None:
        """Keep bytes for undoing a pull."""
        rows = [
            {"project_id": self._project_id, "pull": pull, "digest": digest}
            for digest in sorted(digests)
        ]
        insert_missing(self._session, KeptBlob, rows)

    def unkeep(self, newest: int) -> list[Digest]:
        """Keep nothing any more for this pull and older ones; returns what was kept."""
        gone = (KeptBlob.project_id == self._project_id, KeptBlob.pull <= newest)
        found = self._session.scalars(
            delete(KeptBlob).where(*gone).returning(KeptBlob.digest),
            execution_options={"synchronize_session": False},
        )
        return sorted(set(found))

    def sweep(self, digests: Iterable[Digest]) -> None:
        """Drop those of these bytes that nothing names any more."""
        named = (
            exists().where(table.project_id == Blob.project_id, table.digest == Blob.digest)
            for table in (Asset, KeptBlob)
        )
        loose = [~each for each in named]
        for some in batches(sorted(set(digests))):
            mine = (Blob.project_id == self._project_id, Blob.digest.in_(some))
            self._session.execute(
                delete(Blob).where(*mine, *loose),
                execution_options={"synchronize_session": False},
            )
