"""What holds for every request: an id, a bounded body, headers that keep browsers careful, one log line."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Final
from uuid import uuid4

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from facade.errors import ApiError

MAX_BODY_BYTES: Final = 262_144
REQUEST_ID_HEADER: Final = "X-Request-Id"
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")
_PERSONAL: Final = "/api/"
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}

_STARTS: Final = frozenset({"http.response.start", "websocket.http.response.start", "websocket.accept"})

AccessLog = Callable[[Mapping[str, object]], None]


class EveryRequest:
    """Outermost ASGI layer. The request id is the caller's where it is a plain one, otherwise ours."""

    def __init__(self, app: ASGIApp, *, access_log: AccessLog | None = None) -> None:
        self._app = app
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        offered = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = offered if _REQUEST_ID.fullmatch(offered) else str(uuid4())
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def send_dressed(message: Message) -> None:
            nonlocal status
            if message["type"] in _STARTS:
                status = message.get("status", 101)
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if scope["path"].startswith(_PERSONAL):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self._app(scope, _BoundedBody(receive, Headers(scope=scope)).receive, send_dressed)
        finally:
            if self._access_log is not None:
                # The path alone: a query may hold what a log should not.
                self._access_log(
                    {
                        "action": "http",
                        "method": scope.get("method", "WebSocket"),
                        "path": scope["path"],
                        "status": status,
                        "latency_ms": round((time.perf_counter() - started) * 1000, 2),
                        "request_id": request_id,
                    }
                )


class _BoundedBody:
    """Raises ApiError 413 for whoever reads a body that is announced, or turns out, too large."""

    def __init__(self, receive: Receive, headers: Headers) -> None:
        self._receive = receive
        announced = headers.get("content-length", "0")
        self._announced = int(announced) if announced.isdecimal() else 0
        self._read = 0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read += len(message.get("body", b""))
            if max(self._read, self._announced) > MAX_BODY_BYTES:
                raise ApiError(413, f"A request body holds at most {MAX_BODY_BYTES} bytes.")
        return message
