"""Recorded venue payloads, and the one reading of what a request example demands (INTENT_FORMAT of the fixtures).

`tests/payloads/<venue>/` holds the payloads the venues and their documentation publish, each with its source.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from exchanges.wire import Request

PAYLOADS = Path(__file__).resolve().parents[1] / "payloads"
ALWAYS_ALLOWED = {
    "binance": {
        "timestamp",
        "recvWindow",
        "signature",
        "newClientOrderId",
        "clientAlgoId",
        "newOrderRespType",
        "selfTradePreventionMode",
    },
    "bybit": {"orderLinkId"},
}
_EXPONENT = re.compile(r"-?\d+(\.\d*)?[eE][+-]?\d+")


@cache
def payload_file(venue: str, name: str) -> Any:
    return json.loads((PAYLOADS / venue / f"{name}.json").read_text())


def entries(venue: str, name: str) -> dict[str, Any]:
    """A file's recorded payloads by their name."""
    return {entry["name"]: entry for entry in payload_file(venue, name)["entries"]}


def request_examples(venue: str) -> dict[str, Any]:
    return {case["name"]: case for case in payload_file(venue, "request_examples")["cases"]}


def mismatches(venue: str, expect: dict[str, Any], request: Request) -> list[str]:
    """What of `request` is not as the example expects it; empty when it matches."""
    found = []
    if request.method != expect["method"]:
        found.append(f"method {request.method}, not {expect['method']}")
    paths = expect.get("path_any_of") or [expect["path"]]
    if request.path not in paths:
        found.append(f"path {request.path}, not {' or '.join(paths)}")
    sent = parameters(request)
    params = expect.get("params", {})
    for key, value in params.items():
        if key not in sent:
            found.append(f"{key} is not sent")
        elif not _same(sent[key], value, typed=_is_json(request)):
            found.append(f"{key} is {sent[key]!r}, not {value!r}")
    found += [f"{key} is sent" for key in expect.get("absent", []) if key in sent]
    allowed = {*params, *expect.get("optional", []), *expect.get("absent", []), *ALWAYS_ALLOWED[venue]}
    found += [f"{key} is sent and not expected" for key in sent if key not in allowed]
    found += [
        f"{key} is in exponent form"
        for key, value in sent.items()
        if isinstance(value, str) and _EXPONENT.fullmatch(value)
    ]
    return found


def parameters(request: Request) -> dict[str, Any]:
    """What a request sends, whether as JSON or as a query or form."""
    sent: dict[str, Any] = dict(parse_qsl(request.query, keep_blank_values=True))
    if _is_json(request):
        return sent | json.loads(request.body)
    return sent | dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def _is_json(request: Request) -> bool:
    return request.body.startswith(b"{")


def _same(sent: Any, expected: Any, *, typed: bool) -> bool:
    """Numbers by decimal value; in JSON the type matters as well, elsewhere everything is text."""
    if typed:
        if type(sent) is not type(expected):
            return False
    else:
        sent, expected = _text(sent), _text(expected)
    return bool(sent == expected) or (_number(sent) is not None and _number(sent) == _number(expected))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: Any) -> Decimal | None:
    try:
        return Decimal(value) if isinstance(value, str) else None
    except InvalidOperation:
        return None
