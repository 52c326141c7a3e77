"""OpenTelemetry: traces and metrics by OTLP, where its standard variables name a collector.

Without them nothing of OpenTelemetry is imported. With them, which need the extra ``otel``, each
request and each run is a trace: its phases, its fetch and its statements to the database are spans.
No span holds a secret, the values of a statement, or a query of an address.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from prometheus_client import Metric
from prometheus_client.samples import Sample

from towline import __version__

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.trace import Span, Tracer

_ENDPOINTS = (
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
)
_TOGETHER_SECONDS = 1.0
"""Instruments are observed one after another; measuring asks the database."""
_MISSING = "OpenTelemetry needs the extra otel: pip install 'towline[otel]', or unset {name}"

_tracer: Tracer | None = None
"""None: there is no collector."""


class MissingExtra(ImportError):
    """A collector is named, and the packages that send to it are not installed."""


@contextmanager
def sending(collect: Callable[[], Iterable[Metric]]) -> Iterator[None]:
    """Send spans and the metrics of ``collect`` during the block, if a collector is named.

    The endpoint, headers, certificates, intervals, sampler and the service's name are
    OpenTelemetry's own variables (``OTEL_…``), read by its SDK.

    Raises:
        MissingExtra: a collector is named, and the extra ``otel`` is not installed.
    """
    named = next((name for name in _ENDPOINTS if os.environ.get(name)), None)
    if named is None or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        yield
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise MissingExtra(_MISSING.format(name=named)) from None
    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "towline"}))
    traces = TracerProvider(resource=resource)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    meters = MeterProvider([reader], resource=resource)
    _observe(meters, collect)
    global _tracer  # noqa: PLW0603 - one a process, as its log is
    _tracer = traces.get_tracer("towline", __version__)

    try:
        yield
    finally:
        _tracer = None
        traces.shutdown()
        meters.shutdown()


def _observe(meters: Any, collect: Callable[[], Iterable[Metric]]) -> None:
    """Offer what Prometheus is shown as observable instruments of the same names.

    A histogram is its buckets, count and sum, each a counter.
    """
    from opentelemetry.metrics import Observation

    meter = meters.get_meter("towline", __version__)
    samples = _Samples(collect)

    def observed(name: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return lambda _: [Observation(each.value, each.labels) for each in samples.named(name)]

    for family in collect():
        if family.type == "gauge":
            meter.create_observable_gauge(
                family.name, [observed(family.name)], description=family.documentation
            )
            continue
        parts = ("_total",) if family.type == "counter" else ("_bucket", "_count", "_sum")
        for part in parts:
            name = family.name + part
            meter.create_observable_counter(
                name, [observed(name)], description=family.documentation
            )


class _Samples:
    """What was measured, by its name; the instruments that are observed together share it."""

    def __init__(
        self,
        collect: Callable[[], Iterable[Metric]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collect = collect
        self._clock = clock
        self._at = -math.inf
        self._found: dict[str, list[Sample]] = {}

    def named(self, name: str) -> Sequence[Sample]:
        """Return the samples of a name, measured a second ago at most."""
        if self._clock() - self._at > _TOGETHER_SECONDS:
            self._found = {}
            for family in self._collect():
                for sample in family.samples:
                    self._found.setdefault(sample.name, []).append(sample)
            self._at = self._clock()
        return self._found.get(name, ())


def span(name: str, **attributes: str) -> AbstractContextManager[Span | None]:
    """Record a span around a block; None, and nothing, where there is no collector."""
    if _tracer is None:
        return nullcontext()
    return _tracer.start_as_current_span(name, attributes=attributes)


def begin_span(name: str, **attributes: str) -> Span | None:
    """Begin a span of work that is done in several blocks (`within`); its ``end`` ends it."""
    return None if _tracer is None else _tracer.start_span(name, attributes=attributes)


def within(begun: Span | None) -> AbstractContextManager[object]:
    """Continue a span that has begun, in the block."""
    if begun is None:
        return nullcontext()
    from opentelemetry.trace import use_span

    return use_span(begun)


@contextmanager
def server_span(method: str, headers: Mapping[str, str]) -> Iterator[Span | None]:
    """Record the span of a request, in its caller's trace if its headers name one."""
    if _tracer is None:
        yield None
        return
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = TraceContextTextMapPropagator().extract(headers)
    with _tracer.start_as_current_span(
        method, context, SpanKind.SERVER, {"http.request.method": method}
    ) as found:
        yield found


def request_ended(found: Span | None, method: str, route: str | None, status: int) -> None:
    """Note in a request's span its route (None: it took none), and how it was answered."""
    if found is None:
        return
    from opentelemetry.trace import StatusCode

    found.set_attribute("http.response.status_code", status)
    if route is not None:
        found.set_attribute("http.route", route)
        found.update_name(f"{method} {route}")
    if status >= 500:
        found.set_status(StatusCode.ERROR)


def begin_statement(statement: str, system: str) -> Span | None:
    """Begin the span of a statement to the database, within a trace alone."""
    if _tracer is None:
        return None
    from opentelemetry.trace import SpanKind, get_current_span

    if not get_current_span().is_recording():
        return None  # a loop that looks whether there is anything to do
    operation = statement.lstrip().partition(" ")[0].upper()
    attributes = {
        "db.system.name": system,
        "db.operation.name": operation,
        # Values are parameters, and are not in it.
        "db.query.text": statement,
    }
    return _tracer.start_span(operation, kind=SpanKind.CLIENT, attributes=attributes)


def trace_id() -> str | None:
    """Return the id of the current trace, as 32 hexadecimal digits; None: there is none."""
    return None if (found := _current()) is None else found[0]


def trace_response() -> str | None:
    """Return the value of the header ``traceresponse`` (W3C Trace Context 2); None: no trace."""
    return None if (found := _current()) is None else f"00-{found[0]}-{found[1]}-{found[2]:02x}"


def _current() -> tuple[str, str, int] | None:
    if _tracer is None:
        return None
    from opentelemetry.trace import format_span_id, format_trace_id, get_current_span

    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    flags = int(context.trace_flags)
    return format_trace_id(context.trace_id), format_span_id(context.span_id), flags


def in_this_trace(call: Callable[..., object]) -> Callable[..., object]:
    """Return a function for another thread, which continues the trace of this one."""
    if _tracer is None:
        return call
    context = copy_context()
    return lambda *given: context.run(call, *given)
