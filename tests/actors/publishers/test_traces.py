"""Traces of ticks: what arrives at a collector, and that a tick neither waits for one nor fails with it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from actors.launch import tick_traces
from actors.publishers.traces import MAX_OTHER, TickTraces, spans_of
from core.ids import RunId, StrategyId, UserId
from schema.pg import PgStore
from schema.pg_traces import Led, TracedOrder
from schema.records import ExecutionRow, ExecutionStatus, SlotReport, TickRow, TickStatus
from tests.facade.world import START, WORKER, make_settings

RUN, STRATEGY = RunId(UUID(int=7)), StrategyId(UUID(int=8))
MS = timedelta(milliseconds=1)


def tick(run: RunId = RUN, signal: str = "long") -> TickRow:
    return TickRow(
        run_id=run,
        user_id=UserId("alice"),
        slot=START,
        status=TickStatus.OK,
        signal=signal,
        scheduled_at=START,
        asked_at=START - 2_000 * MS,
        finished_at=START + 400 * MS,
        latency_ms=300,
        worker=WORKER,
        fence=3,
    )


EXECUTION = ExecutionRow(
    evaluation_key="k",
    strategy_id=STRATEGY,
    slot=START,
    worker=WORKER,
    duration_ms=20,
    status=ExecutionStatus.SUCCESS,
)
ORDER = TracedOrder(
    run_id=RUN,
    slot=START,
    client_order_id="c1",
    leg="entry",
    attempt=1,
    side="buy",
    status="filled",
    created_at=START + 150 * MS,
    updated_at=START + 300 * MS,
    first_fill=START + 250 * MS,
    last_fill=START + 280 * MS,
    fills=2,
)
LED = Led(orders=[ORDER], strategies={RUN: STRATEGY})


class Rows:
    """The database's answer."""

    def led_to(self, ticks: Sequence[TickRow]) -> Led:
        return LED


@contextmanager
def collector(status: int = 200) -> Iterator[tuple[str, list[Any]]]:
    """A server that decodes what arrives."""
    arrived: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            arrived.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", arrived
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def sent(reports: Sequence[SlotReport], *, status: int = 200) -> tuple[list[Any], list[str]]:
    """What a collector heard of these batches, and what was reported of it."""
    said: list[str] = []
    with collector(status) as (endpoint, arrived):
        traces = TickTraces(endpoint, Rows(), service=WORKER, sink=lambda action, fields: said.append(action))
        for report in reports:
            traces.written(report)
        traces._thread.submit(lambda: None).result(5)  # behind all that was written
        traces.close()
    return arrived, said


def test_a_collector_hears_claim_evaluation_intent_send_fill_and_row_of_a_tick() -> None:
    report = SlotReport(ticks=(tick(),), executions=(EXECUTION,))
    ((path, kind, body),), said = sent([report])
    assert (path, kind, said) == ("/v1/traces", "application/json", [])
    (resource,) = body["resourceSpans"]
    named = {each["key"]: each["value"]["stringValue"] for each in resource["resource"]["attributes"]}
    assert (named["service.name"], named["service.instance.id"]) == ("strategy-runner", WORKER)
    spans = resource["scopeSpans"][0]["spans"]
    assert [span["name"] for span in spans] == [
        "tick",
        "claim",
        "evaluation",
        "intent entry 1",
        "send entry 1",
        "fill entry 1",
        "tick row",
    ]
    root = spans[0]
    assert {span["traceId"] for span in spans} == {root["traceId"]}
    assert {span["parentSpanId"] for span in spans[1:]} == {root["spanId"]}
    assert len({span["spanId"] for span in spans}) == len(spans)
    assert (len(root["traceId"]), len(root["spanId"])) == (32, 16)


def test_spans_lie_in_their_tick_and_follow_one_another() -> None:
    spans = spans_of([tick()], [EXECUTION], LED)
    zero = int(START.timestamp() * 1_000)
    times = {
        span["name"]: (
            int(span["startTimeUnixNano"]) // 1_000_000 - zero,
            int(span["endTimeUnixNano"]) // 1_000_000 - zero,
        )
        for span in spans
    }
    assert times == {
        "tick": (-2_000, 400),
        "claim": (-2_000, 100),
        "evaluation": (100, 120),
        "intent entry 1": (120, 150),
        "send entry 1": (150, 250),
        "fill entry 1": (250, 280),
        "tick row": (280, 400),
    }


def test_what_did_not_happen_has_no_span() -> None:
    nothing = Led(orders=[], strategies={})
    assert [span["name"] for span in spans_of([tick(signal="hold")], [], nothing)] == [
        "tick",
        "claim",
        "tick row",
    ]


def test_a_collector_that_refuses_is_reported_and_nothing_else() -> None:
    _, said = sent([SlotReport(ticks=(tick(),))] * 2, status=503)
    assert said == ["traces_lost", "traces_lost"]


def test_of_ticks_that_are_alike_a_few_are_traced() -> None:
    holds = tuple(tick(RunId(UUID(int=100 + number)), "hold") for number in range(50))
    ((_, _, body),), _ = sent([SlotReport(ticks=(*holds, tick()))])
    spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert sum(span["name"] == "tick" for span in spans) == 1 + MAX_OTHER


def test_a_batch_without_ticks_is_nobodys_trace() -> None:
    assert sent([SlotReport(executions=(EXECUTION,))]) == ([], [])


def test_nothing_is_traced_without_a_collector_or_where_monitoring_is_off() -> None:
    given = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    store = cast(PgStore, SimpleNamespace(traces=None))
    wanted = {
        "on": make_settings(**given),
        "off": make_settings(ENABLE_PERFORMANCE_MONITORING="false", **given),
        "nobody": make_settings(),
    }
    made = {name: tick_traces(settings, store, lambda *_: None) for name, settings in wanted.items()}
    assert {name for name, each in made.items() if each is not None} == {"on"}
