from __future__ import annotations

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from homeward.servicekit import errors, tracing
from homeward.servicekit.logs import configure_logging

TRACE = "0af7651916cd43dd8448eb211c80319c"
SENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
SECRET = "Anna of 12 Mill Lane"

Spans = Callable[[], list[ReadableSpan]]


async def echo(request: bytes) -> bytes:
    return request


def trace_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return f"{span.context.trace_id:032x}"


@pytest.mark.parametrize("kind", ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"])
async def test_a_call_goes_on_with_the_trace_of_its_caller(
    serving: Any, spans: Spans, kind: str
) -> None:
    async with serving(echo) as call:
        await call(kind, metadata=SENT)

    (span,) = [one for one in spans() if one.kind is SpanKind.SERVER]
    assert trace_of(span) == TRACE
    assert span.name == f"homeward.test.Probe/{kind}"
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status"] == "OK"


async def test_a_unary_call_takes_the_current_span_along(serving: Any, spans: Spans) -> None:
    async with serving(echo) as call:
        with tracing.span("asking"):
            await call()

    served, asking = spans()
    assert served.parent is not None
    assert asking.context is not None
    assert served.parent.span_id == asking.context.span_id


async def test_a_call_without_a_trace_begins_one(serving: Any, spans: Spans) -> None:
    async with serving(echo) as call:
        await call()

    (span,) = spans()
    assert span.parent is None


async def test_health_probes_leave_no_span(serving: Any, spans: Spans) -> None:
    async with serving(echo) as call:
        await call.channel.unary_unary("/grpc.health.v1.Health/Check")(b"")

    assert spans() == []


async def test_a_span_says_how_a_call_failed_and_not_in_which_words(
    serving: Any, spans: Spans
) -> None:
    async def refuse(_: bytes) -> bytes:
        raise errors.NotFoundError(
            SECRET, reason=errors.Reason.SUBJECT_NOT_FOUND, metadata={"subject_id": SECRET}
        ) from ValueError(SECRET)

    async with serving(refuse) as call:
        with pytest.raises(grpc.aio.AioRpcError):
            await call()

    (span,) = spans()
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["rpc.grpc.status"] == "NOT_FOUND"
    assert SECRET not in span.to_json()
    assert span.events == ()


def test_a_carried_span_is_the_parent_elsewhere(spans: Spans) -> None:
    with tracing.span("here"):
        carried = tracing.carried()
    with tracing.span("there", parent=carried):
        pass

    here, there = spans()
    assert list(carried) == ["traceparent"]
    assert there.parent is not None
    assert here.context is not None
    assert there.parent.span_id == here.context.span_id


def test_nothing_is_carried_without_a_span() -> None:
    assert tracing.carried() == {}


def test_what_begins_beside_a_span_is_not_part_of_it(spans: Spans) -> None:
    with tracing.span("all"), tracing.aside("beside"), tracing.span("other"):
        pass

    made = {one.name: one for one in spans()}
    assert made["other"].parent == made["all"].context
    assert made["beside"].parent == made["all"].context


def test_lines_carry_the_span_that_they_were_written_in(
    spans: Spans, capfd: pytest.CaptureFixture[str]
) -> None:
    configured, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logging("matching", "info")
    try:
        with tracing.span("work", parent=SENT):
            structlog.get_logger().info("ours")
            logging.getLogger("theirs").warning("theirs")
        structlog.get_logger().info("outside")
    finally:
        structlog.configure(**configured)
        structlog.contextvars.clear_contextvars()
        root.handlers, root.level = handlers, level
    ours, theirs, outside = map(json.loads, capfd.readouterr().err.splitlines())

    (span,) = spans()
    assert span.context is not None
    assert (ours["trace_id"], ours["span_id"]) == (TRACE, f"{span.context.span_id:016x}")
    assert theirs["trace_id"] == TRACE
    assert "trace_id" not in outside


NO_COLLECTOR = """
import sys
from homeward.servicekit import tracing
with tracing.exported("matching", sys.argv[1] or None):
    with tracing.span("work", parent={"traceparent": sys.argv[2]}):
        print(tracing.carried()["traceparent"])
print("SDK" if "opentelemetry.sdk" in sys.modules else "no SDK")
"""


def process(endpoint: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", NO_COLLECTOR, endpoint, SENT["traceparent"]],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")


def test_without_an_endpoint_the_sdk_is_not_loaded_and_the_trace_is_passed_on() -> None:
    carried, told, _ = process("")

    assert told == "no SDK"
    assert carried == SENT["traceparent"]


def test_a_collector_that_is_not_there_keeps_nobody() -> None:
    began = time.monotonic()
    carried, told, _ = process("http://127.0.0.1:9")

    assert told == "SDK"
    assert carried.split("-")[1] == TRACE
    assert carried != SENT["traceparent"]
    assert time.monotonic() - began < 15
