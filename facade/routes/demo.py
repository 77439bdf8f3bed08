"""The demo's pages: log-in by cookie on this machine, its users' tokens, and the clock's speed and pause."""

from __future__ import annotations

from starlette.responses import Response

from facade.access import Access
from facade.bridge import STORE_TIMEOUT_S, DemoClock
from facade.endpoint import Call, encode, route
from facade.errors import not_found
from facade.operation import OperationRoute
from facade.schemas.demo import ActAs, ActingAnswer, DemoTimeAnswer, SetDemoClock
from facade.schemas.form import Answer


async def log_in(call: Call) -> Response:
    """Log the demo's page in by a cookie, on this machine only."""
    if call.services.demo is None:
        raise not_found()
    response = encode(call.request, Answer())
    call.services.demo.log_in(call.request, response)
    return response


async def act_as(call: Call, body: ActAs) -> ActingAnswer:
    """A token of one of the demo's users, on this machine only."""
    if call.services.demo is None:
        raise not_found()
    return ActingAnswer(user=body.user, token=call.services.demo.token_of(call.request, body.user))


async def read_clock(call: Call) -> DemoTimeAnswer:
    """Market time of the demo and its speed."""
    clock = _clock(call)
    return DemoTimeAnswer(clock=await call.bridge.call(clock.time, timeout_s=STORE_TIMEOUT_S))


async def set_clock(call: Call, body: SetDemoClock) -> DemoTimeAnswer:
    """Pause the demo, or change its speed."""
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


ROUTES: list[OperationRoute] = [
    route("POST", "/api/demo/login", log_in, Access.ANYONE),
    route("POST", "/api/demo/act-as", act_as, Access.ANYONE),
    route("GET", "/api/demo/clock", read_clock, Access.ADMIN),
    route("POST", "/api/demo/clock", set_clock, Access.ADMIN),
]
