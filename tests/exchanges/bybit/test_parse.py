"""What Bybit's rows mean: how orders end, whose executions are, and which numbers cannot be."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from core.errors import ImpossibleVenueData
from core.ids import ClientOrderId
from core.order import Leg, OrderStatus
from exchanges.bybit import parse
from exchanges.bybit.wire import ExecutionRow, KeyInfo, OrderRow, PositionRow
from tests.exchanges.fixtures import entries

D = Decimal
ASKED = ClientOrderId("asked")


def recorded(file: str, name: str) -> Any:
    return entries("bybit", file)[name]["payload"]["result"]["list"][0]


ORDER = recorded("rest_orders", "open_orders")
EXECUTION = recorded("rest_orders", "executions")
POSITION = recorded("rest_account", "position_list_peer")


def made(row: dict[str, Any], type_: Any, **changes: Any) -> Any:
    return msgspec.convert(row | changes, type_)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"orderStatus": "PartiallyFilled", "cumExecQty": "0.05"}, OrderStatus.PARTIAL, None),
        ({"orderStatus": "New", "cumExecQty": "0.05"}, OrderStatus.PARTIAL, None),
        ({"orderStatus": "Filled", "cumExecQty": "0.10"}, OrderStatus.FILLED, None),
        ({"orderStatus": "Untriggered"}, OrderStatus.SUBMITTED, None),
        ({"orderStatus": "Deactivated", "cancelType": "CancelByUser"}, OrderStatus.CANCELED, "CancelByUser"),
        (
            {"orderStatus": "Rejected", "rejectReason": "EC_InvalidSymbolStatus"},
            OrderStatus.REJECTED,
            "EC_InvalidSymbolStatus",
        ),
        (
            {"orderStatus": "Rejected", "rejectReason": "EC_Other", "cumExecQty": "0.05"},
            OrderStatus.CANCELED,
            "EC_Other",
        ),
        (
            {
                "orderStatus": "Cancelled",
                "orderType": "Market",
                "timeInForce": "IOC",
                "rejectReason": "EC_NoImmediateQtyToFill",
            },
            OrderStatus.EXPIRED,
            "EC_NoImmediateQtyToFill",
        ),
        (
            {"orderStatus": "Cancelled", "timeInForce": "IOC", "cumExecQty": "0.03"},
            OrderStatus.EXPIRED,
            None,
        ),
        (
            {"orderStatus": "Cancelled", "timeInForce": "IOC", "cancelType": "CancelByUser"},
            OrderStatus.CANCELED,
            "CancelByUser",
        ),
        (
            {"orderStatus": "Cancelled", "rejectReason": "EC_PerCancelRequest"},
            OrderStatus.CANCELED,
            None,
        ),
    ],
)
def test_an_order_ends_as_its_status_and_terms_say(
    changes: dict[str, Any], status: OrderStatus, reason: str | None
) -> None:
    report = parse.order_report(made(ORDER, OrderRow, **changes), ASKED)
    assert (report.status, report.reason) == (status, reason)


@pytest.mark.parametrize(
    ("changes", "leg"),
    [
        ({"execType": "BustTrade"}, Leg.LIQUIDATION),
        ({"execType": "AdlTrade"}, Leg.ADL),
        ({"execType": "Settle"}, Leg.SETTLEMENT),
        ({"execType": "Delivery"}, Leg.SETTLEMENT),
        ({"createType": "CreateByLiq"}, Leg.LIQUIDATION),
        ({"createType": "CreateByTakeOver_PassThrough"}, Leg.LIQUIDATION),
        ({"createType": "CreateByAdl_PassThrough"}, Leg.ADL),
        ({"createType": "CreateBySettle"}, Leg.SETTLEMENT),
        ({"createType": "CreateByMmRateClose"}, Leg.LIQUIDATION),
        ({"stopOrderType": "StopLoss"}, Leg.STOP_LOSS),
        ({"createType": "CreateByStopLoss"}, Leg.STOP_LOSS),
        ({"stopOrderType": "TrailingStop"}, Leg.TRAILING_STOP),
        ({"createType": "CreateByTrailingStop"}, Leg.TRAILING_STOP),
        ({"stopOrderType": "TakeProfit"}, Leg.TAKE_PROFIT),
        ({"createType": "CreateByPartialTakeProfit"}, Leg.TAKE_PROFIT),
        ({"stopOrderType": "UNKNOWN"}, Leg.MANUAL),
        ({"orderLinkId": "somebody-else"}, Leg.MANUAL),
        ({"orderLinkId": "asked"}, None),
        ({"orderLinkId": "asked", "execType": "BustTrade"}, Leg.LIQUIDATION),
    ],
)
def test_an_execution_nobody_of_us_ordered_says_whose_it_is(changes: dict[str, Any], leg: Leg | None) -> None:
    execution = parse.trade(made(EXECUTION, ExecutionRow, **changes), ASKED).execution
    assert (execution.venue_leg, execution.client_order_id) == (leg, ASKED if leg is None else None)


def test_a_commission_in_another_asset_is_converted() -> None:
    trade = parse.trade(made(EXECUTION, ExecutionRow, feeCurrency="MNT", execFee="0.2"))
    assert trade.foreign == ("MNT",)
    assert parse.converted(trade, {"MNT": D("1.25")}).fill.commission == D("0.25")


def test_funding_is_no_fill_and_its_fee_is_what_was_paid() -> None:
    row = made(EXECUTION, ExecutionRow, execType="Funding", execFee="0.25")
    assert not parse.is_fill(row)
    paid = parse.funding_paid(row)
    assert (paid.amount, paid.funding_id) == (D("-0.25"), EXECUTION["execId"])
    assert paid.at == datetime(2022, 12, 29, 2, 58, 42, 429_000, UTC)


@pytest.mark.parametrize(
    ("permissions", "read_only", "expected"),
    [
        ({"ContractTrade": ["Order", "Position"]}, 0, (True, False)),
        ({"ContractTrade": ["Order"]}, 0, (False, False)),
        ({"ContractTrade": ["Order", "Position"]}, 1, (False, False)),
        ({"ContractTrade": ["Order", "Position"], "Wallet": ["Withdraw"]}, 0, (True, True)),
        ({"Wallet": ["AccountTransfer"]}, 0, (False, False)),
        ({"Wallet": None}, 0, (False, False)),
    ],
)
def test_i19_a_key_that_may_withdraw_is_seen(
    permissions: dict[str, Any], read_only: int, expected: tuple[bool, bool]
) -> None:
    rights = parse.key_rights(KeyInfo(read_only=read_only, permissions=permissions, ips=["*"]))
    assert (rights.may_trade, rights.may_withdraw) == expected
    assert rights.ip_bound is False


IMPOSSIBLE = ["NaN", "Infinity", "-1", "1e40", "1e999999999", "1e-999999999", "abc", "1" * 70]


@pytest.mark.parametrize("text", IMPOSSIBLE)
@pytest.mark.parametrize(
    ("row", "type_", "field", "use"),
    [
        (ORDER, OrderRow, "qty", lambda row: parse.order_report(row, ASKED)),
        (ORDER, OrderRow, "cumExecQty", lambda row: parse.order_report(row, ASKED)),
        (EXECUTION, ExecutionRow, "execQty", parse.trade),
        (EXECUTION, ExecutionRow, "execPrice", parse.trade),
        (EXECUTION, ExecutionRow, "execTime", parse.trade),
        (POSITION, PositionRow, "size", parse.position),
        (POSITION, PositionRow, "avgPrice", parse.position),
        (POSITION, PositionRow, "stopLoss", parse.position),
    ],
)
def test_a_number_that_cannot_be_is_refused(
    row: dict[str, Any], type_: Any, field: str, use: Callable[[Any], Any], text: str
) -> None:
    with pytest.raises(ImpossibleVenueData):
        use(made(row, type_, **{field: text}))


def test_more_executed_than_ordered_cannot_be() -> None:
    with pytest.raises(ImpossibleVenueData, match="executed of"):
        parse.order_report(made(ORDER, OrderRow, cumExecQty="0.11"), ASKED)
