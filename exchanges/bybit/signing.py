"""Bybit's signatures: hex HMAC-SHA256 over time, key, window and exactly the bytes that go out.

Source: Bybit v5 API documentation, "Integration Guidance" and "WebSocket Connect, Authentication". The secret is
used in one call and nothing derived from it is kept.
"""

from __future__ import annotations

import hmac
from typing import Final

import msgspec

from exchanges.credentials import Credentials
from exchanges.wire import Request

RECV_WINDOW_MS: Final = 5000
_WINDOW: Final = str(RECV_WINDOW_MS)


def signed(request: Request, credentials: Credentials, at_ms: int) -> Request:
    """`request` with the headers that prove who sends it, at venue time `at_ms`."""
    key, at = credentials.key.reveal(), str(at_ms)
    payload = f"{at}{key}{_WINDOW}{request.query}".encode() + request.body
    headers = (
        ("X-BAPI-API-KEY", key),
        ("X-BAPI-TIMESTAMP", at),
        ("X-BAPI-RECV-WINDOW", _WINDOW),
        ("X-BAPI-SIGN", _digest(credentials, payload)),
    )
    return msgspec.structs.replace(request, headers=request.headers + headers)


def stream_login(credentials: Credentials, expires_ms: int) -> str:
    """The message that opens a private stream; it must arrive before `expires_ms`."""
    signature = _digest(credentials, f"GET/realtime{expires_ms}".encode())
    args = (credentials.key.reveal(), expires_ms, signature)
    return msgspec.json.encode({"op": "auth", "args": args}).decode()


def _digest(credentials: Credentials, payload: bytes) -> str:
    return hmac.digest(credentials.secret.reveal().encode(), payload, "sha256").hex()
