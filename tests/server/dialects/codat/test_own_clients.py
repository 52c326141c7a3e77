"""Codat's own Python clients, both that are in use: every call, and every error they know."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients.listener import listening
from tests.clients.packages import ROOT, python_packages, run
from tests.control_plane import cheap_passwords
from tests.databases import open_database
from tests.server.dialects.codat.client import Codat
from tests.server.dialects.tenant_client import TenantClient, basic, client_of
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.runner import Runner
from towline.kinds import Kind, Kinds
from towline_server.auth.roles import Role
from towline_server.projects.service import Projects
from towline_server.runs.service import Runs
from towline_server.services import assemble

SCRIPT = ROOT / "tests" / "clients" / "codat_calls.py"
CHANGING = {"all", "queued"}


@pytest.mark.services
@pytest.mark.parametrize("version", ["3.5", "6.0"])
def test_codats_own_client(
    version: str,
    api: TenantClient,
    tenant: GitTenant,
    runner: Runner,
    inline: Runs,
    tmp_path: Path,
):
    environment = python_packages(f"codat-platform-{version}", f"codat-platform=={version}.*")
    tenant.commit(bills__a=b"1", rules__b=b"1")
    project = tenant.project()
    kinds = (Kind(name="bill", globs=("bills/**",)), Kind(name="rule", globs=("rules/**",)))
    with tenant.database.writing() as session:
        Projects(session).change(project.id, kinds=Kinds(kinds))
    codat = Codat(api, project, api.key(Role.WRITER))
    first = codat.queue("bills")
    empty = open_database(f"sqlite:///{tmp_path}/empty.sqlite")
    broken = assemble(api.services.settings, empty, cheap_passwords())
    slow = {"rate_per_second": 0.0001, "rate_burst": 1}
    with ExitStack() as stack:
        served = {
            "good": api.client,
            "limited": stack.enter_context(client_of(api.services, runner, inline, **slow)),
            "broken": stack.enter_context(client_of(broken, runner, inline)),
            "stopped": client_of(api.services, runner, inline),
        }
        given = {
            "urls": {
                name: stack.enter_context(listening(client.app)) for name, client in served.items()
            },
            "key": codat.key,
            "reader": api.key(Role.READER),
            "company": str(project.id),
            "connection": str(tenant.connection_id),
            "operation": first["id"],
        }
        served["limited"].get("/companies", headers=basic(codat.key))
        answers: dict[str, Any] = json.loads(
            run([sys.executable, SCRIPT], env=environment, given=json.dumps(given))
        )
    empty.close()
    _good(answers["good"], given, first)
    for status, calls in answers.items():
        if status != "good":
            _refused(status, calls)


def _good(answers: dict[str, Any], given: dict[str, Any], first: dict[str, Any]) -> None:
    assert [each["id"] for each in answers["companies"]["results"]] == [given["company"]]
    assert answers["company"]["redirect"].endswith(f"/companies/{given['company']}")
    [connection] = answers["connections"]["results"]
    assert answers["connection"] == connection
    assert connection["id"] == given["connection"]
    assert answers["all"] is None
    assert answers["queued"]["dataType"] == "bills"
    assert (answers["history"]["totalResults"], answers["history"]["pageSize"]) == (3, 2)
    assert answers["history"]["results"][0]["id"] == answers["queued"]["id"]
    assert (answers["operation"]["id"], answers["operation"]["status"]) == (first["id"], "Complete")
    assert answers["status"]["bills"]["currentStatus"] == "Complete"


def _refused(status: str, calls: dict[str, Any]) -> None:
    """A refusal is the client's own error message, with the status it is meant to have."""
    number = int(status[:3])
    expected = CHANGING if number == 403 else set(calls)
    if number == 404:
        expected = set(calls) - {"companies"}
    for name in expected:
        assert calls[name]["error"] == "ErrorMessage", (status, name, calls[name])
        assert calls[name]["status"] == number, (status, name, calls[name])
        again = {429: "Yes", 500: "Unknown", 503: "Yes"}.get(number, "No")
        assert (calls[name]["again"], bool(calls[name]["message"])) == (again, True)
