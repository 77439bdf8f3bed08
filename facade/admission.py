"""How much one address may ask, before anything is looked at: requests a minute, and headers of each."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from facade.callers import Callers
from facade.errors import ApiError, too_many
from facade.limits import Rates

MAX_HEADERS: Final = 100
UNCOUNTED: Final = frozenset({"/healthz", "/readyz"})
"""Asked by whoever decides whether this process lives."""
_TRY_LATER: Final = 1013


class Admission:
    """ASGI layer inside the one that gives every answer its headers."""

    def __init__(self, app: ASGIApp, *, callers: Callers, rates: Rates) -> None:
        self._app = app
        self._callers = callers
        self._rates = rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": _TRY_LATER, "reason": refusal.sentence})
        else:
            body = msgspec.json.encode(refusal.body(scope["state"]["request_id"]))
            answer = Response(body, refusal.status, headers=refusal.headers, media_type="application/json")
            await answer(scope, receive, send)

    def _refusal(self, scope: Scope) -> ApiError | None:
        if len(scope["headers"]) > MAX_HEADERS:
            return ApiError(400, f"A request has at most {MAX_HEADERS} headers.")
        if scope["path"] in UNCOUNTED:
            return None
        wait_s = self._rates.take(self._callers.of(HTTPConnection(scope)))
        if not wait_s:
            return None
        return too_many("Too many requests; RUNNER_RATE_LIMIT_ADDRESS a minute are allowed.", wait_s)
