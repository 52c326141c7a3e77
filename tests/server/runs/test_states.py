"""The state machine: total, and the same in code and documentation."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from towline import errors as engine
from towline.errors import Cancelled, TowlineError
from towline.ports import Phase
from towline_server import errors as server
from towline_server.runs.completion import failed, run_error
from towline_server.runs.states import (
    ACTIVE,
    FAILURES,
    RESULTS,
    STARTS_AT,
    TERMINAL,
    TRANSITIONS,
    Fault,
    Outcome,
    ReasonCode,
    ResultClass,
    RunState,
    failure_of,
    may_follow,
    progress_in,
)

_ = server


def every_error(kind: type[TowlineError] = TowlineError) -> Iterator[type[TowlineError]]:
    for each in kind.__subclasses__():
        yield each
        yield from every_error(each)


def test_every_state_has_its_followers_and_its_progress():
    assert set(TRANSITIONS) == set(STARTS_AT) == set(RunState)
    assert {state for state in RunState if state.is_terminal} == set(TERMINAL)
    assert {state for state in RunState if state.is_active} == set(ACTIVE)
    assert set(ACTIVE) | set(TERMINAL) | {RunState.QUEUED} == set(RunState)


def test_the_phases_are_the_engines():
    assert tuple(map(str, ACTIVE)) == tuple(Phase)


def test_every_state_can_be_reached_and_left_for_every_end_it_may_have():
    reached, todo = {RunState.QUEUED}, [RunState.QUEUED]
    while todo:
        for after in TRANSITIONS[todo.pop()]:
            if after not in reached:
                reached.add(after)
                todo.append(after)
    assert reached == set(RunState)
    for state in (RunState.QUEUED, *ACTIVE):
        assert may_follow(state, RunState.FAILED)
        assert may_follow(state, RunState.CANCELLED)
    for before, after in itertools.pairwise(ACTIVE):
        assert may_follow(before, after)


def test_nothing_begins_again_as_if_it_never_had():
    assert not any(may_follow(state, RunState.QUEUED) for state in RunState)


@pytest.mark.parametrize("state", ACTIVE)
def test_progress_grows_within_a_phase_and_ends_before_the_next(state: RunState):
    seen = [progress_in(state, done, 10) for done in range(12)]
    assert seen == sorted(seen)
    assert seen[0] == STARTS_AT[state]
    assert seen[-1] < 100
    assert progress_in(state, 0, None) == progress_in(state, 0, 0) == STARTS_AT[state]
    assert progress_in(state, 3, None) == progress_in(state, 1, 10**6) == STARTS_AT[state] + 1


def test_every_error_means_something_more_than_an_internal_one():
    internal = {each for each in every_error() if failure_of(each).fault is Fault.INTERNAL}
    # The last is an answer to a caller whose run goes on: it ends none.
    assert internal <= {TowlineError, server.ExecutorFailed, server.RunUnderWay}
    assert failure_of(ZeroDivisionError).reason is ReasonCode.INTERNAL_ERROR


def test_every_reason_and_every_class_is_used():
    assert {failure.reason for failure in FAILURES} == set(ReasonCode)
    used = {failure.result for failure in FAILURES} | set(RESULTS.values())
    assert used == set(ResultClass)
    assert {failure.fault for failure in FAILURES} == set(Fault)
    assert set(RESULTS) == set(Outcome)
    assert len({failure.error for failure in FAILURES}) == len(FAILURES)


def test_a_run_does_not_show_what_only_an_operator_may_read():
    error = engine.StoreError(project="p", problem="the disk at /secret is full")
    shown = run_error(error)
    assert "secret" not in f"{shown.message} {shown.data}"
    shown = run_error(RuntimeError("secret"))
    assert (shown.code, shown.message, shown.data) == ("internal_error", "internal error", {})


def test_a_cancelled_run_is_no_failure():
    assert failed(Cancelled()).state is RunState.CANCELLED
    assert failed(RuntimeError()).state is RunState.FAILED


def states_markdown() -> str:
    """Return the state machine as a Markdown table."""
    lines = ["| state | may be followed by | progress |", "|---|---|---|"]
    for state, following in TRANSITIONS.items():
        after = ", ".join(following) or "nothing: it is terminal"
        progress = (
            "as it was" if state in (RunState.FAILED, RunState.CANCELLED) else STARTS_AT[state]
        )
        lines.append(f"| {state} | {after} | {progress} |")
    return "\n".join(lines) + "\n"


def failures_markdown() -> str:
    """Return what each class of errors means for a run, as a Markdown table."""
    lines = ["| error | result class | reason code | fault |", "|---|---|---|---|"]
    for failure in FAILURES:
        name = "any other" if failure.error is BaseException else f"`{failure.error.__name__}`"
        lines.append(f"| {name} | {failure.result} | {failure.reason} | {failure.fault} |")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("table", [states_markdown, failures_markdown])
def test_the_documentation_holds_the_tables(table: Callable[[], str]):
    page = Path(__file__).parents[3] / "docs" / "runs.md"
    assert table() in page.read_text("utf-8")
