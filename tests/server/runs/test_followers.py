"""Followers of runs: how they see changes, and what they cost however many they are."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import delete

from tests.server.runs.runner import Runner
from tests.server.sql_log import statements
from towline_server.projects.tables import ProjectRow
from towline_server.runs.domain import Run
from towline_server.runs.followers import Follower, Followers, RunChange

LONG = 60.0
"""Seconds after which a test fails that waits in vain."""


class LookedFollowers(Followers):
    """Followers whose test looks for them."""

    def _start(self) -> None:
        pass


@pytest.fixture
def followers(runner: Runner) -> Followers:
    return LookedFollowers(runner.tenant.database, runner.changes)


async def following(
    followers: Followers, runs: list[Run], act: Callable[[list[Follower]], Awaitable[None]]
) -> None:
    """Follow runs, and act once each follower has seen its run as it is."""
    if not runs:
        await act([])
        return

    async def rest(found: list[Follower]) -> None:
        await act([follower, *found])

    with followers.following(runs[0]) as follower:
        assert await follower.next(LONG) is not None
        await following(followers, runs[1:], rest)


def test_one_statement_looks_for_all_and_each_is_handed_the_same(
    runner: Runner, followers: Followers
):
    asked = [runner.runs.request(runner.tenant.project().id) for _ in range(4)]
    threads = threading.active_count()

    async def act(found: list[Follower]) -> None:
        with statements(runner.tenant.database) as seen:
            followers.look()
        assert sum("SELECT" in each for each in seen) == 1
        runner.runs.cancel(asked[0].id)
        with statements(runner.tenant.database) as seen:
            followers.look()
        assert sum("SELECT" in each for each in seen) == 2
        handed = [await each.next(LONG) for each in found if each.followed == asked[0].id]
        assert len(handed) == 10
        assert len(set(handed)) == 1
        assert isinstance(handed[0], RunChange)
        assert handed[0].run.is_terminal
        assert threading.active_count() == threads

    asyncio.run(following(followers, asked * 10, act))


def test_a_change_is_seen_that_was_made_before_another_began_to_follow(
    runner: Runner, followers: Followers
):
    before = runner.runs.request(runner.tenant.project().id)
    after = runner.runs.cancel(before.id)

    async def act(found: list[Follower]) -> None:
        followers.look()
        assert [await each.next(LONG) for each in found if each is found[-1]] != [None]
        assert await found[0].next(0.01) is None, "it has seen it as it is"

    asyncio.run(following(followers, [before, after], lambda found: act(found[::-1])))


def test_what_was_deleted_is_followed_no_longer(runner: Runner, followers: Followers):
    run = runner.runs.request(runner.tenant.project().id)

    async def act(found: list[Follower]) -> None:
        with runner.tenant.database.writing() as session:
            session.execute(delete(ProjectRow).where(ProjectRow.id == run.project_id))
        followers.look()
        assert await found[0].next(LONG) is None
        assert found[0].is_over

    asyncio.run(following(followers, [run], act))


def test_a_process_that_stops_ends_them_all_at_once(runner: Runner, followers: Followers):
    run = runner.runs.request(runner.tenant.project().id)

    async def act(found: list[Follower]) -> None:
        followers.close()
        assert [await each.next(LONG) for each in found] == [None] * 3
        assert all(each.is_over for each in found)
        with followers.following(run) as late:
            assert late.is_over

    asyncio.run(following(followers, [run] * 3, act))
