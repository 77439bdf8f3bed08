"""The demo's page: log-in by cookie on this machine, and the clock's speed and pause."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, DemoClock
from facade.decoding import decode
from facade.endpoint import Answer, Call, encode, route
from facade.errors import not_found
from facade.schemas import DemoTimeAnswer, Nothing, SetDemoClock


async def log_in(call: Call) -> Response:
    await decode(call.request, Nothing)
    if call.services.demo is None:
        raise not_found()
    response = encode(call.request, Answer())
    call.services.demo.log_in(call.request, response)
    return response


async def read_clock(call: Call) -> DemoTimeAnswer:
    clock = _clock(call)
    return DemoTimeAnswer(clock=await call.bridge.call(clock.time, timeout_s=STORE_TIMEOUT_S))


async def set_clock(call: Call) -> DemoTimeAnswer:
    body = await decode(call.request, SetDemoClock)
    clock = _clock(call)
    time = await call.bridge.call(
        lambda: clock.set(speed=body.speed, paused=body.paused), timeout_s=STORE_TIMEOUT_S
    )
    return DemoTimeAnswer(clock=time)


def _clock(call: Call) -> DemoClock:
    clock = call.services.runner.demo_clock()
    if clock is None:
        raise not_found()
    return clock


ROUTES: list[Route] = [
    route("POST", "/api/demo/login", log_in, Access.ANYONE),
    route("GET", "/api/demo/clock", read_clock, Access.ADMIN),
    route("POST", "/api/demo/clock", set_clock, Access.ADMIN),
]
