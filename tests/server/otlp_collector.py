"""A collector of OpenTelemetry's on loopback: what was sent to it, decoded."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.loopback import Quiet, http_server


@dataclass
class Collector:
    """What came, decoded."""

    url: str = ""
    spans: list[Any] = field(default_factory=list)
    metrics: dict[str, Any] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)

    def children(self, parent: Any) -> list[Any]:
        """The spans directly below one."""
        return [each for each in self.spans if each.parent_span_id == parent.span_id]

    def take(self, path: str, body: bytes) -> None:
        """Decode one request."""
        self.bodies.append(body)
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                for scope in resource.scope_spans:
                    self.spans += scope.spans
        elif path == "/v1/metrics":
            metrics = ExportMetricsServiceRequest.FromString(body)
            for measured in metrics.resource_metrics:
                for part in measured.scope_metrics:
                    self.metrics |= {each.name: each for each in part.metrics}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector during the block."""
    collector = Collector()

    class Handler(Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            collector.take(self.path, body)
            self.send_response(200)
            self.end_headers()

    with http_server(Handler) as port:
        collector.url = f"http://127.0.0.1:{port}"
        yield collector
