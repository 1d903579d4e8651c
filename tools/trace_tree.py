#!/usr/bin/env python3
"""Take spans as a collector does, OTLP over gRPC, and print each trace as a tree when stopped.

    trace_tree.py --listen 127.0.0.1:4317 [--trace ID]

For looking at a trace where no collector is; the services need
HOMEWARD_TRACES_ENDPOINT=http://127.0.0.1:4317. Ctrl-C, or SIGTERM, prints.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

_UNSHOWN = ("rpc.system", "rpc.method", "request_id", "scan_id")
"""The same in each line, or said by the name."""


@dataclass(frozen=True)
class Received:
    """A span, and who sent it."""

    service: str
    span: trace_pb2.Span

    @property
    def attributes(self) -> Mapping[str, Any]:
        """By name."""
        return {each.key: _value(each.value) for each in self.span.attributes}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps the spans that it is sent while it is entered.

    Args:
        listen: Address, such as `127.0.0.1:4317`; port 0 takes a free one.
    """

    def __init__(self, listen: str) -> None:
        self.spans: list[Received] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.port = self._server.add_insecure_port(listen)

    def Export(  # noqa: N802 - the proto's name
        self, request: trace_service_pb2.ExportTraceServiceRequest, _: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Keep spans."""
        for sent in request.resource_spans:
            named = {each.key: each.value.string_value for each in sent.resource.attributes}
            service = named.get("service.name", "?")
            self.spans += [Received(service, span) for s in sent.scope_spans for span in s.spans]
        return trace_service_pb2.ExportTraceServiceResponse()

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.stop(None).wait()


def trees(spans: Sequence[Received], trace_id: str = "") -> Iterator[str]:
    """Yield the lines of each trace, or of one: when, how long, who, what."""
    traces: defaultdict[str, list[Received]] = defaultdict(list)
    for each in spans:
        traces[each.span.trace_id.hex()].append(each)
    for name, found in traces.items():
        if trace_id in ("", name):
            yield f"trace {name}"
            yield from _tree(sorted(found, key=lambda each: each.span.start_time_unix_nano))
            yield ""


def _tree(spans: Sequence[Received]) -> Iterator[str]:
    known = {each.span.span_id for each in spans}
    children: defaultdict[bytes, list[Received]] = defaultdict(list)
    for each in spans:
        parent = each.span.parent_span_id
        children[parent if parent in known else b""].append(each)
    began = spans[0].span.start_time_unix_nano

    def lines(parent: bytes, depth: int) -> Iterator[str]:
        for each in children[parent]:
            span = each.span
            start = (span.start_time_unix_nano - began) / 1e9
            took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
            service = each.service.removeprefix("homeward-")
            name = "  " * depth + span.name.removeprefix("homeward.api.")
            told = " ".join(f"{k}={v}" for k, v in each.attributes.items() if k not in _UNSHOWN)
            yield f"{start:8.3f} {took:8.3f} s  {service:<9}  {name}  {told}".rstrip()
            yield from lines(span.span_id, depth + 1)

    yield from lines(b"", 0)


def _value(value: common_pb2.AnyValue) -> Any:  # noqa: ANN401 - what OpenTelemetry allows
    return getattr(value, value.WhichOneof("value") or "string_value")


def main() -> None:
    """Collect until asked to stop, then print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:4317", help="address to take spans on")
    parser.add_argument("--trace", default="", help="print this trace only")
    given = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with Collector(given.listen) as collector:
        print(f"listening on port {collector.port}", file=sys.stderr)
        stop.wait()
    for line in trees(collector.spans, given.trace):
        print(line)


if __name__ == "__main__":
    main()
