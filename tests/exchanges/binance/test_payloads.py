"""Every recorded answer of the account and order endpoints reads as what it says."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunnerError
from core.ids import protection_id
from core.order import Leg, OrderStatus
from core.position import OrderSide, Side
from exchanges.binance import parse, wire
from exchanges.binance.parse import MANUAL, Origin, TriggerStatus
from exchanges.binance.wire import Unreadable, read
from tests.exchanges.fixtures import entries

ORDERS = entries("binance", "rest_orders")
ACCOUNT = entries("binance", "rest_account")
ALL = {**ORDERS, **ACCOUNT}
_ORDER, _ALGO, _TRADE = wire.OrderRow, wire.AlgoRow, wire.TradeRow
FORMS: dict[str, Any] = {
    "new_order_ack_2026": _ORDER, "new_order_2025_shape": _ORDER, "query_order": _ORDER, "cancel_order_2026": _ORDER,
    "cancel_order_2025": _ORDER, "order_response_peer": _ORDER, "open_orders": list[_ORDER], "all_orders": list[_ORDER],
    "batch_place": list[_ORDER | wire.ErrorBody], "cancel_all": wire.Done, "cancel_all_algo": wire.Done,
    "countdown_cancel_all": wire.Countdown, "new_algo_order": _ALGO, "query_algo_order": _ALGO,
    "cancel_algo_order": wire.AlgoCanceled, "open_algo_orders": list[_ALGO], "open_algo_orders_peer": list[_ALGO],
    "all_algo_orders": list[_ALGO], "account_v3_sdk": wire.AccountRow, "account_v2": wire.AccountRow,
    "balance_v3": list[wire.BalanceRow], "balance_v2": list[wire.BalanceRow],
    "position_risk_v3_one_way": list[wire.PositionRow], "position_risk_v3_hedge": list[wire.PositionRow],
    "position_risk_v2_one_way": list[wire.PositionRow], "position_risk_v2_hedge": list[wire.PositionRow],
    "account_config": wire.AccountConfig, "symbol_config": list[wire.SymbolConfig],
    "position_mode": wire.PositionModeRow, "multi_assets_mode": wire.MultiAssetsRow,
    "leverage_bracket": list[wire.BracketsRow], "leverage_bracket_one": wire.BracketsRow,
    "order_rate_limit": list[wire.RateLimitRow], "commission_rate": wire.CommissionRow,
    "income": list[wire.IncomeRow], "user_trades_2026": list[_TRADE], "user_trades_2025": list[_TRADE],
    "set_leverage": wire.LeverageSet, "set_margin_type": wire.Done, "set_position_mode": wire.Done,
    "listen_key_start": wire.ListenKey, "listen_key_keepalive": wire.ListenKey, "listen_key_close": wire.ListenKey,
}  # fmt: skip


def body(name: str) -> bytes:
    return json.dumps(ALL[name]["payload"]).encode()


def ms(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


def said(form: Any, payload: Any) -> None:
    """What was read is what the payload says, field for field."""
    if isinstance(payload, list):
        for one, row in zip(form, payload, strict=True):
            said(one, row)
        return
    for field in msgspec.structs.fields(form):
        value = getattr(form, field.name)
        if field.encode_name not in payload:
            assert value == field.default
        elif isinstance(value, list):
            said(value, payload[field.encode_name])
        else:
            told = payload[field.encode_name]
            assert value == (Decimal(str(told)) if isinstance(value, Decimal) else told)


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_recorded_answer_is_read_field_for_field(name: str) -> None:
    form = FORMS[name]
    if name == "batch_place":
        rows = ALL[name]["payload"]
        said(read(json.dumps(rows[0]).encode(), _ORDER), rows[0])
        said(read(json.dumps(rows[1]).encode(), wire.ErrorBody), rows[1])
        return
    said(read(body(name), form), ALL[name]["payload"])


@pytest.mark.parametrize(
    ("name", "order_id", "client_id", "status", "filled", "reason"),
    [
        ("new_order_ack_2026", "22542179", "testOrder", OrderStatus.SUBMITTED, 0, None),
        ("new_order_2025_shape", "22542179", "testOrder", OrderStatus.SUBMITTED, 0, None),
        ("query_order", "1573346959", "abc", OrderStatus.SUBMITTED, 0, None),
        ("cancel_order_2026", "283194212", "myOrder1", OrderStatus.CANCELED, 0, "canceled"),
        ("cancel_order_2025", "283194212", "myOrder1", OrderStatus.CANCELED, 0, "canceled"),
        ("order_response_peer", "12345678", "testOrder123", OrderStatus.SUBMITTED, 0, None),
        ("open_orders", "1917641", "abc", OrderStatus.SUBMITTED, 0, None),
        ("all_orders", "1917641", "abc", OrderStatus.SUBMITTED, 0, None),
    ],
)
def test_orders(
    name: str, order_id: str, client_id: str, status: OrderStatus, filled: int, reason: str | None
) -> None:
    rows = read(body(name), FORMS[name])
    report = parse.order_report(rows[0] if isinstance(rows, list) else rows)
    assert (report.venue_order_id, report.client_order_id, report.status) == (order_id, client_id, status)
    assert (report.filled_quantity, report.reason) == (filled, reason)


@pytest.mark.parametrize(
    ("name", "kind", "status", "quantity", "price"),
    [
        ("new_algo_order", "TAKE_PROFIT", TriggerStatus.NEW, "0.01", "750"),
        ("query_algo_order", "TAKE_PROFIT", TriggerStatus.CANCELED, "0.01", "750"),
        ("open_algo_orders", "TAKE_PROFIT", TriggerStatus.NEW, "0.01", "750"),
        ("open_algo_orders_peer", "STOP_MARKET", TriggerStatus.NEW, "0.001", "45000"),
        ("all_algo_orders", "TAKE_PROFIT", TriggerStatus.CANCELED, "0.01", "750"),
    ],
)
def test_conditional_orders(name: str, kind: str, status: TriggerStatus, quantity: str, price: str) -> None:
    rows = read(body(name), FORMS[name])
    one = parse.trigger(rows[0] if isinstance(rows, list) else rows)
    assert (one.kind, one.status, one.leg, one.order_id) == (kind, status, None, None)
    assert (one.quantity, one.trigger_price) == (Decimal(quantity), Decimal(price))
    assert one.stands is (status is TriggerStatus.NEW)


def test_fills() -> None:
    for name, commission in (("user_trades_2026", "0.07819010"), ("user_trades_2025", "-0.07819010")):
        row = read(body(name), FORMS[name])[0]
        told = parse.execution(row, MANUAL, Decimal(row.commission))
        fill = told.fill
        assert (told.symbol, fill.trade_id, fill.side) == ("BTCUSDT", "698759", OrderSide.SELL)
        assert (fill.quantity, fill.price) == (Decimal("0.002"), Decimal("7819.01"))
        assert (fill.commission, fill.executed_at, fill.maker) == (
            Decimal(commission),
            ms(1569514978020),
            False,
        )
        assert (told.client_order_id, told.venue_leg) == (None, Leg.MANUAL)


def test_balances() -> None:
    for name in ("balance_v3", "balance_v2"):
        told = parse.balance(read(body(name), FORMS[name]))
        assert (told.balance, told.available) == (Decimal("122607.35137903"), Decimal("23.72469206"))
    assert parse.balance([]).balance == 0


def test_positions() -> None:
    row = read(body("position_risk_v3_one_way"), list[wire.PositionRow])[0]
    told = parse.venue_position(row, leverage=20, triggers=[])
    assert (told.symbol, told.quantity, told.entry_price) == ("ADAUSDT", Decimal(30), Decimal("0.385"))
    assert (told.leverage, told.liquidation_price, told.stop_loss) == (20, None, None)
    rows = read(body("position_risk_v3_hedge"), list[wire.PositionRow])
    assert [parse.held_quantity(row) for row in rows] == [Decimal(30), Decimal(-1)]
    assert parse.venue_position(rows[1], leverage=1, triggers=[]).liquidation_price == Decimal(
        "2260.56757210"
    )
    older = read(body("position_risk_v2_hedge"), list[wire.PositionRow])
    assert [(parse.held_quantity(row), row.leverage) for row in older] == [(Decimal("0.001"), "4"), (0, "4")]


def test_income() -> None:
    rows = read(body("income"), list[wire.IncomeRow])
    told = [parse.funding_paid(row, Decimal(row.income)) for row in rows]
    assert [(one.symbol, one.amount, one.at) for one in told] == [
        ("", Decimal("-0.375"), ms(1570608000000)),
        ("BTCUSDT", Decimal("-0.01"), ms(1570636800000)),
    ]


def trigger(**changes: Any) -> parse.Trigger:
    row = wire.AlgoRow(
        symbol="BTCUSDT",
        algo_id=1,
        client_algo_id=protection_id("stop_loss", ms(1_790_000_000_000), 0),
        algo_status="NEW",
        side="SELL",
        order_type="STOP_MARKET",
        quantity="2",
        trigger_price="90",
    )
    return parse.trigger(msgspec.structs.replace(row, **changes))


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        ({}, True),
        ({"quantity": "3"}, True),
        ({"quantity": "1.9"}, False),
        ({"quantity": "", "close_position": True}, True),
        ({"side": "BUY"}, False),
        ({"algo_status": "TRIGGERED"}, False),
        ({"client_algo_id": "web_1"}, False),
        ({"position_side": "LONG"}, False),
    ],
)
def test_protection_is_what_stands_of_ours_and_closes_all(changes: dict[str, Any], counts: bool) -> None:
    row = wire.PositionRow(symbol="BTCUSDT", position_amt="2", entry_price="100")
    told = parse.venue_position(row, leverage=1, triggers=[trigger(**changes)])
    assert told.stop_loss == (Decimal(90) if counts else None)


@pytest.mark.parametrize(
    ("client_id", "leg"),
    [
        ("autoclose-1234567890", Leg.LIQUIDATION),
        ("adl_autoclose_12345", Leg.ADL),
        ("settlement_autoclose-1", Leg.SETTLEMENT),
        ("web_abc", Leg.MANUAL),
        ("", Leg.MANUAL),
        (protection_id("stop_loss", ms(1_790_000_000_000), 1), Leg.STOP_LOSS),
        (protection_id("take_profit", ms(1_790_000_000_000), 1), Leg.TAKE_PROFIT),
    ],
)
def test_an_order_that_is_not_ours_names_what_it_did_to_the_position(client_id: str, leg: Leg) -> None:
    assert parse.origin_of(client_id) == Origin(venue_leg=leg)


IMPOSSIBLE = ["NaN", "Infinity", "-1", "1e30", "1e999999999", "abc", "0x10", "1" * 70]


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_numbers_that_cannot_be_enter_no_arithmetic(text: str) -> None:
    order = ORDERS["query_order"]["payload"]
    for key in ("executedQty", "origQty"):
        with pytest.raises(RunnerError, match="Binance says"):
            parse.order_report(read(json.dumps({**order, key: text}).encode(), _ORDER))


@pytest.mark.parametrize(
    ("status", "ordered", "executed"), [("NEW", "1", "1.1"), ("FILLED", "1", "0.9"), ("CANCELED", "1", "2")]
)
def test_more_executed_than_ordered_cannot_be(status: str, ordered: str, executed: str) -> None:
    row = {**ORDERS["query_order"]["payload"], "status": status, "origQty": ordered, "executedQty": executed}
    with pytest.raises(RunnerError, match=r"executed|ordered"):
        parse.order_report(read(json.dumps(row).encode(), _ORDER))


def test_a_position_on_the_wrong_side_of_hedge_mode_cannot_be() -> None:
    with pytest.raises(RunnerError, match="position"):
        parse.held_quantity(
            wire.PositionRow(symbol="X", position_amt="-1", entry_price="1", position_side=Side.LONG.name)
        )


def _through_all(form: Any, name: str, mutated: bytes) -> None:
    rows = read(mutated, form)
    for row in rows if isinstance(rows, list) else [rows]:
        if isinstance(row, _ORDER):
            parse.order_report(row)
        elif isinstance(row, _ALGO):
            parse.trigger(row)
        elif isinstance(row, _TRADE):
            parse.execution(row, MANUAL, wire.number(row.commission, "a commission"))
        elif isinstance(row, wire.PositionRow):
            parse.venue_position(row, leverage=1, triggers=[])
        elif isinstance(row, wire.BalanceRow):
            parse.balance([row])
        elif isinstance(row, wire.IncomeRow):
            parse.funding_paid(row, wire.number(row.income, "income"))


@given(
    name=st.sampled_from(sorted(name for name in ALL if name != "batch_place")),
    at=st.integers(0, 4000),
    put=st.binary(max_size=4) | st.sampled_from([b"NaN", b"-", b"9" * 30, b"null", b'""', b"[", b"\xff"]),
    cut=st.integers(0, 6),
)
def test_a_mutated_answer_raises_nothing_but_our_errors(name: str, at: int, put: bytes, cut: int) -> None:
    whole = body(name)
    at %= len(whole)
    with contextlib.suppress(RunnerError):
        _through_all(FORMS[name], name, whole[:at] + put + whole[at + cut :])


@given(name=st.sampled_from(sorted(ORDERS)), cut=st.integers(1, 300))
def test_a_truncated_answer_cannot_be_read(name: str, cut: int) -> None:
    whole = body(name)
    with pytest.raises(Unreadable):
        read(whole[: max(0, len(whole) - cut)], Any)


@pytest.mark.parametrize("text", ["1E-31", "-1E-999999999999999999"])
def test_an_exponent_no_arithmetic_bears_is_refused(text: str) -> None:
    with pytest.raises(RunnerError):
        wire.number(text, "a number")


@pytest.mark.parametrize("text", ["0", "0E-999999999999999999", "-0.000", "0E+999999999999999999"])
def test_zero_is_zero_however_it_is_spelled(text: str) -> None:
    assert str(wire.number(text, "a number")) == "0"
