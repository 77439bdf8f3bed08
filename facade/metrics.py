"""/metrics: a reading as Prometheus text. No label names a user, a run, a strategy or a symbol: series stay few.

METRICS is the one list of what there is; docs/metrics.md is its table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from core.version import VERSION, is_older
from facade.bridge import ActorNode
from facade.vitals import Reading

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
PREFIX: Final = "runner_"
Values = Mapping[tuple[str, ...], float]
_ALONE: Final[tuple[str, ...]] = ()


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """A metric. `of` the installation: every process on the database tells the same."""

    name: str
    counts: bool
    labels: tuple[str, ...]
    help: str
    values: Callable[[Reading], Values]
    of_installation: bool = False


def exposition(reading: Reading) -> bytes:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collected(reading))
    return generate_latest(registry)


def table() -> str:
    """The metrics as Markdown."""
    lines = ["| Metric | Type | Labels | Of | |", "|---|---|---|---|---|"]
    for each in METRICS:
        kind, suffix = ("counter", "_total") if each.counts else ("gauge", "")
        labels = ", ".join(f"`{label}`" for label in each.labels)
        whose = "installation" if each.of_installation else "process"
        lines.append(f"| `{PREFIX}{each.name}{suffix}` | {kind} | {labels} | {whose} | {each.help} |")
    return "\n".join(lines) + "\n"


class _Collected(Collector):
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterable[Metric]:
        for each in METRICS:
            family = CounterMetricFamily if each.counts else GaugeMetricFamily
            metric = family(PREFIX + each.name, each.help, labels=each.labels)
            for labels, value in each.values(self._reading).items():
                metric.add_metric(labels, value)
            yield metric


def _counts(counts: Mapping[str, float]) -> Values:
    return {(name,): float(count) for name, count in sorted(counts.items())}


def _one(value: float | None) -> Values:
    return {} if value is None else {_ALONE: float(value)}


def _kind_of(name: str) -> str:
    """Actors of runs and accounts are told together: there are as many as there are tenants."""
    return name.partition(":")[0]


def _nodes(roots: Iterable[ActorNode]) -> Iterator[ActorNode]:
    for root in roots:
        yield root
        yield from _nodes(root.children)


def _mailboxes(reading: Reading) -> Values:
    lengths: Counter[str] = Counter()
    for node in _nodes(reading.actors):
        lengths[_kind_of(node.name)] += node.mailbox_length
    return _counts(lengths)


def _restarts(reading: Reading) -> Values:
    restarts: Counter[str] = Counter()
    for node in _nodes(reading.actors):
        restarts[_kind_of(node.name)] += node.restarts
    return _counts(restarts)


def _actors(reading: Reading) -> Values:
    return {
        labels: float(count)
        for labels, count in sorted(
            Counter((_kind_of(node.name), node.state) for node in _nodes(reading.actors)).items()
        )
    }


def _receivers(reading: Reading, field: str) -> Values:
    seen = () if reading.observed is None else reading.observed.receivers
    return {(each.name,): float(getattr(each, field)) for each in seen}


def _lag(reading: Reading) -> Values:
    seen = reading.observed
    if seen is None or seen.slot_lag_p50_ms is None or seen.slot_lag_p99_ms is None:
        return {}
    return {("0.5",): seen.slot_lag_p50_ms / 1_000, ("0.99",): seen.slot_lag_p99_ms / 1_000}


def _too_old(reading: Reading) -> float:
    minimum = None if reading.observed is None else reading.observed.minimum_version
    return float(minimum is not None and is_older(VERSION, minimum))


def _gauge(
    name: str, help_: str, values: Callable[[Reading], Values], *labels: str, of_installation: bool = False
) -> Described:
    return Described(
        name=name, counts=False, labels=labels, help=help_, values=values, of_installation=of_installation
    )


def _counter(name: str, help_: str, values: Callable[[Reading], Values], *labels: str) -> Described:
    return Described(name=name, counts=True, labels=labels, help=help_, values=values)


def _of_receivers(name: str, field: str, help_: str) -> Described:
    return _gauge(name, help_, lambda reading: _receivers(reading, field), "receiver", of_installation=True)


METRICS: Final = (
    _counter("ticks", "Tick rows written, by status.", lambda r: _counts(r.vitals.tallied.ticks), "status"),
    _counter("slots", "Slots in which runs ticked (cycles).", lambda r: _one(r.vitals.tallied.cycles)),
    _gauge(
        "last_slot_seconds",
        "From the last slot to its last tick row.",
        lambda r: _one(r.vitals.tallied.last_cycle_s),
    ),
    _counter(
        "slot_duration_seconds", "The same, of all slots together.", lambda r: _one(r.vitals.tallied.cycle_s)
    ),
    _gauge(
        "slot_lag_seconds",
        "From a slot to the end of its ticks, of 15 minutes.",
        _lag,
        "quantile",
        of_installation=True,
    ),
    _counter(
        "evaluations",
        "Strategy evaluations, by outcome.",
        lambda r: _counts(r.vitals.tallied.evaluations),
        "status",
    ),
    _counter(
        "evaluation_seconds", "Time spent in strategies.", lambda r: _one(r.vitals.tallied.evaluation_s)
    ),
    _counter("signals", "Signals other than hold.", lambda r: _one(r.vitals.tallied.signals)),
    _counter("orders", "Orders that came to a state.", lambda r: _counts(r.vitals.tallied.orders), "state"),
    _gauge(
        "open_orders",
        "Orders that have not ended, by state; `unknown` is to be 0.",
        lambda r: {} if r.observed is None else _counts({"unknown": 0, **r.observed.orders}),
        "state",
        of_installation=True,
    ),
    _gauge(
        "runs",
        "Runs by status.",
        lambda r: {} if r.observed is None else _counts(r.observed.runs),
        "status",
        of_installation=True,
    ),
    _gauge(
        "open_positions",
        "Positions that are not flat.",
        lambda r: {} if r.observed is None else _one(r.observed.open_positions),
        of_installation=True,
    ),
    _gauge(
        "unprotected_positions",
        "Positions at venues without the stop they want.",
        lambda r: {} if r.observed is None else _one(r.observed.unprotected_positions),
        of_installation=True,
    ),
    _gauge(
        "unprotected_seconds",
        "For how long the longest of them has had none.",
        lambda r: {} if r.observed is None else _one(r.observed.unprotected_s),
        of_installation=True,
    ),
    _gauge(
        "open_alerts",
        "Alerts that are raised and not cleared.",
        lambda r: {} if r.observed is None else _one(r.observed.open_alerts),
        of_installation=True,
    ),
    _gauge(
        "kill_switch",
        "1 while the global kill switch is on.",
        lambda r: {} if r.observed is None else _one(r.observed.kill_switch),
        of_installation=True,
    ),
    _gauge("too_old", "1 where this process is below the minimum version.", lambda r: _one(_too_old(r))),
    _gauge("nodes", "Processes that beat.", lambda r: _one(len(r.nodes)), of_installation=True),
    _gauge("actors", "Actors by kind and state.", _actors, "actor", "state"),
    _gauge("mailbox_length", "Messages that wait, by kind of actor.", _mailboxes, "actor"),
    _gauge("actor_restarts", "Restarts of the actors there are, by kind.", _restarts, "actor"),
    _counter("actor_failures", "Handlers that failed.", lambda r: _one(r.vitals.failures)),
    _counter(
        "dead_letters",
        "Messages nobody handled, by reason.",
        lambda r: _counts(r.vitals.dead_letters),
        "reason",
    ),
    _gauge(
        "venue_weight",
        "Request weight used in the venue's window.",
        lambda r: _counts({each.host: each.weight for each in r.vitals.hosts}),
        "host",
    ),
    _gauge(
        "venue_weight_limit",
        "What the window allows.",
        lambda r: _counts({each.host: each.limit for each in r.vitals.hosts}),
        "host",
    ),
    _gauge(
        "venue_waiting",
        "Requests that wait for their turn.",
        lambda r: _counts({each.host: each.waiting for each in r.vitals.hosts}),
        "host",
    ),
    _gauge(
        "venue_backoff_seconds",
        "For how long nothing may be sent there: a pause or a ban.",
        lambda r: _counts({each.host: each.paused_s for each in r.vitals.hosts}),
        "host",
    ),
    _gauge("database_up", "1 where the database answers.", lambda r: _one(float(r.observed is not None))),
    _counter(
        "database_transactions",
        "Transactions and reads.",
        lambda r: {} if r.database is None else _one(r.database.transactions),
    ),
    _counter(
        "database_seconds",
        "Time spent in them, waiting for a connection included.",
        lambda r: {} if r.database is None else _one(r.database.seconds),
    ),
    _counter(
        "database_failures",
        "Those that failed or were refused.",
        lambda r: {} if r.database is None else _one(r.database.failures),
    ),
    _counter(
        "database_retries",
        "Those begun again where locks met.",
        lambda r: {} if r.database is None else _one(r.database.retries),
    ),
    _gauge(
        "database_connections",
        "Of the pool, by state.",
        lambda r: (
            {}
            if r.database is None
            else _counts({"idle": r.database.idle, "used": r.database.connections - r.database.idle})
        ),
        "state",
    ),
    _gauge(
        "database_waiting",
        "Who waits for a connection.",
        lambda r: {} if r.database is None else _one(r.database.waiting),
    ),
    _of_receivers("signals_waiting", "waiting", "Signals a receiver outside has not got yet."),
    _of_receivers("signals_told", "sent", "Signals a receiver outside has got."),
    _of_receivers("signals_expired", "expired", "Signals that were too late for a receiver."),
    _of_receivers("signals_lost", "lost", "Signals given up: a receiver was away too long, or refused them."),
    _of_receivers("signal_receiver_failing", "failing", "1 while a receiver does not take signals."),
    _gauge("streams", "Readers of event streams.", lambda r: _one(r.streams)),
    _counter("streams_cut", "Readers cut because they fell behind.", lambda r: _one(r.streams_cut)),
)
