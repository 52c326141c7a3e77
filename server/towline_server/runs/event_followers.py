"""Followers of projects: one thread reads the events that were appended, and hands them to all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from towline_server.db.session import Database
from towline_server.loops import ChangeSignal
from towline_server.projects.asset_events import (
    AssetEvents,
    EventFilter,
    EventPage,
    last_events,
)

from .following import FollowersOf, Waiting, end_all, hand_out

_TOGETHER = 500
"""Events that are read at once; their contents are not among them."""


class EventFollower(Waiting):
    """Waits for the events of a project."""

    def __init__(self, project_id: UUID) -> None:
        super().__init__(project_id)
        self._last: EventPage | None = None

    def put(self, page: EventPage) -> None:
        """Hand over the newest events, in the thread of the loop."""
        self._last = page
        self._woken.set()

    async def next(self, after: int, seconds: float) -> EventPage | None:
        """Return the newest events, if some have a sequence above ``after``; else wait for them.

        Where the page begins later than that, events between are to be read first. None: there were
        none for so long, or nothing follows.
        """
        if self._last is None or self._last.last <= after:
            await self.wait(seconds)
        return None if self._last is None or self._last.last <= after else self._last


class EventFollowers(FollowersOf[EventFollower]):
    """The followers of projects' events."""

    def __init__(self, database: Database, changes: ChangeSignal) -> None:
        super().__init__("towline-event-followers", changes)
        self._database = database
        self._seen: dict[UUID, EventPage | None] = {}
        """The page that was handed out last; None: nothing was read yet."""

    @contextmanager
    def following(self, project_id: UUID) -> Iterator[EventFollower]:
        """Follow the events of a project, within a coroutine."""
        with self._following(EventFollower(project_id)) as follower:
            yield follower

    def read(self, project_id: UUID, wanted: EventFilter, after: int) -> EventPage:
        """Return events that were appended before a follower began. Raises NotFound."""
        with self._database.reading() as session:
            return AssetEvents(session, project_id).page(wanted, after=after, limit=_TOGETHER)

    def look(self) -> None:
        """Read the events that were appended to followed projects, and hand them out."""
        with self._lock:
            seen = dict(self._seen)
        if not seen:
            return
        new: dict[UUID, EventPage] = {}
        with self._database.reading() as session:
            last = last_events(session, seen)
            for project_id, number in last.items():
                before = seen[project_id]
                if before is None:
                    new[project_id] = EventPage(after=number, events=(), last=number)
                elif number > before.last:
                    events = AssetEvents(session, project_id)
                    new[project_id] = events.page(EventFilter(), after=before.last, limit=_TOGETHER)
        for project_id in seen.keys() - last.keys():
            end_all(self._all_of(project_id))
        for project_id, page in new.items():
            self._put(project_id, page)

    def _put(self, project_id: UUID, page: EventPage) -> None:
        with self._lock:
            if project_id not in self._followers:
                return
            self._seen[project_id] = page
            everyone = list(self._followers[project_id])
        if page.has_next:
            self._woken.set()
        hand_out(everyone, lambda each: each.put(page))

    def _add(self, follower: EventFollower) -> bool:
        is_first = super()._add(follower)
        if is_first:
            self._seen[follower.followed] = None
            self._woken.set()
        elif (page := self._seen[follower.followed]) is not None:
            follower.put(page)
        return is_first

    def _remove(self, follower: EventFollower) -> bool:
        was_last = super()._remove(follower)
        if was_last:
            del self._seen[follower.followed]
        return was_last
