"""Every recorded payload of Bybit, read into what the service knows, and damaged ones, which stay without effect."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import RunnerError
from core.ids import ClientOrderId
from core.order import Leg, OrderStatus
from core.position import OrderSide
from core.timeframe import to_ms
from exchanges.base import ProtectionMoved
from exchanges.bybit import parse, public
from exchanges.bybit.codes import verdict
from exchanges.bybit.private import StreamRefused, heard
from exchanges.bybit.wire import (
    AccountInfo,
    ClosedPnlRow,
    Envelope,
    ExecutionRow,
    FeeRateRow,
    Instrument,
    KeyInfo,
    OrderAck,
    OrderRow,
    Page,
    PositionRow,
    RecentTrade,
    ServerTime,
    Ticker,
    Topic,
    TransactionRow,
    WalletRow,
    read,
)
from tests.exchanges.fixtures import entries

D = Decimal
FILES = ("rest_account", "rest_orders", "rest_market", "instruments", "ws_market", "ws_private")
PAYLOADS = {f"{file}/{name}": entry for file in FILES for name, entry in entries("bybit", file).items()}
ASKED = ClientOrderId("asked")


def result(name: str) -> bytes:
    return json.dumps(PAYLOADS[name]["payload"]["result"]).encode()


def body(name: str) -> bytes:
    return json.dumps(PAYLOADS[name]["payload"]).encode()


def rows(name: str, type_: Any) -> list[Any]:
    return read(result(name), msgspec.json.Decoder(Page[type_])).rows


def one(name: str, type_: Any) -> Any:
    return read(result(name), msgspec.json.Decoder(type_))


def fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def checked_wallet(name: str) -> Any:
    held = parse.balance(rows(name, WalletRow)[0])
    return held.balance, held.available


def checked_executions(name: str) -> Any:
    trade = parse.trade(rows(name, ExecutionRow)[0])
    fill = parse.converted(trade, {}).fill
    return fill.trade_id, fill.side, fill.quantity, fill.price, fill.commission, fill.maker, trade.order_id


def checked_orders(name: str) -> Any:
    reports = [parse.order_report(row, ASKED) for row in rows(name, OrderRow)]
    return [(it.venue_order_id, it.status, it.filled_quantity, it.reason) for it in reports]


def checked_positions(name: str) -> Any:
    held = [position for row in rows(name, PositionRow) if (position := parse.position(row))]
    return [
        (
            it.symbol,
            it.quantity,
            it.entry_price,
            it.leverage,
            it.liquidation_price,
            it.stop_loss,
            it.take_profit,
        )
        for it in held
    ]


def checked_transactions(name: str) -> Any:
    paid = [parse.settled_funding(row) for row in rows(name, TransactionRow)]
    return [None if it is None else (it.symbol, it.funding_id, it.amount, to_ms(it.at)) for it in paid]


def checked_rights(name: str) -> Any:
    return fields(parse.key_rights(one(name, KeyInfo)))


def checked_candles(name: str) -> Any:
    columns = public.candle_columns(result(name))
    return [candle.row()[:6] for candle in columns]


def checked_rules(name: str) -> Any:
    return sorted(public.traded_rules(rows(name, Instrument)))


def checked_ack(name: str) -> Any:
    ack = one(name, OrderAck)
    return ack.order_id, ack.order_link_id


def checked_refusal(name: str) -> Any:
    envelope = read(body(name), msgspec.json.Decoder(Envelope))
    found = verdict(200, int(envelope.ret_code), envelope.ret_msg or "")
    assert found is not None
    return found.class_, found.alert


def checked_stream(name: str) -> Any:
    told = heard(body(name), {})
    return (
        [(it.news.client_order_id, it.news.status, it.filled) for it in told.orders],
        [it.execution for it in told.executions],
        told.others,
    )


def checked_leg(name: str) -> Any:
    execution = heard(body(name), {}).executions[0].execution
    fill = execution.fill
    return fill.trade_id, fill.side, fill.quantity, fill.price, fill.commission, execution.venue_leg


QUIET: Any = ([], [], ())


def moved(leg: Leg, price: str) -> ProtectionMoved:
    return ProtectionMoved(symbol="BTCUSDT", leg=leg, price=D(price))


BUY, SELL = OrderSide.BUY, OrderSide.SELL

EXPECTED: dict[str, tuple[Callable[[str], Any], Any]] = {
    "rest_account/wallet_balance": (checked_wallet, (D(0), D("3.00326056"))),
    "rest_account/wallet_balance_peer": (checked_wallet, (D("1000.50"), D("3.00326056"))),
    "rest_account/account_info": (lambda name: one(name, AccountInfo).margin_mode, "REGULAR_MARGIN"),
    "rest_account/fee_rate": (
        lambda name: fields(rows(name, FeeRateRow)[0]),
        {"symbol": "ETHUSDT", "taker_fee_rate": "0.0006", "maker_fee_rate": "0.0001"},
    ),
    "rest_account/set_margin_mode": (checked_refusal, ("config_blocked", False)),
    "rest_account/position_list": (
        checked_positions,
        [("BTCUSD", D(-300), D("27464.50441675"), 10, None, None, None)],
    ),
    "rest_account/position_list_peer": (
        checked_positions,
        [
            ("BTCUSDT", D("0.5"), D(50000), 10, D(45000), D(48000), D(55000)),
            ("ETHUSDT", D(-5), D(3000), 5, D(3500), D(3100), D(2800)),
        ],
    ),
    "rest_account/set_leverage": (result, b"{}"),
    "rest_account/switch_mode": (result, b"{}"),
    "rest_account/trading_stop": (result, b"{}"),
    "rest_account/closed_pnl": (
        lambda name: (rows(name, ClosedPnlRow)[0].closed_pnl, rows(name, ClosedPnlRow)[0].side),
        ("-47.4065323", "Sell"),
    ),
    "rest_account/transaction_log": (
        checked_transactions,
        [
            ("XRPUSDT", "534c0003-4bf7-486f-aa02-78cee36825e4", D("-0.003676"), 1672128000000),
            None,
            None,
        ],
    ),
    "rest_account/api_key_info": (
        checked_rights,
        {"may_read": True, "may_trade": False, "may_withdraw": False, "ip_bound": True},
    ),
    "rest_orders/create_order": (checked_ack, ("1321003749386327552", "spot-test-postonly")),
    "rest_orders/amend_order": (checked_ack, ("c6f055d9-7f21-4079-913d-e6523a9cfffa", "linear-004")),
    "rest_orders/cancel_order": (checked_ack, ("c6f055d9-7f21-4079-913d-e6523a9cfffa", "linear-004")),
    "rest_orders/cancel_all": (lambda name: len(rows(name, OrderAck)), 2),
    "rest_orders/batch_place": (lambda name: len(rows(name, OrderAck)), 2),
    "rest_orders/open_orders": (
        checked_orders,
        [("fd4300ae-7847-404e-b947-b46980a4d140", OrderStatus.SUBMITTED, D(0), None)],
    ),
    "rest_orders/order_history": (
        checked_orders,
        [
            (
                "14bad3a1-6454-43d8-bcf2-5345896cf74d",
                OrderStatus.CANCELED,
                D(0),
                "EC_PostOnlyWillTakeLiquidity",
            )
        ],
    ),
    "rest_orders/executions": (
        checked_executions,
        (
            "e0cbe81d-0f18-5866-9415-cf319b5dab3b",
            BUY,
            D("0.1"),
            D("1190.15"),
            D("0.071409"),
            False,
            "8c065341-7b52-4ca9-ac2c-37e31ac55c94",
        ),
    ),
    "rest_orders/orders_realtime_peer": (
        checked_orders,
        [
            ("open-order-1", OrderStatus.SUBMITTED, D(0), None),
            ("open-order-2", OrderStatus.SUBMITTED, D(0), None),
        ],
    ),
    "rest_orders/orders_history_duplicate": (
        checked_orders,
        [
            ("open-order-1", OrderStatus.SUBMITTED, D(0), None),
            ("closed-order-1", OrderStatus.CANCELED, D(0), "CancelByUser"),
        ],
    ),
    "rest_market/server_time": (lambda name: one(name, ServerTime).time_nano, "1688639403423213947"),
    "rest_market/kline_sample": (
        checked_candles,
        [
            (1670601600000, 17086.5, 17088, 16978, 17071.5, 6356),
            (1670605200000, 17071.5, 17071.5, 17061, 17071, 4177),
            (1670608800000, 17071, 17073, 17027, 17055.5, 268611),
        ],
    ),
    "rest_market/kline_linear": (
        checked_candles,
        [(1709891679000, 27450, 27460, 27440, 27455, 123.45)],
    ),
    "rest_market/mark_price_kline": (
        checked_candles,
        [(1670608800000, 17164.16, 17164.16, 17121.5, 17131.64, 0)],
    ),
    "rest_market/tickers_inverse_sample": (
        lambda name: fields(public.mark_price(rows(name, Ticker)[0])),
        {
            "symbol": "BTCUSD",
            "mark": D("114898.43"),
            "last": D("120635.50"),
            "funding_rate": D("0.0001"),
        },
    ),
    "rest_market/recent_trades": (
        lambda name: fields(public.recent_trade(rows(name, RecentTrade)[0])),
        {
            "trade_id": "2100000000007764263",
            "symbol": "BTCUSDT",
            "at_ms": 1672052955758,
            "number": 123456,
            "price": D("16618.49"),
            "quantity": D("0.00012"),
            "taker_bought": True,
        },
    ),
    "instruments/instruments_linear_0_0": (
        lambda name: fields(public.traded_rules(rows(name, Instrument))["BTCUSDT"]),
        {
            "symbol": "BTCUSDT",
            "tick_size": D("0.10"),
            "step_size": D("0.001"),
            "min_quantity": D("0.001"),
            "max_quantity": D(1190),
            "min_notional": D(5),
            "market_step_size": D("0.001"),
            "max_market_quantity": D(500),
        },
    ),
    "instruments/instruments_linear_0_1": (checked_rules, []),
    "instruments/instruments_spot_2_0": (lambda name: rows(name, Instrument)[0].symbol, "BTCUSDT"),
    "instruments/instruments_linear_peer": (checked_rules, ["BTCUSDT", "ETHUSDT"]),
    "instruments/instruments_linear_symbol_type": (
        lambda name: public.traded_rules(rows(name, Instrument))["TSLAUSDT"].max_market_quantity,
        D(100),
    ),
    "ws_market/kline": (lambda name: public.closed_candles(body(name)), []),
    "ws_market/kline_peer": (lambda name: public.closed_candles(body(name)), []),
    "ws_market/public_trade": (
        lambda name: fields(public.stream_trades(body(name))[0]),
        {
            "trade_id": "20f43950-d8dd-5b31-9112-a178eb6023af",
            "symbol": "BTCUSDT",
            "at_ms": 1672304486865,
            "number": 1783284617,
            "price": D("16578.50"),
            "quantity": D("0.001"),
            "taker_bought": True,
        },
    ),
    "ws_market/public_trade_peer": (lambda name: public.stream_trades(body(name))[0].price, D(27451)),
    "ws_market/ticker_linear": (
        lambda name: (
            public.mark_price(
                read(read(body(name), msgspec.json.Decoder(Topic)).data, msgspec.json.Decoder(Ticker))
            ).mark
        ),
        D("17217.33"),
    ),
    "ws_private/order": (checked_stream, QUIET),
    "ws_private/order_filled": (checked_stream, QUIET),
    "ws_private/order_stop_loss": (checked_stream, ([], [], (moved(Leg.STOP_LOSS, "48000.00"),))),
    "ws_private/order_take_profit": (checked_stream, ([], [], (moved(Leg.TAKE_PROFIT, "55000.00"),))),
    "ws_private/execution": (
        checked_leg,
        (
            "0ab1bdf7-4219-438b-b30a-32ec863018f7",
            SELL,
            D("0.5"),
            D("95900.1"),
            D("26.378931279"),
            Leg.MANUAL,
        ),
    ),
    "ws_private/execution_peer": (
        checked_leg,
        (
            "0ab1bdf7-4219-438b-b30a-32ec863018f7",
            SELL,
            D("0.5"),
            D("95900.1"),
            D("26.3725275"),
            Leg.MANUAL,
        ),
    ),
    "ws_private/fast_execution": (checked_stream, QUIET),
    "ws_private/position": (checked_stream, QUIET),
    "ws_private/position_peer": (checked_stream, QUIET),
    "ws_private/wallet": (checked_stream, QUIET),
    "ws_private/wallet_peer": (checked_stream, QUIET),
    "ws_private/auth_ok": (checked_stream, QUIET),
    "ws_private/subscribe_ack": (checked_stream, QUIET),
    "ws_private/ping": (checked_stream, QUIET),
    "ws_private/pong_public": (checked_stream, QUIET),
    "ws_private/pong_private": (checked_stream, QUIET),
    "ws_private/auth_request": (checked_stream, QUIET),
    "ws_private/subscribe_request": (checked_stream, QUIET),
}
REFUSALS = ("ws_private/auth_failed", "ws_private/subscribe_failed")


@pytest.mark.parametrize("name", [name for name in PAYLOADS if name not in REFUSALS])
def test_the_recorded_payload_is_read(name: str) -> None:
    check, expected = EXPECTED[name]
    assert check(name) == expected


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_on_the_stream_is_named(name: str) -> None:
    with pytest.raises(StreamRefused):
        heard(body(name), {})


MANGLED = st.sampled_from(
    [None, "", "0", "-5", "NaN", "1e999999999", "x", 7, -1, 2.5, True, [], {}, "9" * 400, "\x00", "Buy"]
)


@given(
    name=st.sampled_from([name for name in PAYLOADS if name not in REFUSALS]),
    data=st.data(),
)
def test_a_mangled_payload_is_read_or_refused_by_name(name: str, data: st.DataObject) -> None:
    """Whatever one field becomes, only errors of ours come out."""
    payload = json.loads(body(name))
    where: Any = payload
    while True:
        keys = list(where) if isinstance(where, dict) else list(range(len(where)))
        if not keys:
            return
        key = data.draw(st.sampled_from(keys))
        inner = where[key]
        if isinstance(inner, dict | list) and inner and data.draw(st.integers(0, 9)) > 0:
            where = inner
            continue
        where[key] = data.draw(MANGLED)
        break
    read_mangled(name, json.dumps(payload).encode())


@given(name=st.sampled_from(list(PAYLOADS)), share=st.floats(0, 0.999))
def test_a_truncated_payload_is_read_or_refused_by_name(name: str, share: float) -> None:
    whole = body(name)
    read_mangled(name, whole[: int(len(whole) * share)])


def read_mangled(name: str, mangled: bytes) -> None:
    check = EXPECTED[name][0] if name in EXPECTED else checked_stream
    before = PAYLOADS[name]
    try:
        payload = json.loads(mangled)
    except ValueError:
        with pytest.raises(RunnerError):
            read(mangled, msgspec.json.Decoder(Envelope if name.startswith(("rest", "instr")) else Topic))
        return
    PAYLOADS[name] = before | {"payload": payload}
    try:
        check(name)
    except (RunnerError, IndexError, KeyError, AssertionError, ValueError, TypeError) as error:
        # What the checks above themselves trip over in a payload without rows is not the adapter's.
        if not isinstance(error, RunnerError) and _in_adapter(error.__traceback__):
            raise
    finally:
        PAYLOADS[name] = before


def _in_adapter(frames: Any) -> bool:
    while frames is not None:
        if "exchanges/bybit" in frames.tb_frame.f_code.co_filename.replace("tests/exchanges/bybit", ""):
            return True
        frames = frames.tb_next
    return False
