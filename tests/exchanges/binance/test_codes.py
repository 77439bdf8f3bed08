"""Every code of the error table means the class it names, and its class the conclusion the caller may draw."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.binance.codes import CODES, Doing, classify, failure
from exchanges.error_class import ErrorClass
from exchanges.errors import (
    AuthFailed,
    Banned,
    ClockSkew,
    ErrorKind,
    ExchangeError,
    NotPlaced,
    OutcomeUnknown,
    RateLimited,
    Refusal,
    Rejected,
    Unreachable,
)
from exchanges.limits import BINANCE, said
from exchanges.wire import Answer
from tests.exchanges.fixtures import entries, payload_file

TABLE = payload_file("binance", "error_codes")
BY_CODE = {row["code"]: row for row in TABLE["codes"]}
NOW = datetime(2026, 11, 1, tzinfo=UTC)
CONCLUSIONS: dict[str, type[ExchangeError]] = {
    "retry_backoff": NotPlaced,
    "rate_limit": RateLimited,
    "ip_ban": Banned,
    "clock_skew": ClockSkew,
    "auth_permanent": AuthFailed,
    "unknown_status": OutcomeUnknown,
    "duplicate_client_id": OutcomeUnknown,
    "stream_expired": Unreachable,
}
REFUSALS = {
    -1013: "other", -1111: "step_size", -4001: "price", -4002: "price", -4003: "min_quantity",
    -4004: "min_quantity", -4005: "max_quantity", -4006: "price", -4007: "price", -4013: "price", -4014: "tick_size",
    -4016: "price", -4023: "step_size", -4024: "price", -4164: "min_notional", -4210: "price", -4211: "price",
    -2018: "insufficient_margin", -2019: "insufficient_margin", -2028: "insufficient_margin", -2021: "would_trigger",
    -4142: "would_trigger", -2022: "reduce_only", -2024: "reduce_only", -4118: "reduce_only", -2025: "too_many_orders",
    -4045: "too_many_orders", -2027: "leverage", -4028: "leverage", -4061: "mode", -4048: "mode", -4087: "restricted",
    -4400: "restricted", -2023: "restricted", -1121: "unknown_symbol", -4120: "malformed", -1102: "malformed",
}  # fmt: skip


def answer(status: int, body: Any, headers: dict[str, str] | None = None) -> Answer:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return Answer(status=status, headers=headers or {}, body=raw)


def refused(status: int, body: Any, doing: Doing = Doing.PLACING, **headers: str) -> ExchangeError:
    verdict = classify(answer(status, body, headers), reads=doing is Doing.READING)
    return failure(verdict, doing, "order x", now=NOW)


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_a_code_means_its_class(code: int) -> None:
    row = BY_CODE[code]
    verdict = classify(answer(400, {"code": code, "msg": row["msg"]}))
    assert verdict.error_class.value == row["class"]
    assert not verdict.alert
    error = failure(verdict, Doing.PLACING, "order x", now=NOW)
    assert type(error) is CONCLUSIONS.get(row["class"], Rejected)


def test_no_code_stands_here_that_the_table_lacks() -> None:
    assert set(CODES) == set(BY_CODE)
    assert {cls.value for cls in ErrorClass} == set(TABLE["classes"])


@pytest.mark.parametrize("code", sorted(REFUSALS))
def test_a_refusal_names_the_rule(code: int) -> None:
    error = refused(400, {"code": code, "msg": BY_CODE[code]["msg"]})
    assert isinstance(error, Rejected)
    assert error.refusal is Refusal(REFUSALS[code])


def test_a_duplicate_id_is_looked_up_and_adopted() -> None:
    error = refused(400, {"code": -4116, "msg": "clientOrderId is duplicated"})
    assert (type(error), error.kind) == (OutcomeUnknown, ErrorKind.DUPLICATE_ID)


@pytest.mark.parametrize("row", TABLE["http"], ids=lambda row: f"{row['status']} {row.get('text', '')}"[:30])
def test_a_status_means_its_class_where_no_code_says_more(row: dict[str, Any]) -> None:
    if row["class"] is None or not str(row["status"])[0].isdigit():
        return
    status = 502 if row["status"] == "5xx other" else row["status"]
    text = row.get("text", "<html>")
    for body in (text, {"msg": text}):
        assert classify(answer(status, body)).error_class.value == row["class"]
    if row["class"] == "unknown_status":
        assert classify(answer(status, text), reads=True).error_class is ErrorClass.RETRY_BACKOFF


@pytest.mark.parametrize("text", [row["text"] for row in TABLE["http"] if "text" in row])
@pytest.mark.parametrize("code", [-1, -1000, -9999])
def test_the_texts_of_503_decide_also_beside_a_code_that_says_nothing(text: str, code: int) -> None:
    expected = "unknown_status" if code == -1000 or text.startswith("Unknown") else "retry_backoff"
    assert classify(answer(503, {"code": code, "msg": text})).error_class.value == expected


@pytest.mark.parametrize(
    ("status", "body", "doing", "error", "alert"),
    [
        (418, {"code": -2019, "msg": "Margin"}, Doing.PLACING, Banned, False),
        (403, "<html>blocked</html>", Doing.PLACING, Banned, False),
        (403, {"code": -2015, "msg": "x"}, Doing.READING, Banned, False),
        (429, {"code": -2019, "msg": "Margin"}, Doing.PLACING, RateLimited, False),
        (429, {"code": -1015, "msg": "Too many new orders"}, Doing.PLACING, RateLimited, False),
        (400, {"code": -1003, "msg": "Too many requests; current limit"}, Doing.READING, RateLimited, False),
        (
            429,
            {"code": -1003, "msg": "Way too many; IP banned until 1793500000000."},
            Doing.READING,
            Banned,
            False,
        ),
        (500, {"code": -2019, "msg": "Margin is insufficient."}, Doing.PLACING, Rejected, False),
        (503, {"code": -1008, "msg": "Server is currently overloaded"}, Doing.PLACING, NotPlaced, False),
        (400, {"code": -9999, "msg": "new"}, Doing.PLACING, Rejected, True),
        (500, {"code": -9999, "msg": "new"}, Doing.PLACING, OutcomeUnknown, True),
        (500, {"code": -9999, "msg": "new"}, Doing.READING, Unreachable, True),
        (408, "", Doing.PLACING, OutcomeUnknown, False),
        (502, "<html>", Doing.PLACING, OutcomeUnknown, False),
        (502, "<html>", Doing.READING, Unreachable, False),
        (404, "<html>", Doing.PLACING, Rejected, True),
        (400, "<html>", Doing.PLACING, OutcomeUnknown, True),
        (302, "", Doing.PLACING, OutcomeUnknown, True),
        (401, {"code": -2014, "msg": "API-key format invalid."}, Doing.READING, AuthFailed, False),
    ],
)
def test_ties_go_by_ban_then_limit_then_code_then_text_then_status(
    status: int, body: Any, doing: Doing, error: type[ExchangeError], alert: bool
) -> None:
    raised = refused(status, body, doing)
    assert type(raised) is error
    assert raised.alert is alert


def test_a_ban_lasts_until_the_venue_says_or_two_minutes() -> None:
    named = refused(418, {"code": -1003, "msg": "Way too many requests; IP banned until 1793577600000."})
    unnamed = refused(403, "<html>")
    assert isinstance(named, Banned)
    assert isinstance(unnamed, Banned)
    assert (named.until, unnamed.until) == (datetime(2026, 11, 2, tzinfo=UTC), NOW + timedelta(minutes=2))


def test_a_limit_lasts_as_long_as_the_header_says_or_five_seconds() -> None:
    body = {"code": -1003, "msg": "Too many requests"}
    waits = [
        refused(429, body, **headers)
        for headers in ({}, {"retry-after": "7"}, {"retry-after": "soon"}, {"retry-after": "99999"})
    ]
    assert [error.retry_after_s for error in waits if isinstance(error, RateLimited)] == [
        5.0,
        7.0,
        5.0,
        3600.0,
    ]


@pytest.mark.parametrize("name", ["invalid_interval", "limit_too_big", "no_api_key"])
def test_recorded_refusals(name: str) -> None:
    payload = entries("binance", "rest_market")[name]["payload"]
    expected = {"invalid_interval": Rejected, "limit_too_big": Rejected, "no_api_key": AuthFailed}
    error = refused(payload["http_status"], payload["body"], Doing.READING)
    assert type(error) is expected[name]
    assert str(payload["body"]["code"]) in str(error)


def test_recorded_headers_tell_the_budgets_what_is_used() -> None:
    headers = entries("binance", "rest_market")["response_headers"]["payload"]
    told = said(BINANCE, Answer(status=200, headers=headers, body=b"{}"), NOW)
    assert (told.weight_used, told.orders) == (66, (1, 1))


def test_i13_what_looks_like_a_key_or_signature_is_not_repeated() -> None:
    """I13."""
    echoed = "a1b2c3d4" * 8
    for body in (
        {"code": -1022, "msg": f"bad signature={echoed}"},
        f"<html>/fapi/v1/order?signature={echoed}",
    ):
        assert echoed[:12] not in str(refused(400, body))


@given(
    status=st.integers(100, 599),
    body=st.binary(max_size=60) | st.from_regex(rb'\{"code":-?\d{1,30},"msg":"[^"\\]*"\}'),
    doing=st.sampled_from(Doing),
)
def test_any_answer_leads_to_one_conclusion(status: int, body: bytes, doing: Doing) -> None:
    verdict = classify(Answer(status=status, headers={}, body=body), reads=doing is Doing.READING)
    assert isinstance(failure(verdict, doing, "order x", now=NOW), ExchangeError)
