"""Traces: spans of OpenTelemetry, and what carries them from one process to the next.

A span says how long something took, and how it ended. Its attributes are ids, counts and kinds; no
text that somebody wrote and no message of an error, which may quote one. Spans are made whether or
not anybody takes them: without an endpoint they cost next to nothing, and only pass on the id of
the trace that the caller began, which log lines carry.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from homeward.core.distribution import version

Attribute = str | bool | int | float

# Not OpenTelemetry's global one, which also carries `baggage`: anything that a caller likes.
_CARRIER = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("homeward")

EXPORT_SECONDS = 3
"""Time after which a batch that the collector does not accept is dropped: a service that stops
waits for its last batch."""


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Attribute] | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Mapping[str, str] | None = None,
) -> Iterator[Span]:
    """Make a span of what the block does.

    Args:
        name: One of few, not made of values.
        attributes: Ids, counts and kinds; nothing about a person.
        kind: What it is to the processes beside it.
        parent: What `carried` gave elsewhere; None for the span that is current here.
    """
    with _TRACER.start_as_current_span(
        name,
        context=None if parent is None else _CARRIER.extract(parent),
        attributes=attributes,
        kind=kind,
        record_exception=False,  # it would take the message along
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            made.set_status(StatusCode.ERROR, type(error).__name__)
            raise


@contextmanager
def aside(name: str, attributes: Mapping[str, Attribute] | None = None) -> Iterator[Span]:
    """Make a span that others which begin in the block are not part of."""
    made = _TRACER.start_span(name, attributes=attributes)
    try:
        yield made
    finally:
        made.end()


def carried() -> dict[str, str]:
    """Return what takes the current span to another process: W3C `traceparent`, or nothing."""
    carrier: dict[str, str] = {}
    _CARRIER.inject(carrier)
    return carrier


@contextmanager
def exported(component: str, endpoint: str | None) -> Iterator[None]:
    """Send spans to a collector while the block runs.

    Args:
        component: Such as `scanner`; shows as the service `homeward-scanner`.
        endpoint: URL of a collector that takes OTLP over gRPC. None sends nothing.
    """
    if endpoint is None:
        yield
        return
    # The import takes half a second, and is needed only with a collector.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create(
        {
            "service.name": f"homeward-{component}",
            "service.version": version(),
            "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
        }
    )
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()
