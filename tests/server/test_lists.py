"""What lists read: no report and no plan, however many rows they show."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from sqlalchemy import event

from tests.server.populated import populated_server
from tests.server.recording import Recording

LARGE = re.compile(r"\b(?:runs\w*\.report|pulls\.report|pulls\.plan|plans\.document)\b(?! IS )")
"""Columns as large as a project."""
ALONE = frozenset({"native_list_attempts"})
"""They list the attempts of one run, which is read first, to authorise the caller."""


def test_no_list_of_any_dialect_reads_what_is_as_large_as_a_project(tmp_path: Path):
    read: dict[str, list[str]] = {}

    class Listening(Recording):
        """Asks each operation, and notes which large columns its statements select."""

        def _ask(self, *arguments: Any) -> None:
            name = arguments[2]["operationId"]
            sent: list[str] = []
            engine = self.app.state.services.database.engine
            event.listen(
                engine,
                "before_cursor_execute",
                lambda _, __, statement, *___: sent.append(statement),
            )
            super()._ask(*arguments)
            read[name] = [
                column for each in sent for column in LARGE.findall(each.partition(" FROM ")[0])
            ]

    with populated_server(tmp_path) as populated:
        Listening(populated, tmp_path / "towline.sqlite").everything()
    lists = {name: found for name, found in read.items() if "_list_" in name}
    assert {name for name, found in lists.items() if found} <= ALONE
    assert read["codat_get_data_status"] == []
    assert read["native_list_attempts"] == ["runs.report"]
    for whole in ("native_get_run", "syncs_get_sync_run", "native_get_pull", "native_get_plan"):
        assert read[whole], "what shows one of them reads it"
