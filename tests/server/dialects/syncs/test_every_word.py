"""Every way in which a sync is defined, started and run comes to its end."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from tests.server.dialects.syncs.client import Found, SyncsClient
from towline_server.dialects.syncs.domain import ExecutionMode, LoadMode, TriggerMode
from towline_server.runs.domain import RunMode, TriggeredBy

STARTS = {
    TriggerMode.MANUAL: [],
    TriggerMode.SCHEDULED: [TriggeredBy.SCHEDULED],
    TriggerMode.ON_CREATE: [TriggeredBy.ON_CREATE],
}
"""What starts a run of an active sync, beside a trigger."""
WAYS = [
    *product(ExecutionMode, TriggerMode, [LoadMode.MIRROR]),
    *product(ExecutionMode, [TriggerMode.MANUAL], [LoadMode.APPEND_EVENT]),
]


@pytest.mark.parametrize(("execution", "trigger", "load"), WAYS)
def test_a_sync_comes_to_its_end_in_every_mode(
    execution: ExecutionMode, trigger: TriggerMode, load: LoadMode, syncs: SyncsClient
):
    sync = _created(syncs, execution, trigger, load)
    syncs.fire()
    syncs.work()
    started = syncs.runs(sync)["runs"]
    assert [run["triggeredBy"] for run in started] == STARTS[trigger]
    assert {run["resultClass"] for run in started} <= {"success"}
    contents = syncs.tenant.contents(syncs.project)
    for number, mode in enumerate(RunMode, start=2):
        syncs.tenant.commit(rules__a=b"%d" % number, tasks__b=b"1")
        run = syncs.done(sync, runMode=mode)
        ended = (run["status"], run["resultClass"], run["runMode"], run["executionMode"])
        assert ended == ("succeeded", "success", mode, execution)
        if mode is not RunMode.DRY_RUN:
            contents = {"rules/a": b"%d" % number, "tasks/b": b"1"}
        assert syncs.tenant.contents(syncs.project) == contents
    assert syncs.get(sync)["status"] == "active"


def _created(
    syncs: SyncsClient, execution: ExecutionMode, trigger: TriggerMode, load: LoadMode
) -> Found:
    kinds = ("rule", "task")
    body: dict[str, Any] = {
        "status": "active",
        "executionMode": execution,
        "triggerMode": trigger,
        "entities": kinds,
        "tableBindings": [{"entityKey": kind, "loadMode": load} for kind in kinds],
    }
    if trigger is TriggerMode.SCHEDULED:
        body["schedule"] = {"everySeconds": 3600}
    return syncs.create(**body)
