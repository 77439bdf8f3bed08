"""Ticks as OpenTelemetry traces: claim → evaluation → intent → send → fill → tick row, over OTLP/HTTP as JSON.

Spans are made of what is durable, after it is durable, on a thread of their own: a tick does nothing for its trace, so
it costs the same with an endpoint and without. What is lost on the way, or does not fit, is not sent again.

A hundred lines and httpx, which is here already, in place of the SDK with its exporter, protobuf and context: there is
nothing to propagate, and every time is known from a row.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

import httpx
import msgspec

from actors.runtime.dead_letters import Sink
from core.errors import RunnerError
from core.version import VERSION
from schema.pg_traces import Led, TracedOrder
from schema.records import ExecutionRow, SlotReport, TickRow

MAX_BATCHES: Final = 100
"""Waiting to be sent; more are dropped."""
MAX_TRADING: Final = 200
MAX_OTHER: Final = 20
"""Ticks of a batch that are traced: those with a signal, and of the others the first, as they are all alike."""
TIMEOUT_S: Final = 5.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INTERNAL, _CLIENT = 1, 3
Span = dict[str, Any]


class Rows(Protocol):
    def led_to(self, ticks: Sequence[TickRow]) -> Led:
        """Blocks; raises RunnerError."""
        ...


class TickTraces:
    """`close` it. `endpoint`: OTEL_EXPORTER_OTLP_ENDPOINT, without `/v1/traces`."""

    def __init__(self, endpoint: str, rows: Rows, *, service: str, sink: Sink) -> None:
        self._url = endpoint.rstrip("/") + "/v1/traces"
        self._rows = rows
        self._resource = _attributes({"service.name": "strategy-runner", "service.version": VERSION})
        self._resource += _attributes({"service.instance.id": service})
        self._sink = sink
        self._client = httpx.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="traces")
        self._places = threading.BoundedSemaphore(MAX_BATCHES)

    def written(self, report: SlotReport) -> None:
        """A batch that is durable; returns at once."""
        if report.ticks and self._places.acquire(blocking=False):
            self._thread.submit(self._send, report)

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _send(self, report: SlotReport) -> None:
        try:
            ticks = _chosen(report.ticks)
            spans = spans_of(ticks, report.executions, self._rows.led_to(ticks))
            scope = {"scope": {"name": "strategy-runner"}, "spans": spans}
            body = {"resourceSpans": [{"resource": {"attributes": self._resource}, "scopeSpans": [scope]}]}
            headers = {"Content-Type": "application/json"}
            self._client.post(
                self._url, content=msgspec.json.encode(body), headers=headers
            ).raise_for_status()
        except (RunnerError, httpx.HTTPError) as error:
            self._sink("traces_lost", {"ticks": len(report.ticks), "error": error})
        finally:
            self._places.release()


def spans_of(ticks: Sequence[TickRow], executions: Sequence[ExecutionRow], led: Led) -> list[Span]:
    """One trace a tick; its id follows from run and slot, so that whoever knows the tick finds it."""
    evaluated = {(row.strategy_id, row.slot): row for row in executions}
    spans: list[Span] = []
    for tick in ticks:
        strategy = led.strategies.get(tick.run_id)
        execution = None if strategy is None else evaluated.get((strategy, tick.slot))
        orders = [each for each in led.orders if (each.run_id, each.slot) == (tick.run_id, tick.slot)]
        spans += _trace(tick, execution, orders)
    return spans


def _trace(tick: TickRow, execution: ExecutionRow | None, orders: Sequence[TracedOrder]) -> list[Span]:
    trace = hashlib.blake2b(f"{tick.run_id}|{tick.slot.isoformat()}".encode(), digest_size=16).hexdigest()
    began = min(tick.asked_at or tick.slot, tick.finished_at)
    # When the slot's candle was known here, by the tick's own latency.
    decidable = max(began, tick.finished_at - timedelta(milliseconds=tick.latency_ms))
    root = _span(trace, "tick", began, tick.finished_at, None, _said(tick))
    if tick.status == "error":
        root["status"] = {"code": 2, "message": tick.reason or ""}
    spans = [root, _span(trace, "claim", began, decidable, root, {"runner.fence": tick.fence})]
    at = decidable
    if execution is not None:
        ended = min(tick.finished_at, at + timedelta(milliseconds=execution.duration_ms))
        about = {"runner.strategy": str(execution.strategy_id), "runner.status": str(execution.status)}
        spans.append(_span(trace, "evaluation", at, ended, root, about))
        at = ended
    for order in orders:
        spans += _order(trace, root, at, order)
        at = order.last_fill or order.updated_at
    spans.append(_span(trace, "tick row", min(at, tick.finished_at), tick.finished_at, root, {}))
    return spans


def _order(trace: str, root: Span, after: datetime, order: TracedOrder) -> list[Span]:
    told: dict[str, str | int] = {
        "runner.client_order_id": order.client_order_id,
        "runner.leg": order.leg,
        "runner.side": order.side,
        "runner.order_status": order.status,
    }
    reached = order.first_fill or order.updated_at
    name = f" {order.leg} {order.attempt}"
    spans = [
        _span(trace, "intent" + name, min(after, order.created_at), order.created_at, root, told),
        _span(trace, "send" + name, order.created_at, max(reached, order.created_at), root, told, _CLIENT),
    ]
    if order.first_fill is not None and order.last_fill is not None:
        filled = {**told, "runner.fills": order.fills}
        spans.append(_span(trace, "fill" + name, order.first_fill, order.last_fill, root, filled))
    return spans


def _span(
    trace: str,
    name: str,
    began: datetime,
    ended: datetime,
    parent: Span | None,
    told: Mapping[str, str | int],
    kind: int = _INTERNAL,
) -> Span:
    span = {
        "traceId": trace,
        "spanId": hashlib.blake2b(f"{trace}|{name}".encode(), digest_size=8).hexdigest(),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": _nanoseconds(began),
        "endTimeUnixNano": _nanoseconds(max(began, ended)),
        "attributes": _attributes(told),
    }
    return span if parent is None else {**span, "parentSpanId": parent["spanId"]}


def _said(tick: TickRow) -> Mapping[str, str | int]:
    said = {
        "runner.run": str(tick.run_id),
        "runner.slot": tick.slot.isoformat(),
        "runner.status": str(tick.status),
        "runner.reason": tick.reason,
        "runner.signal": tick.signal,
        "runner.source": str(tick.source),
        "runner.worker": tick.worker,
    }
    return {name: value for name, value in said.items() if value is not None}


def _chosen(ticks: Sequence[TickRow]) -> list[TickRow]:
    trading = [tick for tick in ticks if tick.signal not in (None, "hold")]
    other = [tick for tick in ticks if tick.signal in (None, "hold")]
    return trading[:MAX_TRADING] + other[:MAX_OTHER]


def _attributes(told: Mapping[str, str | int]) -> list[dict[str, Any]]:
    """OTLP's JSON: whole numbers are strings there."""
    return [
        {"key": name, "value": {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}}
        for name, value in told.items()
    ]


def _nanoseconds(at: datetime) -> str:
    return str((at - _EPOCH) // timedelta(microseconds=1) * 1_000)
