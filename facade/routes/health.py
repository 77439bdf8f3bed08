"""Alive and ready: open to anyone, and saying nothing more."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from facade.access import Access
from facade.endpoint import Answer, Call, encode, route
from facade.schemas import ReadyAnswer


async def alive(call: Call) -> Answer:
    return Answer()


async def ready(call: Call) -> Response:
    """200 when everything needed to serve is up, otherwise 503 with what is not."""
    checks = call.services.runner.ready()
    answer = ReadyAnswer(ok=all(checks.values()), checks=checks)
    return encode(call.request, answer, 200 if answer.ok else 503)


ROUTES: list[Route] = [
    route("GET", "/healthz", alive, Access.ANYONE),
    route("GET", "/readyz", ready, Access.ANYONE),
]
