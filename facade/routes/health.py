"""Alive and ready: open to anyone, and saying nothing more."""

from __future__ import annotations

from starlette.responses import Response

from facade.access import Access
from facade.endpoint import Call, encode, route
from facade.operation import OperationRoute
from facade.schemas.form import Answer
from facade.schemas.runner import ReadyAnswer


async def alive(call: Call) -> Answer:
    """Whether the process answers at all."""
    return Answer()


async def ready(call: Call) -> Response:
    """200 when everything needed to serve is up, otherwise 503 with what is not."""
    checks = call.services.runner.ready()
    answer = ReadyAnswer(ok=all(checks.values()), checks=checks)
    return encode(call.request, answer, 200 if answer.ok else 503)


ROUTES: list[OperationRoute] = [
    route("GET", "/healthz", alive, Access.ANYONE, reads_nothing=True),
    route("GET", "/readyz", ready, Access.ANYONE, reads_nothing=True),
]
