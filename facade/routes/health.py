"""Alive and ready: open to anyone, and saying nothing more; health and metrics: for who operates the installation."""

from __future__ import annotations

from starlette.responses import Response

from core.version import VERSION, is_older
from facade.access import Access
from facade.endpoint import Call, encode, route
from facade.metrics import CONTENT_TYPE, exposition
from facade.operation import OperationRoute
from facade.schemas.form import Answer, LagShown
from facade.schemas.health import HealthAnswer, HealthCounts, Outside, State, VenueHealth
from facade.schemas.runner import NodeShown, ReadyAnswer
from facade.views import actor_counts
from facade.vitals import Reading


async def alive(call: Call) -> Answer:
    """Whether the process answers at all."""
    return Answer()


async def ready(call: Call) -> Response:
    """200 when everything needed to serve is up, otherwise 503 with what is not."""
    checks = call.services.runner.ready() | {"database": await call.services.vitals.database_answers()}
    answer = ReadyAnswer(ok=all(checks.values()), checks=checks)
    return encode(call.request, answer, 200 if answer.ok else 503)


async def health(call: Call) -> HealthAnswer:
    """How the process and the installation are, and what is wrong."""
    reading = await _reading(call)
    checks = call.services.runner.ready()
    problems = _problems(reading, checks)
    status: State = "ok"
    if problems:
        status = "down" if reading.observed is None or not all(checks.values()) else "degraded"
    tallied, seen = reading.vitals.tallied, reading.observed
    counts = HealthCounts()
    if seen is not None:
        counts = HealthCounts(
            runs=seen.runs,
            open_orders=seen.orders,
            open_positions=seen.open_positions,
            unknown_orders=seen.orders.get("unknown", 0),
            unprotected_positions=seen.unprotected_positions,
            open_alerts=seen.open_alerts,
        )
    outside = _outside(call, reading)
    return HealthAnswer(
        status=status,
        problems=tuple(problems),
        version=VERSION,
        too_old=_too_old(reading),
        node=reading.vitals.node,
        market_time=call.services.runner.market_now(),
        cycles_completed=tallied.cycles,
        signals_generated=tallied.signals,
        errors_encountered=tallied.ticks.get("error", 0),
        last_cycle_duration=tallied.last_cycle_s,
        avg_cycle_duration=tallied.cycle_s / tallied.cycles if tallied.cycles else None,
        last_slot_at=tallied.last_slot,
        ticks=tallied.ticks,
        evaluations=tallied.evaluations,
        counts=counts,
        unprotected_seconds=0.0 if seen is None else seen.unprotected_s,
        slot_lag_ms=LagShown(
            p50=None if seen is None else seen.slot_lag_p50_ms,
            p99=None if seen is None else seen.slot_lag_p99_ms,
        ),
        kill_switch=None if seen is None else seen.kill_switch,
        database="down" if seen is None else "ok",
        venues={
            each.host: VenueHealth(
                state="waiting" if each.paused_s else "ok",
                weight=each.weight,
                weight_limit=each.limit,
                waiting_requests=each.waiting,
                back_off_seconds=each.paused_s,
            )
            for each in reading.vitals.hosts
        },
        redis=outside["redis"],
        influxdb=outside["influxdb"],
        actors=actor_counts(reading.actors),
        nodes=tuple(
            NodeShown(id=node.id, version=node.version, beat_at=node.beat_at) for node in reading.nodes
        ),
        streams=reading.streams,
    )


async def metrics(call: Call) -> Response:
    """Numbers for Prometheus; docs/metrics.md says what they are."""
    return Response(exposition(await _reading(call)), media_type=CONTENT_TYPE)


async def _reading(call: Call) -> Reading:
    hub = call.services.hub
    return await call.services.vitals.reading(streams=hub.readers, streams_cut=hub.cuts)


def _outside(call: Call, reading: Reading) -> dict[str, Outside]:
    """How those are whom signals are told: as whichever process tells them has noted."""
    settings, seen = call.services.settings, reading.observed
    wanted = {
        "redis": settings.redis_url is not None or settings.redis_host is not None,
        "influxdb": settings.influx_url is not None or settings.influx_host is not None,
    }
    failing = () if seen is None else tuple(each.name for each in seen.receivers if each.failing)
    return {name: ("down" if name in failing else "ok") if on else "off" for name, on in wanted.items()}


def _too_old(reading: Reading) -> bool:
    minimum = None if reading.observed is None else reading.observed.minimum_version
    return minimum is not None and is_older(VERSION, minimum)


def _problems(reading: Reading, checks: dict[str, bool]) -> list[str]:
    problems = [f"{name.replace('_', ' ')} is not up" for name, up in checks.items() if not up]
    if reading.vitals.sandbox is not None:
        problems.append(reading.vitals.sandbox)
    if not reading.vitals.enabled:
        problems.append("the runner is disabled")
    seen = reading.observed
    if seen is None:
        return ["the database does not answer", *problems]
    if _too_old(reading):
        problems.append(f"this process is older than {seen.minimum_version} and trades nothing")
    if seen.kill_switch:
        problems.append("the global kill switch is on")
    unknown = seen.orders.get("unknown", 0)
    if unknown:
        problems.append(f"orders of unknown fate: {unknown}")
    if seen.unprotected_positions:
        problems.append(f"positions without the stop they want: {seen.unprotected_positions}")
    if seen.open_alerts:
        problems.append(f"open alerts: {seen.open_alerts}")
    problems += [
        f"{each.name} does not take signals, {each.waiting} wait: {each.last_error}"
        for each in seen.receivers
        if each.failing
    ]
    problems += [
        f"{each.host} takes nothing for {each.paused_s:.0f} s"
        for each in reading.vitals.hosts
        if each.paused_s
    ]
    return problems


ROUTES: list[OperationRoute] = [
    route("GET", "/healthz", alive, Access.ANYONE, reads_nothing=True),
    route("GET", "/readyz", ready, Access.ANYONE, reads_nothing=True),
    route("GET", "/api/health", health, Access.OPERATOR, reads_nothing=True),
    route("GET", "/metrics", metrics, Access.OPERATOR, produces=CONTENT_TYPE, reads_nothing=True),
]
