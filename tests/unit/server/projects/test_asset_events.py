"""The events of a project: what pulls changed, once, in order, with both states."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.databases import open_database
from towline import OnConflict, PullOptions, Watch, pull, undo
from towline.errors import MovedError, StoreError, UndoBlocked, UnknownPull
from towline.kinds import Kind, Kinds
from towline.model import AssetId, AssetPath, AssetState, Digest
from towline.ports import Applied
from towline.testing.plans import now
from towline_server.db import Database
from towline_server.projects.asset_events import (
    AssetChange,
    AssetEvent,
    AssetEvents,
    EventFilter,
    delete_old,
    delete_unwanted,
    want_events,
)
from towline_server.projects.asset_tables import AssetRow, BlobRow, RetainedBlobRow
from towline_server.projects.service import Projects

from .pulled import PulledProject, make_project

KINDS = Kinds((Kind(name="rule", globs=("rules/**",)), Kind(name="file", globs=("*",))))
BOTH = ("file", "rule")
NAMES = [*"abcdefghijkl", *(f"rules/{name}" for name in "abcdefghijkl")]
OWNER, ANOTHER = UUID(int=1), UUID(int=2)

States = dict[AssetId, tuple[str, AssetState]]
"""What is in a project: of which kind, and its state."""


def wanting(database: Database, *kinds: str, keep: int = 50) -> PulledProject:
    """A project of which changes of these kinds are wanted."""
    here = make_project(database, kinds=KINDS, keep=keep)
    want(here, *kinds)
    return here


def want(here: PulledProject, *kinds: str, owner: UUID = OWNER) -> list[str]:
    with here.database.writing() as session:
        return want_events(session, here.project_id, owner, kinds)


def events_of(here: PulledProject, after: int = 0) -> tuple[AssetEvent, ...]:
    with here.database.reading() as session:
        events = AssetEvents(session, here.project_id)
        return events.page(EventFilter(), after=after, limit=10_000).events


def states_of(here: PulledProject) -> States:
    found = now(here.store).records()
    return {each.id: (each.kind, each.ours) for each in found if each.ours is not None}


def folded(states: States, events: Sequence[AssetEvent]) -> States:
    """States after events, each of which must fit those before it."""
    states = dict(states)
    for event in events:
        found = states.pop(event.asset_id, None)
        assert found == (None if event.before is None else (event.kind, event.before)), event
        if event.after is not None:
            states[event.asset_id] = event.kind, event.after
    return states


# --- what they say ------------------------------------------------------------------------------


@dataclass
class Life:
    """A project whose repository and users change it at random."""

    here: PulledProject
    random: Random
    tree: dict[str, bytes] = field(default_factory=dict)

    def step(self) -> None:
        """Change the repository, pull it, or undo a pull."""
        for _ in range(self.random.randint(1, 3)):
            self._change_tree()
        self.here.remote.commit(self.tree)
        if self.random.random() < 0.3:
            with suppress(UnknownPull, UndoBlocked):
                undo(self.here.store)
        self._pull()

    def edit(self) -> None:
        """Edit, move or delete an asset here."""
        asset_id, (_, state) = self.random.choice(sorted(states_of(self.here).items()))
        match self.random.randrange(3):
            case 0:
                self.here.store.put(state.path, self._content())
            case 1:
                self.here.store.move(asset_id, AssetPath(f"moved-{self.random.random()}"))
            case _:
                self.here.store.delete(asset_id)

    def _pull(self) -> None:
        policy = self.random.choice([OnConflict.THEIRS, OnConflict.SKIP])
        pull(
            self.here.store,
            self.here.remote,
            options=PullOptions(on_conflict=policy, allow_empty=True),
        )

    def _change_tree(self) -> None:
        path = self.random.choice(sorted(self.tree) or ["a"])
        free = self.random.choice([name for name in NAMES if name not in self.tree])
        match self.random.randrange(5):
            case 0:
                self.tree.pop(path, None)
            case 1 | 2 if path in self.tree:
                self.tree[free] = self.tree.pop(path)
            case 3:
                self.tree[free] = self._content()
            case _:
                self.tree[path] = self._content()

    def _content(self) -> bytes:
        return b"%d\n" % self.random.randrange(10**6)


@pytest.mark.parametrize("seed", range(1, 6))
def test_all_events_from_the_first_make_the_assets(seed: int, database: Database):
    here = wanting(database, *BOTH, keep=2)
    life = Life(here, Random(seed))
    for _ in range(15):
        life.step()
    events = events_of(here)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.pull for event in events] == sorted(event.pull for event in events)
    assert folded({}, events) == states_of(here)
    assert any(event.renamed_from for event in events)
    check_contents(here, events)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_events_of_each_pull_are_what_it_changed(seed: int, database: Database):
    """Also where users edit between pulls: their edits are in ``before``."""
    here = wanting(database, *BOTH, keep=2)
    life = Life(here, Random(100 + seed))
    life.step()
    for _ in range(12):
        if states_of(here):
            life.edit()
        before, last = states_of(here), len(events_of(here))
        life.step()
        assert folded(before, events_of(here, after=last)) == states_of(here)
    check_contents(here, events_of(here))


def check_contents(here: PulledProject, events: Sequence[AssetEvent]) -> None:
    """The bytes of each state can be read, whatever was deleted and can no longer be undone."""
    with here.database.reading() as session:
        found = AssetEvents(session, here.project_id)
        for event in events:
            for state in (event.before, event.after):
                if state is not None:
                    assert Digest.of(found.content(state.digest)) == state.digest


def test_an_event_says_what_the_report_says(database: Database):
    here = wanting(database, *BOTH)
    here.pull(a=b"1\n", b=b"moved\n", gone=b"gone\n", merged=b"1\n2\n3\n4\n")
    here.store.put(AssetPath("a"), b"ours")
    here.store.put(AssetPath("merged"), b"0\n2\n3\n4\n")
    here.remote.commit({"a": b"2\n", "new": b"1\n", "c": b"moved\n", "merged": b"1\n2\n3\n5\n"})
    options = PullOptions(on_conflict=OnConflict.THEIRS)
    moment = datetime(2026, 5, 1, tzinfo=UTC)
    run_id = uuid4()
    store = here.open(run_id=run_id)
    pull(store, here.remote, options=options, watch=Watch(now=moment))
    events = {event.path: event for event in events_of(here, after=4)}
    assert {path: str(event.change) for path, event in events.items()} == {
        "a": "overwritten",
        "c": "updated",
        "gone": "deleted",
        "merged": "updated",
        "new": "created",
    }
    assert events[AssetPath("c")].renamed_from == "b"
    assert events[AssetPath("merged")].merged
    assert {(event.pull, event.at, event.run_id) for event in events.values()} == {
        (2, moment, run_id)
    }
    undo(here.store)
    undone = events_of(here, after=max(event.sequence for event in events.values()))
    assert {(event.pull, event.undoes) for event in undone} == {(3, 2)}
    assert {(event.before, event.after) for event in undone} == {
        (event.after, event.before) for event in events.values()
    }


def test_an_asset_of_another_kind_leaves_one_and_enters_the_other(database: Database):
    here = wanting(database, *BOTH)
    here.pull(a=b"content that is found again\n")
    here.remote.commit({"rules/a": b"content that is found again\n"})
    here.pull()
    [_, left, entered] = events_of(here)
    assert (left.kind, left.change, left.path) == ("file", AssetChange.DELETED, "a")
    assert (entered.kind, entered.change, entered.path) == ("rule", AssetChange.CREATED, "rules/a")
    assert left.asset_id == entered.asset_id


# --- which are appended -------------------------------------------------------------------------


def test_only_what_is_wanted_is_appended_and_only_since(database: Database):
    here = make_project(database, kinds=KINDS)
    here.pull(a=b"1", **{"rules/a": b"1"})
    assert events_of(here) == ()
    want(here, "rule")
    here.pull(a=b"2", **{"rules/a": b"2"})
    [event] = events_of(here)
    assert (event.sequence, event.path, event.pull) == (1, "rules/a", 2)
    here.store.put(AssetPath("rules/a"), b"mine")
    here.pull(a=b"2", **{"rules/a": b"2"})
    assert len(events_of(here)) == 1, "a local edit is no pull's, nor is a pull of nothing"


def test_a_commit_that_fails_appends_nothing_and_the_next_try_once(database: Database):
    here = wanting(database, *BOTH)

    def fail(_session: Session, _applied: Applied) -> None:
        raise StoreError(project="x", problem="it fails")

    here.remote.commit({"a": b"1"})
    for _ in range(2):
        with pytest.raises(StoreError):
            pull(here.open(before_commit=fail), here.remote)
    assert events_of(here) == ()
    here.pull()
    assert [(event.sequence, event.pull) for event in events_of(here)] == [(1, 1)]


@pytest.mark.services
def test_pulls_of_two_servers_append_in_the_order_of_their_commits(postgres_url: str):
    databases = [open_database(postgres_url) for _ in range(2)]
    here = wanting(databases[0], *BOTH)

    def pulls(number: int) -> int:
        mine, pulled = PulledProject(databases[number], here.project_id), 0
        for turn in range(25):
            mine.remote.commit({f"f{each}": b"%d %d" % (number, turn) for each in range(5)})
            with suppress(MovedError):
                pull(mine.store, mine.remote)
                pulled += 1
        return pulled

    with ThreadPoolExecutor(2) as pool:
        pulled = sum(pool.map(pulls, range(2)))
    events = events_of(here)
    assert [event.sequence for event in events] == list(range(1, 5 * pulled + 1))
    assert [event.pull for event in events] == sorted(event.pull for event in events)
    assert folded({}, events) == states_of(here)
    for database in databases:
        database.close()


# --- how long they are stored -------------------------------------------------------------------


def bytes_needed(here: PulledProject) -> set[Digest]:
    with here.database.reading() as session:
        found: set[Digest] = set()
        for column in (AssetRow.digest, RetainedBlobRow.digest):
            found.update(each for each in session.scalars(select(column)) if each is not None)
        return found


def bytes_stored(here: PulledProject) -> set[Digest]:
    with here.database.reading() as session:
        return set(session.scalars(select(BlobRow.digest)))


def test_what_is_old_goes_with_its_bytes(database: Database):
    here = wanting(database, *BOTH, keep=1)
    for number in range(5):
        here.remote.commit({"a": b"%d" % number})
        moment = datetime(2026, 1, 1 + number, tzinfo=UTC)
        pull(here.store, here.remote, watch=Watch(now=moment))
    assert len(bytes_stored(here)) == 5
    third = datetime(2026, 1, 3, tzinfo=UTC)
    with database.writing() as session:
        assert [delete_old(session, third, 1) for _ in range(3)] == [1, 1, 0]
    assert [event.sequence for event in events_of(here)] == [3, 4, 5]
    check_contents(here, events_of(here))
    with database.writing() as session:
        assert delete_old(session, third + timedelta(days=30), 100) == 3
    assert bytes_stored(here) == bytes_needed(here)
    here.pull(a=b"again")
    assert [event.sequence for event in events_of(here)] == [6], "no number is used twice"


def test_what_no_owner_wants_any_more_goes(database: Database):
    here = wanting(database, *BOTH, keep=1)
    want(here, "file", owner=ANOTHER)
    for content in (b"1", b"2", b"3"):
        here.pull(a=content, **{"rules/a": content + b"r"})
    assert want(here) == ["rule"]
    with database.writing() as session:
        for kind in BOTH:
            delete_unwanted(session, here.project_id, kind, 100)
    assert {event.kind for event in events_of(here)} == {"file"}, "another owner wants it"
    check_contents(here, events_of(here))
    named = {state.digest for e in events_of(here) for state in (e.before, e.after) if state}
    assert bytes_stored(here) == bytes_needed(here) | named


def test_a_deleted_project_takes_its_events_along(database: Database):
    here = wanting(database, *BOTH)
    here.pull(a=b"1")
    with database.writing() as session:
        Projects(session).delete(here.project_id)
    assert bytes_stored(here) == set()
