"""What is signed is exactly what is sent."""

from __future__ import annotations

import hmac
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.redact import Secret
from exchanges.binance.signing import (
    Access,
    Call,
    encoded,
    keyed_request,
    public_request,
    signature,
    signed_request,
)
from exchanges.credentials import Credentials
from exchanges.wire import Cost
from tests.exchanges.fixtures import payload_file

VECTORS = {vector["name"]: vector for vector in payload_file("binance", "signing_vectors")["vectors"]}
# The service sends a receive window with every request; one vector is signed without.
WHOLE = sorted(name for name, vector in VECTORS.items() if "recvWindow=5000" in vector["sign_payload"])
KEYS = Credentials(key=Secret("key-0123"), secret=Secret("secret-4567"))
TEXT = st.text(max_size=20)


def call(params: tuple[tuple[str, str], ...], method: str = "POST") -> Call:
    return Call(method=method, path="/fapi/v1/order", params=params, access=Access.SIGNED, cost=Cost())


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_published_vectors_are_reproduced(name: str) -> None:
    vector = VECTORS[name]
    assert signature(Secret(vector["secret"]), vector["sign_payload"]) == vector["signature"]


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_request_of_the_vectors_is_built_as_published(name: str) -> None:
    vector: dict[str, Any] = VECTORS[name]
    sent = parse_qsl(vector["sign_payload"])
    params = tuple(pair for pair in sent if pair[0] not in ("recvWindow", "timestamp"))
    keys = Credentials(key=Secret(vector["api_key"]), secret=Secret(vector["secret"]))
    for method in ("POST", "DELETE"):
        request = signed_request(call(params, method), keys, timestamp_ms=int(dict(sent)["timestamp"]))
        expected = f"{vector['sign_payload']}&signature={vector['signature']}"
        assert (request.query, request.body) == (
            ("", expected.encode()) if method == "POST" else (expected, b"")
        )
        assert ("X-MBX-APIKEY", vector["api_key"]) in request.headers


@given(
    params=st.lists(st.tuples(TEXT, TEXT), max_size=6),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    at=st.integers(0, 2**42),
)
def test_the_signature_is_of_exactly_the_bytes_sent_and_comes_last(
    params: list[tuple[str, str]], method: str, at: int
) -> None:
    request = signed_request(call(tuple(params), method), KEYS, timestamp_ms=at)
    assert not (request.query and request.body)
    sent = request.query.encode() or request.body
    payload, _, signed = sent.rpartition(b"&signature=")
    assert signed.decode() == hmac.new(b"secret-4567", payload, "sha256").hexdigest()
    assert parse_qsl(payload.decode(), keep_blank_values=True)[-2:] == [
        ("recvWindow", "5000"),
        ("timestamp", str(at)),
    ]
    assert parse_qsl(payload.decode(), keep_blank_values=True)[:-2] == params


def test_calls_without_a_signature_show_the_key_or_nothing() -> None:
    keyed = keyed_request(call((), "PUT"), KEYS)
    assert (keyed.query, keyed.body, keyed.headers) == ("", b"", (("X-MBX-APIKEY", "key-0123"),))
    public = public_request(call((("symbol", "BTCUSDT"),), "GET"))
    assert (public.query, public.headers) == ("symbol=BTCUSDT", ())


def test_i13_neither_key_nor_signature_is_printed_with_a_request() -> None:
    """I13."""
    request = signed_request(call((("symbol", "BTCUSDT"),)), KEYS, timestamp_ms=1)
    assert repr(request) == "<POST /fapi/v1/order>"


@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=8)), max_size=4))
@example([("symbol", "BTCUSDT"), ("quantity", "0.010"), ("newClientOrderId", "a-_.~Z9")])
@example([("a b", "c")])
@example([("a", "1&b=2"), ("c", "é /+")])
def test_parameters_are_encoded_as_the_standard_library_does_it(params: list[tuple[str, str]]) -> None:
    assert encoded(tuple(params)) == urlencode(params, quote_via=quote)
