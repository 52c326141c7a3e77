"""The store of docs/embedding.md passes the contract and the property, as printed."""

import re
from copy import copy
from pathlib import Path
from typing import Any

import pytest

from towline.errors import StoreBusy
from towline.ports import Watch
from towline.testing.plans import KnownContents, create, plan_of

PAGE = Path(__file__).parents[2] / "docs" / "embedding.md"
BLOCK = r"<!-- A test runs this block: [^>]*-->\n```python\n(.*?)```"
STORE, CONTRACT, PROPERTY = re.findall(BLOCK, PAGE.read_text("utf-8"), re.DOTALL)
PRINTED: dict[str, Any] = {"__name__": __name__}
for block in (STORE, CONTRACT, PROPERTY):
    exec(compile(block, f"<{PAGE.name}>", "exec"), PRINTED)  # the page is ours
LmdbStore, TestLmdbStore = PRINTED["LmdbStore"], PRINTED["TestLmdbStore"]
test_it_answers_as_the_store_in_memory_does = PRINTED["test_it_answers_as_the_store_in_memory_does"]


def test_the_store_has_at_most_60_lines_of_its_own():
    assert len([line for line in STORE.splitlines() if line.strip()]) <= 60


def test_a_writer_that_lost_its_claim_writes_nothing(tmp_path):
    first = LmdbStore(tmp_path, "project")
    later = copy(first)
    plan = plan_of(first, create(first, "a", b"1"))
    first.claim()
    with pytest.raises(StoreBusy):
        first.apply(plan, KnownContents(b"1", on_ask=later.claim), Watch())
    assert later.apply(plan, KnownContents(b"1"), Watch()).number == 1
