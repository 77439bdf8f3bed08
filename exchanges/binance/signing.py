"""From a call to the request that leaves: serialised once, and signed exactly as it is sent.

Source: USDⓈ-M Futures, "General Info / SIGNED Endpoint Examples". The parameters stand in the query of GET and DELETE
and in the form body of POST and PUT, never in both. The keys are opened for one request and not kept: a one-shot HMAC
costs no more than copying a prepared one.
"""

from __future__ import annotations

import hmac
import re
from enum import Enum
from itertools import chain
from typing import Final
from urllib.parse import quote, urlencode

import msgspec

from core.redact import Secret
from exchanges.credentials import Credentials
from exchanges.wire import Cost, Leave, Request

RECV_WINDOW_MS: Final = 5000
_FORM: Final = (("Content-Type", "application/x-www-form-urlencoded"),)
_IN_BODY: Final = frozenset({"POST", "PUT"})

Params = tuple[tuple[str, str], ...]
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")


class Access(Enum):
    """What a call must show: nothing, the key alone, or key, time stamp and signature."""

    PUBLIC = "public"
    KEY = "key"
    SIGNED = "signed"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the venue, without key, time or signature."""

    method: str
    path: str
    params: Params = ()
    access: Access = Access.SIGNED
    cost: Cost
    leave: Leave | None = None


def encoded(params: Params) -> str:
    """As `urlencode` does it, but for one look at all where nothing has to be quoted: that is nearly every request."""
    if _PLAIN.fullmatch("".join(chain.from_iterable(params))):
        return "&".join([f"{name}={value}" for name, value in params])
    return urlencode(params, quote_via=quote)


def signature(secret: Secret, payload: str) -> str:
    """Lower-case hex HMAC-SHA256 of the bytes sent."""
    return hmac.digest(secret.reveal().encode(), payload.encode(), "sha256").hex()


def public_request(call: Call) -> Request:
    """The request of a call that needs no key."""
    return _request(call, encoded(call.params), ())


def keyed_request(call: Call, credentials: Credentials) -> Request:
    """The request of a call that shows the key alone."""
    return _request(call, encoded(call.params), _key(credentials))


def signed_request(call: Call, credentials: Credentials, *, timestamp_ms: int) -> Request:
    """The request of a signed call. `timestamp_ms`: venue time; the venue refuses it 5 s later."""
    params = (*call.params, ("recvWindow", str(RECV_WINDOW_MS)), ("timestamp", str(timestamp_ms)))
    payload = encoded(params)
    payload = f"{payload}&signature={signature(credentials.secret, payload)}"
    return _request(call, payload, _key(credentials))


def _key(credentials: Credentials) -> Params:
    return (("X-MBX-APIKEY", credentials.key.reveal()),)


def _request(call: Call, payload: str, headers: Params) -> Request:
    if payload and call.method in _IN_BODY:
        body = payload.encode()
        return Request(
            method=call.method,
            path=call.path,
            body=body,
            headers=(*headers, *_FORM),
            cost=call.cost,
            leave=call.leave,
        )
    return Request(
        method=call.method,
        path=call.path,
        query=payload,
        headers=headers,
        cost=call.cost,
        leave=call.leave,
    )
