"""Every code of Bybit's error tables means its class, and a code outside them is a definite no below 500."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchanges.bybit.codes import CLASS_OF, STREAM_CLASS_OF, reject_class, verdict
from exchanges.error_class import ErrorClass
from exchanges.errors import Refusal
from tests.exchanges.fixtures import payload_file

TABLE = payload_file("bybit", "error_codes")
CODES = {entry["code"]: entry for entry in TABLE["codes"]}
ADDED = {3400045}
"""Recorded as the answer to set-margin-mode, though the venue's table lacks it."""


@pytest.mark.parametrize("code", CODES)
def test_the_code_means_its_class(code: int) -> None:
    found = verdict(200, code, CODES[code]["msg"])
    assert found is not None
    assert (found.class_, found.alert) == (ErrorClass(CODES[code]["class"]), False)


def test_the_table_holds_nothing_else() -> None:
    assert set(CLASS_OF) == set(CODES) | ADDED


@pytest.mark.parametrize("entry", TABLE["ws_trade"], ids=lambda entry: str(entry["code"]))
def test_a_code_of_the_trade_socket_means_its_class(entry: dict[str, Any]) -> None:
    assert STREAM_CLASS_OF[entry["code"]] == entry["class"]


@pytest.mark.parametrize(
    ("text", "class_", "refusal"),
    [
        ("position idx not match position mode", "position_mode_mismatch", Refusal.MODE),
        ("params error: The symbol is invalid", "symbol_unavailable", Refusal.UNKNOWN_SYMBOL),
        ("params error: symbol invalid NOPEUSDT", "symbol_unavailable", Refusal.UNKNOWN_SYMBOL),
        ("Qty invalid", "filter_violation", Refusal.STEP_SIZE),
        ("The number of contracts exceeds minimum limit allowed", "filter_violation", Refusal.MIN_QUANTITY),
        ("The number of contracts exceeds maximum limit allowed", "filter_violation", Refusal.MAX_QUANTITY),
        ("Price invalid", "filter_violation", Refusal.PRICE),
        (
            "sl:257970000 set for Sell position should greater base_price:259477000??LastPrice",
            "would_trigger",
            Refusal.WOULD_TRIGGER,
        ),
        (
            "StopLoss:63000000 set for Buy position should lower than base_price:62000000??LastPrice",
            "would_trigger",
            Refusal.WOULD_TRIGGER,
        ),
        ("params error: TriggerDirection invalid", "bad_request", Refusal.MALFORMED),
    ],
)
def test_the_generic_code_is_told_apart_by_its_text(text: str, class_: str, refusal: Refusal) -> None:
    found = verdict(200, 10001, text)
    assert found is not None
    assert (found.class_, found.refusal) == (class_, refusal)


@pytest.mark.parametrize(
    ("status", "code", "class_"),
    [
        (401, None, "auth_permanent"),
        (403, None, "ip_ban"),
        (404, None, "bad_request"),
        (408, None, "unknown_status"),
        (429, None, "retry_backoff"),
        (500, None, "unknown_status"),
        (502, None, "unknown_status"),
        (503, 0, "unknown_status"),
        (403, 10006, "ip_ban"),
        (403, 10009, "account_restricted"),
        (503, 10006, "rate_limit"),
        (200, 10006, "rate_limit"),
        (200, None, "unknown_status"),
    ],
)
def test_the_code_decides_and_the_status_where_there_is_none(
    status: int, code: int | None, class_: str
) -> None:
    found = verdict(status, code, "")
    assert found is not None
    assert found.class_ == class_


@pytest.mark.parametrize(
    ("code", "refusal"),
    [
        (110094, Refusal.MIN_NOTIONAL),
        (110003, Refusal.PRICE),
        (110020, Refusal.TOO_MANY_ORDERS),
        (110013, Refusal.LEVERAGE),
        (110007, Refusal.INSUFFICIENT_MARGIN),
        (110017, Refusal.REDUCE_ONLY),
        (110023, Refusal.RESTRICTED),
        (110024, Refusal.MODE),
        (110093, Refusal.WOULD_TRIGGER),
        (110074, Refusal.UNKNOWN_SYMBOL),
        (10027, Refusal.RESTRICTED),
        (10017, Refusal.MALFORMED),
        (110118, Refusal.OTHER),
    ],
)
def test_a_refusal_names_its_rule(code: int, refusal: Refusal) -> None:
    found = verdict(200, code, "")
    assert found is not None
    assert found.refusal is refusal


@given(st.integers(min_value=-(10**7), max_value=10**7).filter(lambda code: code and code not in CLASS_OF))
def test_a_code_outside_the_table_is_a_definite_no_below_500_and_unknown_above(code: int) -> None:
    refused, unknown = verdict(200, code, "?"), verdict(500, code, "?")
    assert refused is not None
    assert unknown is not None
    assert (refused.class_, refused.alert) == (ErrorClass.BAD_REQUEST, True)
    assert (unknown.class_, unknown.alert) == (ErrorClass.UNKNOWN_STATUS, True)


def test_only_code_0_below_400_is_a_success() -> None:
    assert verdict(200, 0, "OK") is None
    assert verdict(400, 0, "OK") is not None


@pytest.mark.parametrize(
    ("reason", "class_"),
    [
        ("", None),
        ("EC_NoError", None),
        ("EC_PerCancelRequest", None),
        ("EC_PostOnlyWillTakeLiquidity", "order_rejected"),
        ("EC_NoEnoughQtyToFill", "order_rejected"),
        ("EC_NoImmediateQtyToFill", "order_rejected"),
        ("EC_CancelForNoFullFill", "order_rejected"),
        ("EC_ReachMarketPriceLimit", "order_rejected"),
        ("EC_ReachRiskPriceLimit", "order_rejected"),
        ("EC_DuplicatedClOrdID", "duplicate_client_id"),
        ("EC_OrderNotExist", "order_not_found"),
        ("EC_TooLateToCancel", "order_not_found"),
        ("EC_InvalidSymbolStatus", "symbol_unavailable"),
        ("EC_SomethingNew", "order_rejected"),
    ],
)
def test_a_reject_reason_means_its_class(reason: str, class_: str | None) -> None:
    assert reject_class(reason) == class_
