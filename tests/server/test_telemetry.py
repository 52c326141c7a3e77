"""A server with a collector of OpenTelemetry's: what it sends, logs and answers."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

import pytest
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from tests.server.dialects.tenant_client import bearer
from tests.server.otlp_collector import collecting
from tests.server.runs.git_tenant import GitTenant
from tests.server.runs.processes import LONG, runs_elsewhere
from tests.server.serving import admin_key, client_of, serving, settings_file
from towline_server.telemetry import _Samples

pytestmark = pytest.mark.slow

CALLER = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


def test_requests_and_runs_are_traces(tenant: GitTenant, database_url: str):
    tenant.commit(rules__secret=b"hush-hush")
    project = tenant.project()
    file, key = settings_file(tenant, database_url), admin_key(tenant)
    path = f"/api/towline/v1/projects/{project.id}/runs"
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        words = ["--settings", str(file), "--port", "0"]
        with serving(words, **variables) as server:
            with client_of(server) as client:
                headers = {**bearer(key), "traceparent": CALLER}
                answer = client.post(path, headers=headers, json={})
                runs_elsewhere(tenant).wait(UUID(answer.json()["id"]), LONG)
            assert server.end() == 0
        lines = {line["message"]: line for line in server.lines}

    # The request is in the trace of its caller, which the answer and the log name.
    [request] = [each for each in collector.spans if each.parent_span_id.hex() == "cd" * 8]
    about = {each.key: each.value for each in request.attributes}
    assert about["http.response.status_code"].int_value == 202
    assert request.name == "POST /api/towline/v1/projects/{project_id}/runs"
    assert request.trace_id.hex() == "ab" * 16
    assert answer.headers["traceresponse"] == f"00-{'ab' * 16}-{request.span_id.hex()}-01"
    assert lines["request"]["trace_id"] == "ab" * 16
    assert "INSERT" in {each.name for each in collector.children(request)}

    # The run is a trace of its own.
    [run] = [each for each in collector.spans if each.name == "run"]
    assert (run.parent_span_id, lines["run begun"]["trace_id"]) == (b"", run.trace_id.hex())
    steps = {each.name: each for each in collector.children(run)}
    assert {"fetch", "compare", "apply"} <= steps.keys()
    assert [each.name for each in collector.spans if each.parent_span_id == steps["fetch"].span_id]
    [fetch] = [each for each in collector.spans if each.name == "git fetch"]
    assert fetch.trace_id == run.trace_id
    assert {"COMMIT", "SELECT"} & {each.name for each in collector.children(steps["apply"])}

    # What Prometheus is shown is sent, too; and nothing that is secret.
    assert {
        "towline_runs_ended_total",
        "towline_run_duration_seconds_sum",
    } <= collector.metrics.keys()
    assert collector.metrics["towline_database_up"].gauge.data_points[0].as_int == 1
    everything = b"".join(collector.bodies)
    assert b"hush" not in everything
    assert key.encode() not in everything


def test_without_a_collector_there_is_no_trace(tenant: GitTenant, database_url: str):
    file = settings_file(tenant, database_url)
    with serving(["--settings", str(file), "--port", "0"]) as server, client_of(server) as client:
        assert "traceresponse" not in client.get("/healthz").headers


def test_instruments_that_are_observed_together_measure_once():
    collected, now = [], [0.0]

    def collect() -> Iterable[Metric]:
        collected.append(now[0])
        yield GaugeMetricFamily("a", "", value=len(collected))
        yield GaugeMetricFamily("b", "", value=7)

    samples = _Samples(collect, lambda: now[0])
    assert [each.value for name in "abc" for each in samples.named(name)] == [1, 7]
    assert len(collected) == 1
    now[0] = 60.0
    assert [each.value for name in "ab" for each in samples.named(name)] == [2, 7]
