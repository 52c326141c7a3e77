"""The log of a run: what happened, in its row, with no statement for it and no secret in it."""

from __future__ import annotations

import logging
from uuid import uuid4

import pytest

from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.testing.git_server import Answers
from towline_server.projects.domain import Project
from towline_server.runs.domain import Run
from towline_server.runs.run_log import LONGEST_LINE, MOST_LINES, RunLog, decoded


def executed(runner: Runner, project: Project) -> Run:
    run = runner.runs.request(project.id)
    runner.work()
    return runner.runs.get(run.id)


def texts(run: Run) -> list[str]:
    return [line.text for line in run.log]


def test_a_run_says_what_it_did(runner: Runner, tenant: GitTenant, project: Project):
    revision = tenant.commit(rules__a=b"1")
    first, second = executed(runner, project), executed(runner, project)
    assert texts(first) == [
        "attempt 1 of incremental",
        f"fetching heads/main of {tenant.server.url}/repo.git",
        f"fetched {revision}",
        "planned: 1 created; 0 in conflict",
        "applied as pull 1",
    ]
    assert texts(second)[-1] == f"nothing is new since {revision}"
    assert [line.at for line in first.log] == sorted(line.at for line in first.log)


def test_a_run_that_failed_says_why(runner: Runner, tenant: GitTenant, project: Project):
    tenant.server.trouble = Answers(status=403)
    run = executed(runner, project)
    assert run.error is not None
    assert texts(run)[-1] == f"failed: {run.error.message}"


def test_a_plan_that_went_stale_is_in_the_log(runner: Runner, tenant: GitTenant, project: Project):
    tenant.commit(rules__a=b"1")
    run = runner.runs.request(project.id)
    with runner.paused(run.id, "validating"):
        tenant.edit(project, "rules/a", b"1")
    found = texts(runner.runs.get(run.id))
    assert any(text.startswith("planning again: ") for text in found)
    assert sum(text.startswith("planned: ") for text in found) == 2


def test_the_middle_of_a_long_log_is_left_out():
    log = RunLog(uuid4())
    for number in range(MOST_LINES + 50):
        log.note(f"line {number}")
    lines = decoded(log.column()["log"])
    assert len(lines) == MOST_LINES + 1
    assert (lines[0].text, lines[-1].text) == ("line 0", f"line {MOST_LINES + 49}")
    assert lines[MOST_LINES // 2].text == "50 lines are left out here"


def test_secrets_are_masked_and_lines_are_bounded(caplog: pytest.LogCaptureFixture):
    log = RunLog(uuid4())
    with caplog.at_level(logging.DEBUG, "towline.runs"):
        log.add(logging.WARNING, f"refused by https://user:hunter2@git.example/ {'x' * 1000}")
    [line] = decoded(log.column()["log"])
    assert "hunter2" not in line.text + caplog.text
    assert len(line.text) == LONGEST_LINE
    assert line.level == "warning"
