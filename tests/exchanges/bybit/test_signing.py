"""Bybit's published signing vectors, and the law that what is signed is what is sent."""

from __future__ import annotations

import hmac
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.order import OrderKind
from core.position import OrderSide
from core.redact import Secret
from exchanges.bybit import requests
from exchanges.bybit.signing import RECV_WINDOW_MS, signed, stream_login
from exchanges.credentials import Credentials
from exchanges.wire import Cost, Request
from tests.exchanges.fixtures import payload_file

VECTORS = {vector["name"]: vector for vector in payload_file("bybit", "signing_vectors")["vectors"]}
REST = [name for name, vector in VECTORS.items() if "method" in vector]
DOCUMENTED = payload_file("bybit", "signing_vectors")["official_plaintext_examples"]


def keys(key: str, secret: str) -> Credentials:
    return Credentials(key=Secret(key), secret=Secret(secret))


def request_of(vector: dict[str, Any], method: str) -> Request:
    body = vector.get("body", "").encode()
    return Request(method=method, path="/v5/x", query=vector.get("query", ""), body=body, cost=Cost())


@pytest.mark.parametrize("name", REST)
def test_a_request_is_signed_as_published(name: str) -> None:
    vector = VECTORS[name]
    request = request_of(vector, vector["method"])
    sent = dict(signed(request, keys(vector["api_key"], vector["secret"]), int(vector["timestamp"])).headers)
    assert sent == {
        "X-BAPI-API-KEY": vector["api_key"],
        "X-BAPI-TIMESTAMP": vector["timestamp"],
        "X-BAPI-RECV-WINDOW": vector["recv_window"],
        "X-BAPI-SIGN": vector["signature"],
    }


@pytest.mark.parametrize("method", ["get", "post"])
def test_the_signed_text_is_laid_out_as_documented(method: str) -> None:
    """The venue publishes the text and not its secret: signed with one of ours, both must agree."""
    example = DOCUMENTED[method]
    request = request_of(example, method.upper())
    sent = dict(signed(request, keys(example["api_key"], "ours"), int(example["timestamp"])).headers)
    expected = hmac.new(b"ours", example["sign_payload"].encode(), "sha256").hexdigest()
    assert sent["X-BAPI-SIGN"] == expected


def test_a_stream_login_is_signed_as_published() -> None:
    vector = VECTORS["ws_auth"]
    login = json.loads(stream_login(keys(vector["api_key"], vector["secret"]), vector["expires"]))
    assert login == {"op": "auth", "args": [vector["api_key"], vector["expires"], vector["signature"]]}


@given(
    symbol=st.text(min_size=1, max_size=20),
    client_id=st.text(max_size=36),
    quantity=st.decimals(min_value=Decimal("1e-12"), max_value=Decimal("1e12"), places=12),
    at_ms=st.integers(min_value=0, max_value=2**42),
    key=st.text(min_size=1),
    secret=st.text(min_size=1),
)
def test_exactly_the_bytes_that_go_out_are_signed(
    symbol: str, client_id: str, quantity: Decimal, at_ms: int, key: str, secret: str
) -> None:
    built = (
        requests.place_order(
            symbol=symbol,
            side=OrderSide.BUY,
            kind=OrderKind.MARKET,
            quantity=quantity,
            client_id=client_id,
        ),
        requests.get_order(symbol=symbol, client_id=client_id),
    )
    for request in built:
        sent = signed(request, keys(key, secret), at_ms)
        assert (sent.query, sent.body) == (request.query, request.body)
        text = f"{at_ms}{key}{RECV_WINDOW_MS}".encode() + sent.query.encode() + sent.body
        assert dict(sent.headers)["X-BAPI-SIGN"] == hmac.new(secret.encode(), text, "sha256").hexdigest()


def test_i13_a_signed_request_prints_neither_key_nor_signature() -> None:
    request = requests.get_order(symbol="BTCUSDT", client_id="an-order")
    sent = signed(request, keys("canary-key", "canary-secret"), 1_700_000_000_000)
    shown = f"{sent} {sent!r}"
    assert "canary" not in shown
    assert dict(sent.headers)["X-BAPI-SIGN"] not in shown
